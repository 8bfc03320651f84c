"""Lint: what makes engines of a model slow or wrong, why, where in the exporting code it comes from, and repairs."""

from .page import explain
from .record import RULES, Finding, Rule, Severity
from .run import fix, lint, selected
from .source import Source

__all__ = ["RULES", "Finding", "Rule", "Severity", "Source", "explain", "fix", "lint", "selected"]

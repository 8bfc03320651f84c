"""Layer → problem → tactics → timing → memory → plan."""

from .build import build, rebuild
from .options import BuildOptions

__all__ = ["BuildOptions", "build", "rebuild"]

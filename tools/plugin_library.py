"""Writes the tables of docs/plugin_library.md from the plugins themselves.

    python -m tools.plugin_library        write them
"""

from __future__ import annotations

from pathlib import Path

from tensorwright.plugins import REQUIRED, Attribute, Definition, every
from tensorwright.plugins.library import FAMILIES

FILE = Path(__file__).parents[1] / "docs" / "plugin_library.md"
BEGIN, END = "<!-- plugins:begin -->\n", "<!-- plugins:end -->\n"


def written(text: str) -> str:
    """The page with its tables renewed."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + tables() + END + rest.split(END)[1]


def tables() -> str:
    """A section per family: its title, and a row for each plugin."""
    parts = []
    for family in FAMILIES:
        lines = [f"### {' '.join((family.__doc__ or '').split(chr(10) * 2)[0].split()).rstrip('.')}\n",
                 "| plugin | versions | inputs | attributes | runs |", "|---|---|---|---|---|"]
        groups: dict[tuple, list[Definition]] = {}
        for d in every():
            if d.infer.__module__ == family.__name__:
                groups.setdefault((d.name, attributes(d)), []).append(d)
        for (name, listed), definitions in groups.items():
            versions = ", ".join(d.version for d in definitions)
            runs = "compiled" if definitions[0].expand is not None else "NumPy"
            lines.append(f"| `{name}` | {versions} | {inputs(definitions[0])} | {listed or 'none'} | {runs} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def inputs(definition: Definition) -> str:
    least, most = definition.inputs
    return str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"


def attributes(definition: Definition) -> str:
    return ", ".join(f"`{name}`{shown(a)}" for name, a in definition.attributes.items())


def shown(attribute: Attribute) -> str:
    if attribute.default is REQUIRED:
        return f" {attribute.kind}"
    if attribute.default is None:
        return f" {attribute.kind}, optional"
    value = attribute.default
    text = f"{value:.6g}" if isinstance(value, float) and value else list(value) if isinstance(value, tuple) else value
    return f" {attribute.kind} = {text}"


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text()))

"""Imports only go down: the table of folders in CONTRIBUTING.md, drawn from the imports of every file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "tensorwright"
GROUND = {"errors", "dtypes", "dims", "targets", "settings", "files"}
#: row → rows it may import, itself and the ground aside
ROWS: dict[str, set[str]] = {
    "ir": set(),
    "ops": {"ir"},
    "plugins": {"ops", "ir"},
    "device": set(),
    "cuda": {"device"},
    "plan": set(),
    "runtime": {"plan", "device", "plugins", "ops", "ir"},
    "kernels": {"ops", "ir"},
    "importer": {"plugins", "ops", "ir"},
    "passes": {"ops", "ir"},
    "onnx": {"importer", "passes", "plugins", "ops", "ir"},
    "torch": {"onnx", "importer", "plugins", "ops", "ir"},
    "builder": {"passes", "kernels", "importer", "plan", "device", "runtime", "plugins", "ops", "ir"},
    "trt": {"cuda", "builder", "runtime", "importer", "passes", "plan", "device", "plugins", "ops", "ir", "kernels"},
    "plugin": {"trt"},
    "generations": {"plugin", "trt"},
}
TOP = {"cli", "api", "onnx_backend", "__init__", "compat", "shim"}


def row_of(path: Path) -> str:
    part = path.relative_to(ROOT).parts[0]
    return part.removesuffix(".py")


def imported_rows(path: Path) -> set[str]:
    """Names of the package's rows that a file imports, anywhere in it."""
    package = ("tensorwright", *path.relative_to(ROOT).parts[:-1])
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            names = [(*base, *(node.module or "").split(".")) if node.module else base]
            if not node.module or len(names[0]) == 1:
                names = [(*names[0], alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        found |= {n[1] for n in names if n[0] == "tensorwright" and len(n) > 1}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    row = row_of(path)
    if row in TOP:
        return
    allowed = GROUND | {row} | ROWS.get(row, set()) if row not in GROUND else GROUND
    assert imported_rows(path) <= allowed | {"__version__"}, f"{row} may not import {imported_rows(path) - allowed}"


def test_every_folder_has_a_row() -> None:
    rows = {row_of(p) for p in ROOT.rglob("*.py")}
    assert rows - GROUND - TOP <= set(ROWS)


def test_drivers_stay_in_device() -> None:
    for path in ROOT.rglob("*.py"):
        if "llvmlite" in path.read_text() and row_of(path) != "device":
            tree = ast.parse(path.read_text())
            names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
            names += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
            assert not any(n.startswith("llvmlite") for n in names), path

"""The page: one HTML file with styles, scripts and data inside, or one that gets them from the server.

Nothing in it comes from elsewhere. Names of a model are never markup: data travels as JSON, and the scripts put it on
the page as text and as strokes on a canvas only. A content security policy forbids everything else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ...files import whole_file
from ..look.sizes import Shapes
from ..model import Model
from .content import Content

SCRIPTS = ("families.js", "layout.js", "graph.js", "draw.js", "panel.js", "main.js")
STYLE = "page.css"
#: Of larger models a page on its own holds no statistics of weights: bytes of all weights.
MOST_WEIGHTS = 256 << 20
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; "
SERVED = POLICY + "script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'"


def asset(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text("utf-8")


def served_page() -> str:
    """The page for a server: what it needs lies beside it."""
    return filled(f'<link rel="stylesheet" href="{STYLE}">',
                  "".join(f'<script src="{name}" defer></script>' for name in SCRIPTS))


def whole_page(content: Content) -> str:
    """The page with everything in it."""
    data = {name: content.part(name) for name in ("model", "fusion", "findings")}
    weights = [i for i, v in enumerate(data["model"]["values"]) if v["kind"] == "weight"]
    small = data["model"]["summary"]["weight_bytes"] <= MOST_WEIGHTS
    data["tensors"] = {str(i): content.tensor(i) for i in weights} if small else None
    style, scripts = asset(STYLE), [asset(name) for name in SCRIPTS]
    policy = POLICY + f"script-src {' '.join(map(digest, scripts))}; style-src {digest(style)}"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{style}</style>'
    body = f'<script type="application/json" id="data">{json_text(data)}</script>'
    return filled(head, body + "".join(f"<script>{script}</script>" for script in scripts))


def filled(head: str, body: str) -> str:
    page = asset("page.html")
    return page.replace("<!-- head -->", head).replace("<!-- body -->", body)


def json_text(data: Any) -> str:
    """JSON that may stand inside a script element: no character of it can end or open one."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def save_page(model: Model, path: str | os.PathLike[str], shapes: Shapes | None = None) -> Path:
    """Write a page that needs nothing else: graph, what is fused, lint findings, statistics of weights.

    shapes   as in `costs`
    Weights of more than MOST_WEIGHTS bytes in all are left out, and the page says so.
    """
    path = Path(path)
    text = whole_page(Content(model, shapes))
    try:
        with whole_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise ModelError(f"cannot write the page: {error.strerror or error}", at=str(path)) from error
    return path

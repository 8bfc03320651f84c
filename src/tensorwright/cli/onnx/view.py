"""wright onnx view: the model in the browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..console import OK, Console, UsageError
from .show import add_shapes, sizes

HELP = "the model as an interactive page in the browser"
DESCRIPTION = """Show the model as a page in the browser: the graph with search and zoom, each node's attributes, cost,
neighbours and weights, which nodes the compiler fuses into one layer, and what lint finds. The page is served to this
machine alone until Ctrl-C, and loads nothing from elsewhere. With --output it is written to one file instead."""
EPILOG = """examples:
  wright onnx view model.onnx
  wright onnx view model.onnx --port 8080 --no-open
  wright onnx view model.onnx --output model.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("--output", "-o", type=Path, metavar="PAGE.html",
                        help="write the page, with all it needs, to a file")
    parser.add_argument("--port", type=port, default=0, metavar="N", help="port to serve on (default: a free one)")
    parser.add_argument("--no-open", action="store_true", help="do not start a browser")
    add_shapes(parser)


def port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 1 << 16:
        raise argparse.ArgumentTypeError(f"{value} is not a port")
    return value


def run(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    if options.output is not None:
        if options.port or options.no_open:
            raise UsageError("--port and --no-open are for serving; --output writes a file")
        path = onnx.save_page(onnx.load(options.model), options.output, sizes(options))
        console.say(f"wrote {path}")
        console.result(output=str(path), bytes=path.stat().st_size)
        return OK
    return serve(options, console)


def serve(options: argparse.Namespace, console: Console) -> int:
    from ... import onnx
    from ...onnx.view.content import Content
    from ...onnx.view.server import Server
    content = Content(onnx.load(options.model), sizes(options))
    content.part("model")                                # what is wrong with the file is said here, not in the browser
    with Server(content, options.port) as server:
        where = f"{options.model}: {server.url} (Ctrl-C ends it)"
        console.note(where) if console.json else console.say(where)
        if not options.no_open:
            import webbrowser
            if not webbrowser.open(server.url):
                console.note("note: no browser could be started: open the address yourself")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            console.note("stopped")
    console.result(url=server.url)
    return OK

"""The server behind `wright onnx view`: this machine only, reading only.

It answers GET and HEAD on 127.0.0.1, and only requests that name it as their host: a page elsewhere whose name was made
to point at this machine gets nothing.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import parse_qs, urlsplit

from ...errors import InputError, TensorwrightError
from .content import Content
from .page import SCRIPTS, SERVED, STYLE, asset, served_page

ICON = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#0b6bcb">'
        '<rect x="4" width="8" height="5" rx="1.5"/><rect y="11" width="7" height="5" rx="1.5"/>'
        '<rect x="9" y="11" width="7" height="5" rx="1.5"/></g>'
        '<path d="M8 5 3.5 11M8 5l4.5 6" stroke="#0b6bcb"/></svg>')
PARTS = ("model", "fusion", "findings")


class Server(ThreadingHTTPServer):
    """Serves one model's page at `url` until `shutdown`."""

    daemon_threads = True

    def __init__(self, content: Content, port: int = 0) -> None:
        self.content = content
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except OSError as error:
            raise InputError(f"port {port} cannot be used: {error.strerror or error}",
                             try_="another --port, or none: a free one is taken") from error
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    def server_bind(self) -> None:
        """As the base does it, without asking name servers what this machine is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self.respond()

    def do_HEAD(self) -> None:
        self.respond()

    def respond(self) -> None:
        if self.headers.get("Host", "") not in self.server.hosts:
            return self.send(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", "this server answers to 127.0.0.1 only")
        try:
            self.send(HTTPStatus.OK, *self.answer())
        except KeyError:
            self.send(HTTPStatus.NOT_FOUND, "text/plain", "there is nothing here")
        except TensorwrightError as error:
            self.send(HTTPStatus.UNPROCESSABLE_ENTITY, "text/plain", str(error))

    def answer(self) -> tuple[str, str]:
        """Media type and text of what the path names. KeyError: nothing."""
        url = urlsplit(self.path)
        name = url.path.removeprefix("/")
        if name == "":
            return "text/html", served_page()
        if name == STYLE:
            return "text/css", asset(name)
        if name in SCRIPTS:
            return "text/javascript", asset(name)
        if name == "favicon.ico":
            return "image/svg+xml", ICON
        content, part = self.server.content, name.removesuffix(".json")
        if part in PARTS:
            return "application/json", json.dumps(content.part(part), allow_nan=False)
        place = parse_qs(url.query).get("place", [""])[0]
        if part == "tensor" and place.isascii() and place.isdigit() and len(place) < 10:
            return "application/json", json.dumps(content.tensor(int(place)), allow_nan=False)
        raise KeyError(name)

    def send(self, status: HTTPStatus, media: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (("Content-Type", f"{media}; charset=utf-8"), ("Content-Length", str(len(body))),
                            ("Content-Security-Policy", SERVED), ("X-Content-Type-Options", "nosniff"),
                            ("Cross-Origin-Resource-Policy", "same-origin"), ("Referrer-Policy", "no-referrer"),
                            ("Cache-Control", "no-store")):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "wright"

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line."""

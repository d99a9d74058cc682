"""The report of a training under way, served to this machine alone and built anew when the workdir has changed.

It binds 127.0.0.1, so no other machine reaches it. A request whose Host is another name is refused: a web page could
make its own name lead to 127.0.0.1, and would then be allowed to read the answer.
"""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from ternary_jax.analysis.page import document
from ternary_jax.analysis.page.content import Page
from ternary_jax.errors import ConfigError, RunError, WorkdirError, one_line

LOOPBACK = "127.0.0.1"
REST_S = 5.0  # least time between two pages, which take the training a second or two of the processor
WATCHED = ("config.json", "metrics.jsonl", "summary.json", "checkpoints", "embeddings")  # what a page depends on
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Built(NamedTuple):
    """A page as it is served. stamp: of the files that it shows; at: seconds of a clock that only goes forward."""

    stamp: str
    html: bytes
    at: float


class Source:
    """The newest page of a workdir: the one state of this module, which all requests share."""

    def __init__(self, workdir: Path, page: Callable[[], Page]):
        self.workdir, self.page = workdir, page
        self._lock, self._built = threading.Lock(), None

    def newest(self) -> Built:
        """The page, built anew where files have changed and the last one is older than REST_S."""
        with self._lock:
            if self._built is None or self._stale(self._built):
                found = stamp(self.workdir)
                html = document.html(self._page(), found).encode()
                self._built = Built(found, html, time.monotonic())
            return self._built

    def stamp(self) -> str:
        """The stamp of the page that a request would get."""
        built = self._built
        return stamp(self.workdir) if built is None or self._stale(built) else built.stamp

    def _stale(self, built: Built) -> bool:
        return time.monotonic() - built.at > REST_S and stamp(self.workdir) != built.stamp

    def _page(self) -> Page:
        try:
            return self.page()
        except (ConfigError, RunError, WorkdirError) as e:  # such as no evaluation yet
            return Page(
                f"{self.workdir}: nothing to show yet", "This page asks for news every two seconds.", [f"{e}."], []
            )


def stamp(workdir: Path) -> str:
    """What changes whenever a file of the workdir does that a page shows."""
    parts = []
    for name in WATCHED:
        try:
            found = (workdir / name).stat(follow_symlinks=False)
        except OSError:
            continue
        parts.append(f"{name}:{found.st_size}:{found.st_mtime_ns}")
    return ";".join(parts)


def make(source: Source, port: int) -> ThreadingHTTPServer:
    """The server, which answers once its `serve_forever` runs. port: 0 takes a free one, which `server_port` tells."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "ternary_jax", ""

        def do_GET(self) -> None:
            if self.headers.get("Host", "") not in (f"{LOOPBACK}:{made.server_port}", f"localhost:{made.server_port}"):
                self._answer(403, "text/plain", b"this server answers to 127.0.0.1 and localhost alone\n")
            elif self.path == "/":
                self._answer(200, "text/html", source.newest().html)
            elif self.path == "/state":
                self._answer(200, "application/json", json.dumps({"stamp": source.stamp()}).encode())
            else:
                self._answer(404, "text/plain", b"there is / alone\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing for a request."""

    try:
        made = ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as e:
        raise ConfigError(f"--port={port} cannot be used ({one_line(e)}): give another, or none for a free one") from e
    made.daemon_threads = True
    return made

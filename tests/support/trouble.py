"""A fake troublesome proxy in front of a real Prefect server: passes on, or makes trouble."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.patient import Patient


@dataclass(frozen=True, slots=True)
class Answer:
    """What the proxy says instead of the server."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    cut: bool = False
    """Announces more than it sends, and closes."""


HANG = Answer(status=0)
"""Says nothing until the proxy is closed."""


@dataclass
class FakeProxy:
    """Whatever is asked for at `path` (its end) gets these answers first, then the server's."""

    url: str
    path: str = ""
    answers: list[Answer] = field(default_factory=list)
    always: Answer | None = None
    passed_on: list[str] = field(default_factory=list)

    def trouble(self, path: str, *answers: Answer, always: Answer | None = None) -> None:
        """Makes trouble at a path from now on."""
        self.path, self.answers, self.always = path, list(answers), always

    def answer_to(self, path: str) -> Answer | None:
        """What to say instead of passing it on."""
        if not path.partition("?")[0].endswith(self.path) or not self.path:
            return None
        return self.answers.pop(0) if self.answers else self.always


@contextmanager
def fake_proxy(api_url: str) -> Iterator[FakeProxy]:
    """In front of the server at `api_url`, as long as the context lasts."""
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._handle()

        def do_POST(self) -> None:
            self._handle()

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            answer = proxy.answer_to(self.path)
            if answer is HANG:
                closing.wait()
            elif answer is not None:
                self._say(answer)
            else:
                proxy.passed_on.append(self.path)
                self._pass_on(body)

        def _say(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body) + 100 * answer.cut))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(answer.body)
            self.close_connection = True

        def _pass_on(self, body: bytes) -> None:
            target = api_url.removesuffix("/api") + self.path
            headers = {"Content-Type": "application/json"}
            told = upstream.request(self.command, target, content=body, headers=headers)
            self._say(Answer(told.status_code, told.content))

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that has given up

    with Patient() as upstream, Server(("127.0.0.1", 0), Handler) as server:
        proxy = FakeProxy(f"http://127.0.0.1:{server.server_port}/api")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            closing.set()
            server.shutdown()
            thread.join()

"""A real webhook receiver on this machine, for the notifications of the demo."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Message = dict[str, Any]


class Receiver:
    """Keeps every JSON document posted to it, in order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.messages: list[Message] = []
        self._shown = 0

    def news(self) -> list[Message]:
        """What arrived since this was last asked."""
        news = self.messages[self._shown :]
        self._shown += len(news)
        return news


@contextmanager
def receive() -> Iterator[Receiver]:
    """Listens on a free port of the loopback interface as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            receiver.messages.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent: the demo prints what arrives, between its steps."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()

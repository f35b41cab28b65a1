"""A fake Prefect Cloud: a proxy in front of a real Prefect server, which does all the work.

Prefect Cloud is a service of Prefect's and cannot run here. What this fakes is what the monitor
meets there and on no server: URLs below an account and a workspace, an API key that is asked for,
and names of its own for the events of automations (Prefect's documentation, "Automation events").
That the ids of the resources `automation` and `event` have the same namespace is how Prefect's own
UI asks for automations; of `event` it is assumed. Cloud's limits and roles are not faked.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx
import uvicorn
from prefect.settings import (
    PREFECT_API_KEY,
    PREFECT_API_URL,
    PREFECT_CLOUD_API_URL,
    temporary_settings,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.support.world import World

NAMESPACES = ("prefect.automation", "prefect-cloud.automation")
NAME = re.compile(r'(?<!\\)"prefect(-cloud)?\.(?=(?:automation|event)[.*"])')
"""The beginning of a name or an id that differs, at the beginning of a string of JSON."""

RENAMED = ("events", "automations")
"""First parts of the paths where names are translated: what is asked, sent and answered."""

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
PATIENCE_SECONDS = 60


def renamed(text: str) -> str:
    """JSON with the server's names as Cloud's, and with Cloud's as the server's.

    Swapped, so that there and back again is the same: and so that the server's own names, asked
    for on the fake, become Cloud's, which no event on a server has.
    """
    return NAME.sub(lambda found: '"prefect.' if found[1] else '"prefect-cloud.', text)


def is_too_wide(path: str, text: str) -> bool:
    """Whether a prefix takes in both namespaces, so that swapping names would answer wrongly."""
    if not text or not path.startswith(("events/filter", "events/count-by")):
        return False
    names = (json.loads(text).get("filter") or {}).get("event") or {}
    prefixes = [*(names.get("prefix") or ()), *(names.get("exclude_prefix") or ())]
    return any(space.startswith(p) and space != p for p in prefixes for space in NAMESPACES)


@dataclass(frozen=True, slots=True)
class FakeCloud:
    """Where it is, and what it asks for."""

    root: str
    """What Prefect's client knows Cloud by."""
    workspace: str = field(default_factory=lambda: f"accounts/{uuid.uuid4()}/workspaces/{_id()}")
    key: str = field(default_factory=lambda: f"pnu_{uuid.uuid4().hex}")

    @property
    def url(self) -> str:
        """The API's URL of the one workspace."""
        return f"{self.root}/{self.workspace}"

    @property
    def headers(self) -> Mapping[str, str]:
        """What a request must carry."""
        return {"Authorization": f"Bearer {self.key}"}

    def world(self) -> World:
        """The workspace, driven as any client with the key drives it."""
        world = World(self.url)
        world.http.headers.update(self.headers)
        return world


def _id() -> str:
    return str(uuid.uuid4())


@contextmanager
def fake_cloud(api_url: str) -> Iterator[FakeCloud]:
    """In front of the server at `api_url`; as long as the context lasts, our API goes there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        cloud = FakeCloud(f"http://127.0.0.1:{listener.getsockname()[1]}/api")
        # No websockets: nothing of the monitor's needs one.
        config = uvicorn.Config(_app(cloud, api_url), ws="none", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            _wait_for(server)
            with temporary_settings(
                {
                    PREFECT_API_URL: cloud.url,
                    PREFECT_API_KEY: cloud.key,
                    PREFECT_CLOUD_API_URL: cloud.root,
                }
            ):
                yield cloud
        finally:
            server.should_exit = True
            thread.join()


def _wait_for(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not server.started:
        if time.monotonic() > deadline:
            raise RuntimeError("the fake Cloud did not start")
        time.sleep(0.02)


def _app(cloud: FakeCloud, api_url: str) -> Starlette:
    upstream = httpx.AsyncClient(timeout=300)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with upstream:
            yield

    async def handle(request: Request) -> Response:
        if request.headers.get("Authorization") != cloud.headers["Authorization"]:
            return JSONResponse({"detail": "Not authenticated"}, 401)
        path = request.path_params["path"]
        text = (await request.body()).decode()
        translated = path.partition("/")[0] in RENAMED
        if is_too_wide(path, text):
            return JSONResponse({"detail": "the fake cannot translate this prefix"}, 501)
        answer = await upstream.request(
            request.method,
            f"{api_url}/{path}",
            params=request.query_params.multi_items(),
            content=renamed(text) if translated else text,
            headers={"Content-Type": "application/json"},
        )
        told = renamed(answer.text) if translated else answer.text
        kept = {k: v for k, v in answer.headers.items() if k in {"content-type", "retry-after"}}
        # The link to the next page of events leads through Cloud again.
        return Response(told.replace(api_url, cloud.url), answer.status_code, kept)

    route = Route(f"/api/{cloud.workspace}/{{path:path}}", handle, methods=METHODS)
    return Starlette(routes=[route], lifespan=lifespan)

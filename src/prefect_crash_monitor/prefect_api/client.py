"""The one door to the Prefect API: authentication and retries by Prefect's client, our errors.

Everything at the edge goes through `Api`, which counts requests and bytes, and turns what can go
wrong on the way into the tree of `errors`, each with what to do about it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from prefect.client.base import ServerType
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_CLIENT_RETRY_EXTRA_CODES,
    temporary_settings,
)

from prefect_crash_monitor.errors import ApiTrouble, Failing, NotThere, Refused, Unreachable
from prefect_crash_monitor.redaction.redact import redact

REQUEST_TIMEOUT_SECONDS = 15.0
"""Prefect's own 60 s would let one hanging request outlast the interval, with its retries."""

MAX_RETRIES = 3
"""2 + 4 + 8 s of waiting: within a cycle; the next cycle is the longer retry."""


class Api:
    """Requests to one Prefect API, counted."""

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self.requests = 0
        self.bytes_received = 0
        self._server_time: datetime | None = None

    def not_ahead(self, now: datetime) -> datetime:
        """The time of our clock, or that of the server where ours is ahead of it.

        Whoever counts what is still to come calls it complete, and never looks again. The server's
        time is that of its latest answer, to the second (HTTP `Date`); ours while there is none.
        """
        if self._server_time is None:
            return now
        return min(now, self._server_time + timedelta(seconds=1))

    @property
    def url(self) -> str:
        """The API's base URL, without credentials."""
        return redact(str(self._client.api_url))

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The JSON at a path."""
        return await self._send("GET", path, params=params)

    async def post(self, path: str, body: object) -> Any:
        """The JSON answer to a JSON body; None where the answer is empty.

        Prefect's own answers to what we post are never 404: lists are empty where nothing is.
        """
        try:
            return await self._send("POST", path, body=body)
        except NotThere as error:
            raise Failing(
                f"{error} Is PREFECT_API_URL right (it ends in /api), and the server Prefect 3?"
            ) from error

    async def put(self, path: str, body: object) -> Any:
        """Replaces what is at a path."""
        return await self._send("PUT", path, body=body)

    async def patch(self, path: str, body: object) -> Any:
        """Changes some fields of what is at a path."""
        return await self._send("PATCH", path, body=body)

    async def delete(self, path: str) -> None:
        """Deletes what is at a path; already gone is fine."""
        try:
            await self._send("DELETE", path)
        except NotThere:
            return

    async def server_version(self) -> str:
        """Prefect's version on a server; empty on Cloud, and where it cannot be read.

        Not among `requests`, as Prefect's own check of the version when a client opens is not.
        """
        if self._client.server_type is not ServerType.CLOUD:
            with suppress(httpx.HTTPError, ValueError):
                return str(await self._client.api_version())
        return ""

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Any:
        self.requests += 1
        content = None if body is None else json.dumps(body, allow_nan=False)
        with api_errors(f"{method} {path}", self.url):
            response = await self._client.request(
                method,  # type: ignore[arg-type]  # a Literal of Prefect's
                path,  # type: ignore[arg-type]  # the client knows a list of routes, not all
                params=dict(params) if params else None,
                content=content,
                headers={"Content-Type": "application/json"},
            )
            self.bytes_received += len(response.content)
            self._server_time = _date_of(response) or self._server_time
            return response.json() if response.content else None


def _date_of(response: httpx.Response) -> datetime | None:
    """When the server answered; None where it, or a proxy, does not say."""
    try:
        date = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError, TypeError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


@asynccontextmanager
async def open_api() -> AsyncIterator[Api]:
    """The API of the active Prefect profile.

    Raises:
        ApiTrouble: when it cannot be reached or refuses us.
    """
    retries = {
        PREFECT_CLIENT_MAX_RETRIES: MAX_RETRIES,
        # A proxy's or a busy database's 500 is worth a second try; all we send may be repeated.
        PREFECT_CLIENT_RETRY_EXTRA_CODES: {500},
    }
    with temporary_settings(retries):
        client = _client()
        url = redact(str(client.api_url))
        with api_errors("connect", url):
            await client.__aenter__()
        try:
            yield Api(client)
        finally:
            await client.__aexit__(None, None, None)


def _client() -> PrefectClient:
    try:
        return get_client(httpx_settings={"timeout": httpx.Timeout(REQUEST_TIMEOUT_SECONDS)})
    except (ValueError, httpx.InvalidURL) as error:
        configured = redact(str(PREFECT_API_URL.value()))
        raise Unreachable(
            f"PREFECT_API_URL ({configured}) is not usable: {error}. "
            "Check it with `prefect config view`."
        ) from error
    except RuntimeError as error:  # without a URL Prefect starts a server of its own: it did not
        raise Unreachable(
            "PREFECT_API_URL is not set, and Prefect's temporary server did not start: "
            f"{redact(str(error))} Set the URL with `prefect config set PREFECT_API_URL=...`, or "
            "try again."
        ) from error


@contextmanager
def api_errors(what: str, url: str) -> Iterator[None]:
    """Turns what Prefect's client and httpx raise into errors that say what to do."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _of_status(error.response, what, url) from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise Unreachable(
            f"No answer from the Prefect API at {url} ({what}: {type(error).__name__}). Is the "
            "server up, and PREFECT_API_URL right? Check it with `prefect config view`."
        ) from error
    except ValueError as error:  # no JSON, or half of it
        raise _not_prefect(what, url) from error
    except RuntimeError as error:  # the version check of Prefect's client wraps what it meets
        raise _of_version_check(error, what, url) from error


def _of_version_check(error: RuntimeError, what: str, url: str) -> ApiTrouble:
    cause = error.__cause__
    if isinstance(cause, httpx.HTTPStatusError):
        trouble = _of_status(cause.response, what, url)
        return trouble if isinstance(trouble, ApiTrouble) else _not_prefect(what, url)
    if isinstance(cause, httpx.TransportError):
        return Unreachable(
            f"Cannot reach the Prefect API at {url} ({type(cause).__name__}). Is the server up, "
            "and PREFECT_API_URL right? Check it with `prefect config view`."
        )
    return _not_prefect(what, url) if cause else Failing(f"{error} ({what} at {url})")


def _of_status(response: httpx.Response, what: str, url: str) -> ApiTrouble | NotThere:
    status = response.status_code
    if status in {401, 403}:
        return Refused(
            f"The Prefect API at {url} refuses {what} ({status}). Check PREFECT_API_KEY or "
            "PREFECT_API_AUTH_STRING with `prefect config view`, and the key's role."
        )
    if status == httpx.codes.NOT_FOUND:
        return NotThere(f"The Prefect API at {url} knows no {what} (404).")
    detail = redact(response.text[:300])
    return Failing(
        f"The Prefect API at {url} failed at {what} ({status}): {detail}. Nothing is lost; "
        "try again, or wait for the next cycle."
    )


def _not_prefect(what: str, url: str) -> Failing:
    return Failing(
        f"What answers at {url} did not give a whole Prefect answer to {what}. Is PREFECT_API_URL "
        "right (it ends in /api), and does a proxy stand in between?"
    )

"""Flow runs that really end badly, each in its own way; copied beside the live test's worker."""

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

import httpx
from prefect import flow, task
from prefect.states import Crashed


class Odd(BaseException):
    """Neither an Exception nor one that Python itself raises."""


def _signal(number):
    os.kill(os.getpid(), number)
    signal.pause()


def _interrupted_group():
    raise BaseExceptionGroup("unhandled errors in a TaskGroup", [Odd("one of them")])


def _group():
    raise ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("one of them")])


def _raise(error):
    raise error


def _column():
    import pandas as pd

    return pd.DataFrame({"id": [1]})[["id", "customer"]]


def _api_error():
    request = httpx.Request("GET", "http://127.0.0.1/api/deployments/1")
    response = httpx.Response(500, request=request)
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        response.raise_for_status()
    except httpx.HTTPStatusError as error:
        raise PrefectHTTPStatusError.from_httpx_error(error) from error


MOCK = "'MockValSer' object cannot be converted to 'SchemaSerializer'"
SLOTS = "remaining connection slots are reserved for non-replication superuser connections"

WAYS = {
    "sigkill": lambda: _signal(signal.SIGKILL),
    "sigterm": lambda: _signal(signal.SIGTERM),
    "sigint": lambda: _signal(signal.SIGINT),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit 1": lambda: os._exit(1),
    "exit 3": lambda: os._exit(3),
    "exit 143": lambda: os._exit(143),
    "sys.exit": lambda: sys.exit(2),
    "odd exception": lambda: _raise(Odd("what is this")),
    "odd group": _interrupted_group,
    "group": _group,
    "value error": lambda: _raise(ValueError("the amount is negative")),
    "memory error": lambda: _raise(MemoryError("cannot allocate")),
    "missing column": _column,
    "missing data": lambda: Path("/nowhere/data.csv").read_text(),
    "missing module": lambda: __import__("module_that_is_not_installed"),
    "timeout in code": lambda: _raise(httpx.ReadTimeout("read timed out")),
    "gave up waiting": lambda: _raise(TimeoutError("no answer from the warehouse")),
    "mock serializer": lambda: _raise(TypeError(MOCK)),
    "database slots": lambda: _raise(RuntimeError(f"FATAL: {SLOTS}")),
    "api error": _api_error,
    "healthy": lambda: None,
}


@flow(name="victim", log_prints=True)
def victim(way: str):
    """Ends in the way asked for."""
    WAYS[way]()


@flow(name="victim-async")
async def cancelled():
    """Cancels itself, as a runtime does that shuts down."""
    raise asyncio.CancelledError


@flow(name="victim-returns")
def returns_crashed():
    """Says of itself that it crashed."""
    return Crashed(message="the operator gave up")


@flow(name="victim-slow", timeout_seconds=1)
async def too_slow():
    """Takes longer than it may."""
    await asyncio.sleep(60)


@flow(name="victim-parameters")
def needs_a_number(number: int):
    """Cannot be called without its parameter."""
    return number


@task
def exiting():
    """Ends the whole process from within a task."""
    sys.exit(1)


@flow(name="victim-task")
def exits_in_a_task():
    """Dies in a task."""
    exiting()


@flow(name="victim-parent")
def parent(child: str):
    """Fails because the run that it started crashed."""
    from prefect.deployments import run_deployment

    run_deployment(child, timeout=120, poll_interval=1).state.result()

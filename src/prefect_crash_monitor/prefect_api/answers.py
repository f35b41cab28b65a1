"""Checks Prefect's answers: half an answer is an error, never a low number. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect_crash_monitor.errors import Failing


@contextmanager
def whole_answer(what: str) -> Iterator[None]:
    """Turns a missing or odd field of an answer into `Failing`, naming what was read."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Failing(
            f"Prefect's answer on {what} is not what its API documents "
            f"({type(error).__name__}: {error}). Nothing is lost; try again, and check that "
            "server and client are of compatible versions."
        ) from error


def rows(answer: object, what: str) -> list[Mapping[str, Any]]:
    """The list that an answer must be; a proxy's `{}` or null is no empty list."""
    if not isinstance(answer, list):
        raise Failing(
            f"Prefect's answer on {what} is no list but {type(answer).__name__}. Nothing is lost; "
            "try again, and check what stands between us and the Prefect API."
        )
    return answer

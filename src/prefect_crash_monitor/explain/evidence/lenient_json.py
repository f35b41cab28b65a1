"""Reads JSON of strangers: whatever is in it, the answer has the type that was asked for.

A bundle may be cut short, edited by hand, or huge. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

LONGEST_TEXT = 8_000
"""Characters kept of a text: half of them from its start, half from its end."""

BEGINNING = datetime.min.replace(tzinfo=UTC)
"""Sorts what has no time before everything else."""

Json = Mapping[str, Any]


def text(value: object, limit: int = LONGEST_TEXT) -> str:
    """A string without lone surrogates, its middle cut out where it is too long."""
    if not isinstance(value, str):
        return ""
    if len(value) > limit:
        half = limit // 2
        value = f"{value[:half]}\n…\n{value[-half:]}"
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def name(value: object) -> str:
    """A short text, such as a name or an id."""
    return text(value, 400)


def moment(value: object) -> datetime | None:
    """A time in UTC; one without an offset counts as UTC."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=parsed.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def whole(value: object) -> int | None:
    """A whole number, also one in a string; None for anything else."""
    if isinstance(value, str) and len(value) < 12 and value.removeprefix("-").isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def mapping(value: object) -> Json:
    """An object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def objects(value: object, limit: int) -> list[Json] | None:
    """The objects of a list, its middle left out where it is too long; None for what is no list."""
    if not isinstance(value, list | tuple):
        return None
    kept = value if len(value) <= limit else [*value[: limit // 2], *value[-(limit // 2) :]]
    return [item for item in kept if isinstance(item, Mapping)]


def labels(value: object) -> dict[str, str]:
    """The string members of an object."""
    return {str(key): text(item) for key, item in mapping(value).items() if isinstance(item, str)}

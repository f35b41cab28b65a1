"""Values to JSON and back, by the types of their own fields (pydantic's `TypeAdapter`).

Fields of a later version are left out. A value that does not fit its type is damaged, and raises
`ValueError`; of a list of values only the damaged ones are lost. Pure.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, PlainSerializer, TypeAdapter

T = TypeVar("T")

EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Times outside are damage: with the first or last year of the calendar no span can be computed."""


def _in_reach(moment: datetime) -> datetime:
    if not EARLIEST <= moment <= LATEST:
        raise ValueError(f"{moment.isoformat()} is out of reach")
    return moment


Moment = Annotated[
    AwareDatetime,
    AfterValidator(_in_reach),
    PlainSerializer(datetime.isoformat, when_used="json"),
]
"""A time with its offset. A stored one without cannot be compared with any other."""


DEEPEST = 60
"""Levels of nesting that stored JSON may have; what `json` reads it may not be able to write."""


def _shallow(value: Mapping[str, Any]) -> Mapping[str, Any]:
    level: list[object] = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for item in level
            if isinstance(item, Mapping | list | tuple)
            for inner in (item.values() if isinstance(item, Mapping) else item)
        ]
        if not level:
            return value
    raise ValueError(f"nested deeper than {DEEPEST} levels")


Payload = Annotated[Mapping[str, Any], AfterValidator(_shallow)]
"""Any JSON object, not nested too deep to be written again."""


def _uuid(text: str) -> str:
    uuid.UUID(text)
    return text


Id = Annotated[str, AfterValidator(_uuid)]
"""An id of Prefect's: a filter with anything else is refused as a whole."""


def to_json(kind: type[T], value: T) -> Any:
    """The value as JSON."""
    return _adapter(kind).dump_python(value, mode="json")


def of_json(kind: type[T], data: object) -> T:
    """The value of its JSON.

    Raises:
        ValueError: a field is missing or of another type.
    """
    found: T = _adapter(kind).validate_python(data)
    return found


def each_of(kind: type[T], items: Iterable[object]) -> tuple[tuple[T, ...], int]:
    """The values of their JSON, without the damaged ones; and how many those are."""
    whole: list[T] = []
    damaged = 0
    for item in items:
        try:
            whole.append(of_json(kind, item))
        except ValueError:
            damaged += 1
    return tuple(whole), damaged


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return _cached(kind)


@cache
def _cached(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)

"""Bundles: all the evidence about one flow run in one JSON object, in a file or on the way to one.

Secrets are taken out whichever way a bundle comes in. Needs neither a server nor Prefect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefect_crash_monitor.errors import BadInput
from prefect_crash_monitor.redaction.redact import redact_json

RUN_ID = re.compile(r"(?:.*/)?([0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12})/?", re.IGNORECASE)
"""A flow run's id, also at the end of its address in Prefect's UI."""

Bundle = dict[str, Any]
"""Keys: captured_at, flow_run, states, logs, events, kubernetes; notes on what was left out."""


def bundles_of(
    arguments: Sequence[str], capture: Callable[[Sequence[str]], Sequence[Bundle]]
) -> list[Bundle]:
    """The bundles that arguments name, in their order: files, and runs for `capture`, all at once.

    Every argument is looked at before any run is captured, so that a mistyped one costs nothing.

    Raises:
        BadInput: an argument that is neither, or a file without a bundle in it.
    """
    read = {name: read_bundle(Path(name)) for name in arguments if _is_file(name)}
    ids = {name: run_id_of(name) for name in arguments if name not in read}
    captured = dict(zip(ids, capture(list(ids.values())), strict=True)) if ids else {}
    return [(read | captured)[name] for name in arguments]


def _is_file(name: str) -> bool:
    try:
        return bool(name) and Path(name).exists()
    except OSError:  # too long for a name of a file
        return False


def run_id_of(argument: str) -> str:
    """The flow run's id that an argument is, or ends in.

    Raises:
        BadInput: when it is none.
    """
    match = RUN_ID.fullmatch(argument.strip())
    if match is None:
        raise BadInput(
            f"{argument!r} is neither a file nor the id of a flow run, as "
            "a634239a-5ca3-4d63-8b06-b498fb3aeede."
        )
    digits = match[1].replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def read_bundle(path: Path) -> Bundle:
    """The bundle in a file, without secrets; bytes that are no text are replaced.

    Raises:
        BadInput: when there is no bundle in it.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{path} is no JSON ({error}); expected is what `capture` writes."
        ) from error
    if not isinstance(value, dict) or not isinstance(value.get("flow_run"), dict):
        raise BadInput(f"{path} holds no flow run; expected is the object that `capture` writes.")
    return safe(value)


def must_be_new(path: Path) -> None:
    """Refuses a file that exists, before the work of filling it.

    Raises:
        BadInput: when it exists.
    """
    if path.exists():
        raise BadInput(f"{path} exists; it is not overwritten. Name another file.")


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Writes a bundle to a new file.

    Raises:
        BadInput: when the file exists or cannot be written.
    """
    must_be_new(path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(bundle, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror or error}.") from error


def safe(bundle: Bundle) -> Bundle:
    """The bundle without secrets, half characters and infinite numbers, which no file takes."""
    text = json.dumps(redact_json(bundle), ensure_ascii=False).encode(errors="replace")
    whole: Bundle = json.loads(text, parse_constant=lambda _: None)
    return whole

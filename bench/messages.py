"""A made-up storm of crash messages of which the causes are known: what explaining is measured on.

Three in ten messages are Prefect's own constant wordings; the others carry ids, numbers, paths and
times, so that hardly two are equal although they are of a few hundred kinds. Some are 100 kB long,
and some are made to be hard to search. The same number gives the same storm.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from prefect_crash_monitor.model.crash import Crash

BEGIN = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG = 100_000
"""Characters of a long message: Prefect cuts messages in events there."""

SPAN = timedelta(minutes=1)
DEPLOYMENTS = 20
ERROR = 40

VERBS = ("load", "merge", "score", "export", "clean", "train", "publish", "archive", "validate")
NOUNS = ("orders", "invoices", "clients", "prices", "payments", "shipments", "events", "images")
FAULTS = ("BackendClosed", "WorkerAborted", "StoreGone", "QuotaReached")
ABOUT = (
    "{verb} of {noun} stopped: batch {n} of {uuid} after {n} s in /data/{noun}/{uuid}/part-{n}.csv "
    "(0x{address}, {time}, https://store-{n}.example.com/{uuid}?page={n})"
)
REPORTED = (
    "Nightly {verb} of {noun} gave up at {time}: row {n} of run {uuid}, see /var/log/{uuid}/{n}.log"
)
EXITED = "Process exited with status code: "
ENGINE_500 = (
    "Execution was interrupted by an unexpected exception: PrefectHTTPStatusError: Server error "
    "'500 Internal Server Error' for url 'http://prefect-{n}:4200/api/flow_runs/{uuid}/set_state'"
)
NO_MODULE = (
    "Unexpected exception encountered when trying to load flow\n"
    "ModuleNotFoundError: No module named 'acme'"
)
NOT_FOUND = (
    "Unexpected exception encountered when trying to load flow\n"
    "RuntimeError: FileNotFoundError(2, 'No such file or directory')"
)

HOSTILE = (
    "Process exited with status code: -",
    "unexpected exception A.",
    "://a:b",
    "password password=",
    "'/a/b",
    "a-b-",
    "-----BEGIN PRIVATE KEY ",
    "1:1.1,1/",
    "(((('",
    '\\\\"',
    "\n \t",
    "ab@cd.",
)
"""Beginnings of what patterns look for, to be repeated: a backtracking one is lost here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One problem that many runs crash of: one cause, and one fingerprint unless it is not told."""

    weight: float
    cause: str
    message: str
    """With names in braces for what differs from run to run."""
    repeated: str = ""
    """Follows the message until it is `LONG`."""
    log: str = ""
    """What the run logged as an error; needed where the message says nothing."""
    never_ran: bool = False
    deployment: int | None = None
    """The only deployment among `DEPLOYMENTS` that has it; else all do."""


def _constant() -> Iterator[Kind]:
    """Prefect's own wordings, which are the same in every run."""
    killed = f"{EXITED}-9. Process exited due to a SIGKILL signal."
    general = f"{EXITED}1. Process exited with a general error."
    signal = "Execution was aborted by a termination signal."
    yield Kind(weight=12, cause="killed-oom-or-sigkill", message=killed)
    yield Kind(weight=4, cause="termination-signal", message=signal)
    yield Kind(weight=2, cause="native-crash-segfault", message=f"{EXITED}-11.")
    for index in range(DEPLOYMENTS):
        cause, log = LOGGED[index % len(LOGGED)]
        yield Kind(
            weight=12 / DEPLOYMENTS,
            cause=cause,
            message=general,
            log=log,
            never_ran=bool(log),
            deployment=index,
        )


LOGGED = (
    ("process-exit-general-error", ""),
    ("flow-code-import-error", NO_MODULE),
    ("flow-code-missing", NOT_FOUND),
)


def _varied() -> Iterator[Kind]:
    """Messages in which ids, numbers, paths and times stand."""
    yield Kind(weight=8, cause="api-server-error-5xx", message=ENGINE_500)
    pairs = [{"verb": verb, "noun": noun} for verb in VERBS for noun in NOUNS]
    for fault in FAULTS:
        start = f"Execution was interrupted by an unexpected exception: {fault}: "
        for pair in pairs:
            message = start + _filled(ABOUT, pair)
            yield Kind(weight=50 / 288, cause="unexpected-base-exception", message=message)
    for pair in pairs[:30]:
        message = _filled(REPORTED, pair)
        yield Kind(weight=9 / 30, cause="crashed-by-user-or-api", message=message)


def _long() -> Iterator[Kind]:
    """Long ones, harmless or not."""
    cause = "crashed-by-user-or-api"
    for pair in ({"verb": verb, "noun": "rows"} for verb in VERBS[:4]):
        message = _filled(REPORTED, pair)
        yield Kind(weight=1 / 4, cause=cause, message=message, repeated=" {uuid} = {n};")
    for fragment in HOSTILE:
        yield Kind(weight=2 / len(HOSTILE), cause=cause, message="{n} times ", repeated=fragment)


@cache
def kinds() -> Sequence[Kind]:
    """All there are, a few hundred."""
    return (*_constant(), *_varied(), *_long())


@dataclass(frozen=True, slots=True)
class Told:
    """A crash, and what it is."""

    crash: Crash
    kind: Kind


def storm(
    number: int, deployments: int = DEPLOYMENTS, of: int | None = None, seed: int = 1
) -> list[Told]:
    """So many crashes within `SPAN`, each kind as often as its weight says.

    `deployments` is a multiple of `DEPLOYMENTS`; `of` is how many of the kinds there are, the most
    frequent ones, else all.
    """
    rng = random.Random(seed)
    some = sorted(kinds(), key=lambda kind: -kind.weight)[:of]
    chosen = rng.choices(some, [kind.weight for kind in some], k=number)
    gap = SPAN / number
    return [
        _told(rng, kind, _place(rng, kind, deployments), BEGIN + gap * index)
        for index, kind in enumerate(chosen)
    ]


def logs_of(told: Told) -> list[Mapping[str, Any]]:
    """What `/logs/filter` gives for the run."""
    at = told.crash.at.isoformat()
    line = {"timestamp": at, "level": ERROR, "name": "prefect.flow_runs", "message": told.kind.log}
    return [line] if told.kind.log else []


def _place(rng: random.Random, kind: Kind, deployments: int) -> int:
    """The number of a deployment that has it."""
    if kind.deployment is None:
        return rng.randrange(deployments)
    return rng.randrange(kind.deployment, deployments, DEPLOYMENTS)


def _told(rng: random.Random, kind: Kind, place: int, at: datetime) -> Told:
    crash = Crash(
        state_id=_uuid(rng),
        at=at,
        flow_run_id=_uuid(rng),
        flow_run_name=f"run-{rng.randrange(10**6)}",
        message=_message(rng, kind),
        run_count=int(not kind.never_ran),
        from_state="PENDING" if kind.never_ran else "RUNNING",
        flow_id=f"flow-{place // 4}",
        flow=f"flow-{place // 4}",
        deployment_id=f"deployment-{place}",
        deployment=f"flow-{place // 4}/deployment-{place}",
        work_pool="vm",
        work_pool_type="process",
    )
    return Told(crash, kind)


def _message(rng: random.Random, kind: Kind) -> str:
    message = _filled(kind.message, _facts(rng))
    if not kind.repeated:
        return message
    again = _filled(kind.repeated, _facts(rng))
    return (message + again * (LONG // len(again) + 1))[:LONG]


def _facts(rng: random.Random) -> dict[str, str]:
    """What differs from run to run."""
    at = BEGIN + timedelta(seconds=rng.randrange(86_400))
    number, address = rng.randrange(1, 10**6), rng.getrandbits(47)
    return {
        "uuid": _uuid(rng),
        "n": str(number),
        "address": f"{address:012x}",
        "time": at.isoformat(),
    }


def _filled(template: str, facts: Mapping[str, str]) -> str:
    """The template with these names replaced; other braces stay."""
    for name, value in facts.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))

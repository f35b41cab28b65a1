"""Groups of runs about which the server is asked together. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class RunsOf(StrEnum):
    """What runs belong to that are asked for together, by the ids of all but work pools."""

    DEPLOYMENT = "deployment"
    FLOW = "flow"
    FLOW_WITHOUT_DEPLOYMENT = "flow-without-deployment"
    RUN = "run"
    WORK_POOL = "work-pool"
    EVERYTHING = "everything"


class Runs(NamedTuple):
    """The runs of one group: those whose completion ends a streak, or that crashes are a share
    of."""

    of: RunsOf
    id: str


EVERY_RUN = Runs(RunsOf.EVERYTHING, "")


class Ending(NamedTuple):
    """Runs that ended in a half-open span, otherwise than crashed."""

    runs: Runs
    since: datetime
    until: datetime

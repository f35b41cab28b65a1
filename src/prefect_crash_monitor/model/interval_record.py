"""What was counted in one interval. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from prefect_crash_monitor.model.crash import Fate, Source
from prefect_crash_monitor.model.interval import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalRecord:
    """The count of one window: what `crash-monitor count` prints and an interval event carries.

    `crashed` = `still_crashed` + `superseded` + `recovered` + `deleted`, without the monitor's
    own runs, which `monitor_crashed` has.
    """

    window: Window
    counted_at: datetime
    gaps: tuple[str, ...] = ()
    fates: Mapping[Fate, int] = field(default_factory=dict)
    in_process_subflows: int = 0
    monitor_crashed: int = 0
    sources: Mapping[Source, int] = field(default_factory=dict)
    by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    state_ids: tuple[str, ...] = ()
    revision: int = 0
    """0 when first counted; each late event that changes the number adds one."""

    @property
    def crashed(self) -> int:
        """Crashes of the window, without the monitor's own."""
        return sum(self.fates.values())

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing."""
        return not self.gaps

"""How the automations on a server differ from those that are wanted. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from prefect_crash_monitor.model.own import DEFAULT_MONITOR, OWN_TAG
from prefect_crash_monitor.notify.automations.desired import PREFIX, UNUSABLE, Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do so that the server agrees with what is desired."""

    create: tuple[Body, ...] = ()
    update: tuple[tuple[str, Body], ...] = ()
    """Id on the server, and the body that it gets."""
    unchanged: tuple[str, ...] = ()
    remove: tuple[tuple[str, str], ...] = ()
    """Id on the server, and its name."""

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.create or self.update or self.remove)


def is_own_automation(body: Body, monitor: str) -> bool:
    """Whether an automation is this monitor's: by tag and name, never another monitor's."""
    name = str(body["name"])
    if OWN_TAG not in body["tags"] or not name.startswith(PREFIX):
        return False
    return not name.endswith(")") if monitor == DEFAULT_MONITOR else name.endswith(f" ({monitor})")


def difference(desired: Sequence[Body], found: Sequence[Body], *, monitor: str) -> Plan:
    """What is to be created, updated and removed; of several of one name the oldest stays.

    Only a real difference is an update: Prefect forgets the cooldowns of an updated automation,
    so each needless update would notify again. An operator's pause is kept.
    """
    own = sorted(
        (body for body in found if is_own_automation(body, monitor)),
        key=lambda body: (body["created"], body["id"]),
    )
    elected: dict[str, Body] = {}
    for body in own:
        elected.setdefault(body["name"], body)
    wanted = {body["name"] for body in desired}
    keep = {body["id"] for name, body in elected.items() if name in wanted}
    usable = [body for body in desired if not _tells_unusable(body)]
    there = [(body, elected[body["name"]]) for body in usable if body["name"] in elected]
    return Plan(
        create=tuple(body for body in usable if body["name"] not in elected),
        update=tuple(
            (str(server["id"]), {**body, "enabled": server["enabled"]})
            for body, server in there
            if not _agrees(server, body)
        ),
        unchanged=tuple(b["name"] for b, server in there if _agrees(server, b)),
        remove=tuple((str(b["id"]), b["name"]) for b in own if b["id"] not in keep),
    )


def _tells_unusable(body: Body) -> bool:
    return any(action.get("block_document_id") == UNUSABLE for action in body["actions"])


def _agrees(server: Body, ours: Body) -> bool:
    """Whether the server has all that we want; fields that a later Prefect adds are its own."""
    trigger = {key: server["trigger"].get(key) for key in ours["trigger"]}
    actions = {
        key: [_like(action, wanted) for action, wanted in _pairs(server[key], ours[key])]
        for key in ("actions", "actions_on_trigger")
    }
    return _normal({**server, "trigger": trigger, **actions}) == _normal(ours)


def _like(action: Body | None, wanted: Body | None) -> Body | None:
    if action is None or wanted is None:
        return action
    return {key: action.get(key) for key in wanted}


def _pairs(theirs: Sequence[Body], ours: Sequence[Body]) -> list[tuple[Body | None, Body | None]]:
    """Actions side by side; one that has no counterpart is none of ours."""
    return list(zip_longest(theirs, ours))


def _normal(body: Body) -> str:
    """An automation as comparable text: without ids and times, lists that are sets sorted."""
    trigger: dict[str, Any] = {
        key: sorted(value) if key in {"after", "expect", "for_each"} else value
        for key, value in body["trigger"].items()
        if key != "id"
    }
    trigger["within"] = float(trigger["within"])
    rest = {key: body[key] for key in ("description", "actions", "actions_on_trigger")}
    rest |= {"tags": sorted(body["tags"]), "trigger": _as_lists(trigger)}
    return json.dumps(rest, sort_keys=True)


def _as_lists(trigger: Body) -> dict[str, Any]:
    """Prefect stores a single label value as it came; one and a list of one mean the same."""
    match = {
        key: value if isinstance(value, list) else [value]
        for key, value in trigger["match"].items()
    }
    return {**trigger, "match": {key: sorted(value) for key, value in match.items()}}

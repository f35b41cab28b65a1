"""Finds the notification blocks that a policy names, and says which of them cannot be used.

One that is missing must not keep the others from being told: a route that cannot be used falls
back on the receiver, and without a receiver that can be used, what is on the server stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prefect_crash_monitor.config.policy import Policy
from prefect_crash_monitor.errors import NotThere, UnsuitableBlock
from prefect_crash_monitor.notify.automations.desired import UNUSABLE, Receivers
from prefect_crash_monitor.notify.routing import blocks_named
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The blocks to tell, and what is wrong with those that the policy names but cannot be used."""

    receivers: Receivers
    error: UnsuitableBlock | None = None


async def find_receivers(api: Api, policy: Policy) -> Found:
    """Looks each block up once; one request a block, one more where any cannot be used."""
    named = blocks_named(policy)
    blocks = dict.fromkeys(name for name in named.values() if name is not None)
    looked_up = {name: await _look_up(api, name) for name in blocks}
    troubles = {name: trouble for name, (_, trouble) in looked_up.items() if trouble}
    ids = {
        field: None if name is None else looked_up[name][0] or UNUSABLE
        for field, name in named.items()
    }
    error = None
    if troubles:
        words = [
            f"The policy's {field} is {name}, {troubles[name]}. {_meanwhile(field, ids)}"
            for field, name in named.items()
            if name in troubles
        ]
        error = UnsuitableBlock(" ".join([*words, await _choices(api)]))
    return Found(receivers=_receivers(ids), error=error)


def _receivers(ids: Mapping[str, str | None]) -> Receivers:
    """With the receiver in place of a route that cannot be used."""
    fallback = ids["receiver"] or UNUSABLE
    return Receivers(
        receiver=ids["receiver"],
        failure_receiver=ids["failure_receiver"],
        routes={
            field: fallback if id_ in {None, UNUSABLE} else str(id_)
            for field, id_ in ids.items()
            if field.startswith("routes.")
        },
    )


def _meanwhile(field: str, ids: Mapping[str, str | None]) -> str:
    """Who is told until it is repaired."""
    if field.startswith("routes.") and ids["receiver"] not in {None, UNUSABLE}:
        return "Until that is repaired the receiver is told instead."
    return "Until that is repaired the automations that would tell it stay as they are."


async def _look_up(api: Api, name: str) -> tuple[str | None, str]:
    """The id of a block named as block-type/name; or None, and why it cannot be used."""
    slug, _, document_name = name.partition("/")
    try:
        path = f"/block_types/slug/{slug}/block_documents/name/{document_name}"
        document = await api.get(path)
    except NotThere:
        return None, "which does not exist"
    with whole_answer("the receiver's block"):
        if "notify" not in document["block_schema"]["capabilities"]:
            return None, "a block that cannot notify"
        return str(document["id"]), ""


async def _choices(api: Api) -> str:
    """What could be named instead."""
    body = {
        "block_schemas": {"block_capabilities": {"all_": ["notify"]}},
        "limit": PAGE,
    }
    documents = await api.post("/block_documents/filter", body)
    with whole_answer("notification blocks"):
        names = sorted(f"{d['block_type']['slug']}/{d['name']}" for d in documents if d["name"])
    if not names:
        return (
            "There is no notification block on the server yet; make one in the UI under Blocks, "
            "for instance a Slack Webhook."
        )
    return f"Notification blocks on the server: {', '.join(names)}."

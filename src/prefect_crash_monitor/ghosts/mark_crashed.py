"""Sets ghosts CRASHED: never by force, never one that may be alive, never one that moved on."""

from __future__ import annotations

from datetime import datetime

from prefect_crash_monitor.errors import BadInput, NotThere
from prefect_crash_monitor.explain import Confidence, evidence_of_bundle
from prefect_crash_monitor.explain.read_bundle import capture_bundle
from prefect_crash_monitor.ghosts.ghost import Ghost, death
from prefect_crash_monitor.prefect_api.answers import whole_answer
from prefect_crash_monitor.prefect_api.client import Api

MARKED = "Marked as crashed by crash-monitor"
"""How the message of a marked run begins, by which it is explained."""

ALIVE = "it has shown a sign of life meanwhile"
DELETED = "it is deleted"
MOVED = "its state changed meanwhile"
UNSURE = "not certain enough: look for its process or container first"


async def mark_crashed(api: Api, ghost: Ghost, unheard: str, now: datetime) -> str:
    """Sets a ghost CRASHED; why it did not, empty where it did.

    `unheard` is what `why_unheard` says, and forbids it for one that is merely silent.

    What the server has of the run by now decides: a sweep of hundreds takes minutes, in which a
    living one speaks up.

    Prefect refuses to leave a final state unless forced, so a run that ends at the same moment
    keeps its own end.
    """
    if not ghost.certain:
        return UNSURE
    if unheard and ghost.is_silent:
        return unheard
    if why_not := await _why_not(api, ghost, unheard, now):
        return why_not
    state = {"type": "CRASHED", "name": "Crashed", "message": message_of(ghost)}
    body = {"state": state, "force": False}
    try:
        answer = await api.post(f"/flow_runs/{ghost.flow_run_id}/set_state", body)
    except NotThere:
        return DELETED
    with whole_answer("a change of state"):
        if answer["status"] == "ACCEPT":
            return ""
        details = answer.get("details") or {}
        return f"Prefect refused: {details.get('reason') or answer['status']}"


async def _why_not(api: Api, ghost: Ghost, unheard: str, now: datetime) -> str:
    """What the server has of the run that forbids marking it; empty where nothing does."""
    try:
        run = await api.get(f"/flow_runs/{ghost.flow_run_id}")
        if run.get("state_id") != ghost.left_in.state_id:
            return MOVED
        bundle = await capture_bundle(api, ghost.flow_run_id, now)
    except (NotThere, BadInput):
        return DELETED
    if bundle["flow_run"].get("state_id") != ghost.left_in.state_id:
        return MOVED
    dead = death(evidence_of_bundle(bundle))
    if dead is None:
        return ALIVE
    if dead.why.confidence is not Confidence.HIGH:
        return UNSURE
    return unheard if dead.is_silent else ""


def message_of(ghost: Ghost) -> str:
    """The message of the state that a ghost is set to: what it was, and what proves it."""
    proof = ghost.why.evidence[0].text if ghost.why.evidence else ghost.why.title
    return f"{MARKED} ({ghost.why.cause}): {proof}"

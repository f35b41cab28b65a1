"""Sets ghosts CRASHED: never by force, never one that may be alive, never one that moved on."""

from __future__ import annotations

from prefect_crash_monitor.api import Api
from prefect_crash_monitor.errors import Failing, NotThere
from prefect_crash_monitor.ghosts.ghost import Ghost
from prefect_crash_monitor.reading import whole_answer

MARKED = "Marked as crashed by crash-monitor"
"""How the message of a marked run begins, by which it is explained."""

MOVED = "its state changed meanwhile"
UNSURE = "not certain enough: look for its process or container first"


async def mark_crashed(api: Api, ghost: Ghost, unheard: str = "") -> str:
    """Sets a ghost CRASHED; why it did not, empty where it did.

    `unheard` is what `why_unheard` says, and forbids it for one that is merely silent.

    Prefect refuses to leave a final state unless forced, so a run that ends at the same moment
    keeps its own end.
    """
    if not ghost.certain:
        return UNSURE
    if unheard and ghost.is_silent:
        return unheard
    try:
        run = await api.get(f"/flow_runs/{ghost.flow_run_id}")
    except NotThere:
        return "it is deleted"
    if run.get("state_id") != ghost.left_in.state_id:
        return MOVED
    state = {"type": "CRASHED", "name": "Crashed", "message": message_of(ghost)}
    body = {"state": state, "force": False}
    try:
        answer = await api.post(f"/flow_runs/{ghost.flow_run_id}/set_state", body)
    except Failing as error:
        return str(error)
    with whole_answer("a change of state"):
        if answer["status"] == "ACCEPT":
            return ""
        details = answer.get("details") or {}
        return f"Prefect refused: {details.get('reason') or answer['status']}"


def message_of(ghost: Ghost) -> str:
    """The message of the state that a ghost is set to: what it was, and what proves it."""
    proof = ghost.why.evidence[0].text if ghost.why.evidence else ghost.why.title
    return f"{MARKED} ({ghost.why.cause}): {proof}"

"""Makes things happen on a real Prefect server: flow runs that crash, are retried, deleted."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.support.patient import Patient

CRASHED = {"type": "CRASHED", "name": "Crashed", "message": "Process exited with status code: -9"}
SCHEDULED = {"type": "SCHEDULED", "name": "AwaitingRetry"}
PENDING = {"type": "PENDING", "name": "Pending"}
RUNNING = {"type": "RUNNING", "name": "Running"}
COMPLETED = {"type": "COMPLETED", "name": "Completed"}


@dataclass
class World:
    """One server, driven through its REST API as any client drives it."""

    api_url: str
    flows: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.http = Patient(self.api_url)

    def close(self) -> None:
        """Closes the connections."""
        self.http.close()

    def post(self, path: str, body: Any) -> Any:
        """The JSON answer to a POST."""
        answer = self.http.post(path, json=body).raise_for_status()
        return answer.json() if answer.content else None

    def patch(self, path: str, body: Any) -> None:
        """Changes what is at a path."""
        self.http.patch(path, json=body).raise_for_status()

    def flow(self, name: str) -> str:
        """The id of the flow of this name."""
        if name not in self.flows:
            self.flows[name] = self.post("/flows/", {"name": name})["id"]
        return self.flows[name]

    def deployment(self, flow: str, name: str, **more: Any) -> str:
        """The id of a deployment."""
        body = {"flow_id": self.flow(flow), "name": name, **more}
        return str(self.post("/deployments/", body)["id"])

    def run(self, *states: dict[str, str], flow: str = "etl", **more: Any) -> str:
        """A flow run that goes through these states; its id."""
        body = {"flow_id": self.flow(flow), "state": PENDING, **more}
        run = self.post("/flow_runs/", body)["id"]
        self.go(run, *states)
        return str(run)

    def deployed_run(self, deployment: str, *states: dict[str, str], **more: Any) -> str:
        """A run of a deployment that goes through these states; its id."""
        run = self.post(f"/deployments/{deployment}/create_flow_run", more)["id"]
        self.go(run, *states)
        return str(run)

    def go(self, run: str, *states: dict[str, str], force: bool = False) -> None:
        """Sets one state after another."""
        for state in states:
            self.post(f"/flow_runs/{run}/set_state", {"state": state, "force": force})

    def delete_run(self, run: str) -> None:
        """Deletes a flow run; its events stay."""
        self.http.delete(f"/flow_runs/{run}").raise_for_status()

    def crash_events(self, since: str, until: str) -> int:
        """How many crash events the server has in a span."""
        filter_ = {
            "event": {"prefix": ["prefect.flow-run."]},
            "resource": {"labels": {"prefect.state-type": "CRASHED"}},
            "occurred": {"since": since, "until": until},
        }
        return int(self.post("/events/filter", {"filter": filter_, "limit": 0})["total"])


def unique(name: str) -> str:
    """A name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def eight_crashes(world: World, flow: str) -> dict[str, str]:
    """The eight kinds of crash that every peer undercounts; the runs by what happened to them."""
    return {
        "short": world.run(RUNNING, CRASHED, flow=flow),
        "custom name": world.run(RUNNING, CRASHED | {"name": "Evicted"}, flow=flow),
        "never started": world.run(CRASHED, flow=flow),
        "retried, running": world.run(RUNNING, CRASHED, SCHEDULED, PENDING, RUNNING, flow=flow),
        "retried, completed": world.run(
            RUNNING, CRASHED, SCHEDULED, PENDING, RUNNING, COMPLETED, flow=flow
        ),
        "retried, crashed again": world.run(
            RUNNING, CRASHED, SCHEDULED, PENDING, RUNNING, CRASHED, flow=flow
        ),
        "long": world.run(RUNNING, CRASHED, flow=flow),
    }

"""Publishes a triage as an artifact of its own key, and removes the oldest ones."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from prefect_crash_monitor.config.read_policy import Settings
from prefect_crash_monitor.explain.read_bundle_file import run_id_of
from prefect_crash_monitor.model.own import Place
from prefect_crash_monitor.prefect_api.client import Api
from prefect_crash_monitor.prefect_api.run_parts import Parts
from prefect_crash_monitor.publish.write_artifacts import prune
from prefect_crash_monitor.remediate.free_own_slots import free_stranded
from prefect_crash_monitor.text.sanitize import one_line
from prefect_crash_monitor.triage.findings import findings
from prefect_crash_monitor.triage.read_scene import gather
from prefect_crash_monitor.triage.render import render_triage, summary
from prefect_crash_monitor.triage.scene import Scene

TRIAGE_KEY = "crash-triage"
OWN_KEY = re.compile(rf"{TRIAGE_KEY}-[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")


async def run_triage(
    api: Api, run: str, incident: str, settings: Settings, place: Place, now: datetime
) -> dict[str, Any]:
    """Looks at one crashed run and publishes what is seen; says what that is, in JSON.

    Raises:
        BadInput: what names no flow run, or one of which the server knows nothing.
        ApiTrouble: nothing is published.
    """
    run_id = run_id_of(run)
    own = [place.deployment_id] if place.deployment_id else []
    parts = Parts()
    await parts.take(
        "Stranded triages were not looked for",
        free_stranded(api, place, own, settings.policy, now),
        0,
    )
    scene = await gather(api, run_id, incident, now)
    key = f"{TRIAGE_KEY}-{run_id}"
    body = {
        "key": key,
        "type": "markdown",
        "description": summary(scene),
        "data": render_triage(scene, ui_url=place.ui_url, requests=api.requests),
    }
    under = {"flow_run_id": place.flow_run_id} if place.flow_run_id else {}
    await api.post("/artifacts/", body | under)
    # Each run has a key of its own, and keys pile up. `like_` finds the text anywhere in a key, and
    # users may have keys of their own with it.
    await parts.take(
        "Old triages were not removed",
        prune(
            api,
            {"key": {"like_": f"{TRIAGE_KEY}-"}},
            keep=settings.policy.reports_kept,
            is_ours=lambda key: OWN_KEY.fullmatch(key) is not None,
        ),
        None,
    )
    return _told(scene) | {"artifact": key}


def _told(scene: Scene) -> dict[str, Any]:
    explanation = scene.explanation
    return {
        "flow_run_id": scene.run_id,
        "incident": scene.incident,
        "verdict": str(explanation.verdict),
        "cause": explanation.cause,
        "confidence": str(explanation.confidence),
        "telling": [one_line(f.text, 400) for f in findings(scene) if f.telling],
        "gaps": list(scene.gaps),
    }

"""A silence of the policy: a maintenance window that is known beforehand."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from prefect_crash_monitor.config.matching import MatchedField

Pattern = Annotated[str, Field(min_length=1, max_length=500)]


class PlannedSilence(BaseModel):
    """A silence that stands in the policy, as a maintenance window known beforehand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    matcher: dict[MatchedField, Pattern] = Field(
        min_length=1,
        description=(
            "Which crashes: pattern by field, of deployment (flow/deployment), flow, work_pool, "
            "work_queue, tag and cause; all must match. Too wide silences problems that nobody "
            "planned; too narrow and the maintenance notifies."
        ),
    )
    since: AwareDatetime = Field(description="When it begins, with an offset.")
    until: AwareDatetime = Field(
        description=(
            "When it ends, with an offset; what still burns then opens an incident. Too early and "
            "the rest of the maintenance notifies, too late and real problems stay unheard."
        )
    )
    reason: str = Field(
        min_length=1, max_length=500, description="Why, for whoever reads the report."
    )

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.until <= self.since:
            raise ValueError(f"the silence ends ({self.until}) before it begins ({self.since})")
        return self

"""The policy as a Prefect block: typed, validated, edited in the UI or saved from a script.

In a package, not in `blocks/` alone: the server and workers find a block's class by its slug only
where it is installed (entry point `prefect.collections`; PrefectHQ/prefect#6273).
"""

from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import ConfigDict, HttpUrl

from prefect_crash_monitor.config.policy import Policy

__all__ = ["CrashPolicy"]


class CrashPolicy(Block, Policy):
    """How crashes are counted, when an incident opens, and which block is told."""

    model_config = ConfigDict(extra="forbid")

    _block_type_name: ClassVar[str] = "Crash Policy"
    _block_type_slug: ClassVar[str] = "crash-policy"
    _description: ClassVar[str] = (
        "How prefect-crash-monitor counts crashed flow runs, when it opens an incident, and whom "
        "it tells."
    )
    _documentation_url: ClassVar[HttpUrl] = HttpUrl(
        "https://github.com/prefect-crash-monitor/prefect-crash-monitor#settings"
    )
    _code_example: ClassVar[str] = """
```python
from prefect_crash_monitor.blocks import CrashPolicy

CrashPolicy(receiver="slack-webhook/data-alerts").save("default", overwrite=True)
crash_policy = CrashPolicy.load("BLOCK_NAME")
```"""

    def policy(self) -> Policy:
        """The plain policy, without what makes it a block."""
        return Policy(**{name: getattr(self, name) for name in Policy.model_fields})

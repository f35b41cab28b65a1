"""Prefect's own standards for blocks, held by each of ours."""

from __future__ import annotations

import pytest
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite

from prefect_crash_monitor import blocks

BLOCKS = [getattr(blocks, name) for name in blocks.__all__]


class TestEveryBlock(BlockStandardTestSuite):
    """The suite that Prefect's integrations run."""

    @pytest.fixture(params=BLOCKS, ids=lambda block: block.__name__)
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        """One block after the other."""
        return request.param

    @pytest.mark.skip(reason="Prefect wants a picture on the web; ours have none")
    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """A block without a logo shows its initial."""

    def test_its_slug_is_its_own(self, block: type[Block]) -> None:
        """A slug is for ever: saved blocks are found by it."""
        assert block.get_block_type_slug() in {"crash-policy", "pod-evidence"}

    def test_it_refuses_unknown_fields(self, block: type[Block]) -> None:
        """A Block accepts them silently by default, so a typing error would change nothing."""
        assert block.model_config.get("extra") == "forbid"

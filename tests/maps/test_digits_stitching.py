"""The digits example keeps its promise, in a small version."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_stitching.py"


@pytest.mark.slow
def test_heads_read_other_encoders_relatively_or_after_a_rotation_and_not_as_they_are() -> None:
    result = runpy.run_path(str(EXAMPLE))["run"](widths=(96, 160), seeds=1)
    assert result.absolute < 0.35
    assert result.relative >= 0.85 * result.native
    assert result.pairs <= 100
    assert result.orthogonal >= 0.97 * result.native

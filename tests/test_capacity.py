"""The example that trains networks of several sizes, at its smallest."""

import importlib.util
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "capacity.py"


@pytest.fixture(scope="module")
def capacity():
    spec = importlib.util.spec_from_file_location("capacity", EXAMPLE)
    module = sys.modules["capacity"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_wider_networks_are_more_like_the_reference_and_so_are_their_twins(capacity):
    data = capacity.images()
    data = type(data)(data.x[:300], data.y[:300], data.held[:200])
    atlas = capacity.ladder(data, {f"width {w}": (w, 300) for w in (1, 4, 16, 64)}, seeds=1)
    trend = atlas.trend("parameters", {"role": "reference"}, metric="mutual_knn(k=10)")
    assert trend.slopes["raw"].rises
    assert trend.slopes["untrained"].rises
    assert len(trend.rungs) == 4
    assert "Spearman" in capacity.told(trend, atlas.threshold("parameters", {"role": "reference"}))


@pytest.mark.thorough
def test_networks_of_other_goals_lie_outside_those_of_all_classes(capacity):
    data = capacity.images()
    data = type(data)(data.x[:400], data.y[:400], data.held[:200])
    atlas = capacity.divergence(data, seeds=2, width=32)
    names = [m for m in atlas.models if not m.startswith("generalist")]
    assert atlas.divergence(names, "generalist", metric="cka").auprc > 0.9
    assert atlas.directions("parity #0", {"role": "generalist"}).told

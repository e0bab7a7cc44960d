import dataclasses

import numpy as np
import pytest

from isomorph.reporting._charts import STYLES, marker
from isomorph.reporting._null_plot import _binned, null_plot
from isomorph.reporting.sections._verdict import map_mark, marks
from isomorph.results import Condition


def test_bins_hold_the_whole_distribution_where_it_lies():
    sample = np.random.default_rng(0).normal(size=20_000)
    edges, shares = _binned(np.quantile(sample, np.linspace(0, 1, 41)), [9.0, 1.64])
    assert edges[0] < sample.min()
    assert edges[-1] > 9
    assert sum(shares) == pytest.approx(1)
    counted = np.histogram(sample, edges)[0] / len(sample)
    assert np.abs(counted - shares).max() < 0.02


@pytest.mark.parametrize("steps", [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 1.0], [0.2, 0.2, 0.7, 0.7]])
def test_equal_quantiles_lose_no_share(steps):
    edges, shares = _binned(np.array(steps), [1.5])
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0
    assert len(edges) == len(shares) + 1 < 70


def test_the_score_is_drawn_filled_only_if_it_passes(make_alignment):
    found = make_alignment(rows=1, columns=1, permuted=True)
    passing = dataclasses.replace(found, p_value=np.array([[0.01]]), p_family=np.array([[0.01]]))
    failing = dataclasses.replace(found, p_family=np.array([[0.6]]))
    assert "hollow" not in null_plot(passing, "f").body
    assert "hollow" in null_plot(failing, "f").body
    exact = dataclasses.replace(passing, permuted=None)
    assert "paired at random" not in null_plot(exact, "f").body


def test_no_two_styles_share_a_marker():
    assert len({marker(0, 0, style, True).partition(" class=")[0] for style in range(STYLES)}) == STYLES


def test_conditions_of_a_page_have_a_style_each_and_none_that_a_map_has():
    named = [Condition("baseline", "untrained", "x"), Condition("ceiling", "other", "x")]
    found = marks([*named, *(Condition("baseline", f"own {k}") for k in range(7))])
    assert found["baseline", "untrained x"] == 1
    assert found["ceiling", "other x"] == 6
    assert len(set(found.values())) == len(found)
    assert not set(found.values()) & {map_mark(k) for k in range(9)}

"""Maps fitted to rows that are read in blocks: what they give is what fits in memory give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isomorph as iso
from isomorph._core.memory import working_memory
from isomorph._core.rows import BlockRows
from isomorph.errors import InputError
from isomorph.maps import REGISTRY, make_map

N, D = 30_000, 24
MAPS = ["ridge", "ridge(penalties=0.01)", "orthogonal", "procrustes", "mean", "identity"]


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, D)) * np.geomspace(1, 0.05, D) + 3
    y = x @ rng.standard_normal((D, D)) + 2 * rng.standard_normal((N, D))
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("spec", MAPS)
def test_it_is_the_fit_in_memory(spec: str, pair: tuple[Any, Any]) -> None:
    rows = np.random.default_rng(1).permutation(N)[: N - 500]
    x, y = (z.astype(np.float64) for z in pair)
    whole: Any = make_map(spec).fit(x[rows], y[rows])
    with working_memory("16MB"):
        blocks: Any = make_map(spec).fit(*(BlockRows(z)[rows] for z in pair))
    # sums of 30,000 products of numbers near 10 in another order, beside directions of 1/400 of the variance
    np.testing.assert_allclose(blocks.coef_, whole.coef_, atol=1e-9)
    np.testing.assert_allclose(blocks.predict(x[:50]), whole.predict(x[:50]), atol=1e-8)
    if spec == "ridge":
        assert blocks.penalty_ == whole.penalty_
        np.testing.assert_allclose(blocks.loo_errors_, whole.loo_errors_, rtol=1e-9)


def test_of_very_many_items_a_sample_chooses_the_penalty(pair: tuple[Any, Any], monkeypatch: Any) -> None:
    whole: Any = make_map("ridge").fit(*pair)
    monkeypatch.setattr("isomorph.maps._block_fits.JUDGED", 3000)
    with working_memory("16MB"):
        some: Any = make_map("ridge").fit(*map(BlockRows, pair))
    assert some.loo_errors_ == pytest.approx(whole.loo_errors_, rel=0.2)
    assert not np.allclose(some.loo_errors_, whole.loo_errors_, rtol=1e-9)


@pytest.mark.parametrize("name", sorted(REGISTRY.classes))
def test_every_map_is_fitted_in_blocks_or_says_what_would_do(name: str, pair: tuple[Any, Any]) -> None:
    made = make_map(name)
    with working_memory("16MB"):
        if made.in_blocks:
            made.fit(*map(BlockRows, pair))
            assert made.predict(pair[0][:3]).shape == (3, D)
            return
        with pytest.raises(InputError, match="ridge, orthogonal, procrustes and the controls are fitted in blocks"):
            made.fit(*map(BlockRows, pair))


def test_a_constant_layer_is_refused(pair: tuple[Any, Any]) -> None:
    with working_memory("16MB"), pytest.raises(InputError, match="constant"):
        make_map("ridge").fit(BlockRows(np.full((N, D), 0.1, np.float32)), BlockRows(pair[1]))


def test_few_rows_of_many_are_fitted_in_memory(pair: tuple[Any, Any]) -> None:
    rows = np.arange(300)
    with working_memory("16MB"):
        some: Any = make_map("ridge").fit(*(BlockRows(z)[rows] for z in pair))
    whole: Any = make_map("ridge").fit(*(z[rows] for z in pair))
    np.testing.assert_array_equal(some.coef_, whole.coef_)


def test_a_stitch_under_a_limit_is_the_stitch_without(pair: tuple[Any, Any]) -> None:
    settings: dict[str, Any] = {"test": range(0, N, 150), "permutations": 2, "curves": False, "draws": 100}
    whole = iso.stitch(*pair, ["ridge", "orthogonal"], **settings)
    limited = iso.stitch(*pair, ["ridge", "orthogonal"], memory="16MB", **settings)
    for name, found in whole.items():
        for score in ("r2", "mrr", "x_to_y.R@1"):
            assert limited[name][score].value == pytest.approx(found[score].value, abs=1e-9)
    assert whole["ridge"]["r2"].value > 0.2


def test_a_stitch_that_cannot_refuses_before_it_fits(pair: tuple[Any, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(iso.maps.Map, "fit", lambda *_, **__: pytest.fail("it was fitted"))
    with pytest.raises(InputError, match="is fitted in memory"):
        iso.stitch(*pair, ["affine"], memory="16MB")
    with pytest.raises(InputError, match="Hold out fewer"):
        iso.stitch(*pair, ["ridge"], memory="16MB")
    with pytest.raises(InputError, match="Leave labels out"):
        iso.stitch(*pair, ["ridge"], labels=[i % 2 for i in range(N)], memory="16MB")

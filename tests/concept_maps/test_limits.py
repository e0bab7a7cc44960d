"""Shares of ceilings: known ones are found, by gallery size they go where they must, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import isomorph as iso
from isomorph.concept_maps._ceilings import Ask, Quartet, measured
from isomorph.concept_maps._extrapolation import extrapolate
from isomorph.concept_maps._limits import _galleries, limits
from isomorph.errors import InputError
from isomorph.results._limits import Extrapolation, Limits


def modalities(rng: np.random.Generator, n: int, noise: float = 0.5, d: int = 5) -> list[np.ndarray]:
    """x, y, x2, y2: half of what a modality holds is common to both; models see it with noise of their own."""
    z, u, v = rng.normal(size=(3, n, d))
    return [np.hstack([z, w]) + noise * rng.normal(size=(n, 2 * d)) for w in (u, v, u, v)]


@pytest.mark.parametrize("trials", [12, pytest.param(25, marks=pytest.mark.thorough)])
def test_a_known_share_of_cka_is_covered_and_does_not_change_with_the_gallery(trials: int) -> None:
    """Of the population: <x, y> = d, <x, x'> = 2d, so that the share is 1/2 whatever the noise."""
    held, settled, moved, gone = 0, 0, 0, []
    for seed in range(trials):
        x, y, x2, y2 = modalities(np.random.default_rng(seed), 200)
        found = limits(x, y, x2, y2, metrics="cka", neighbors=(), repeats=2, seed=seed)
        (row,), (far,) = found.by_metric, found.extrapolated
        held += row.low <= 0.5 <= row.high
        settled += far.low <= 0.5 <= far.high
        moved += far.falls or far.rises
        gone.append([r.share for r in found.by_size])
    low, high = stats.binom.ppf([0.001, 0.999], trials, 0.95)
    assert low <= held <= high
    assert settled >= low
    assert moved <= trials - low
    shares = np.array(gone)
    error = shares.std(axis=0) / np.sqrt(len(shares))
    assert np.all(np.abs(shares.mean(axis=0) - 0.5) < 4 * error + 0.01)


def test_shares_of_small_galleries_are_means_over_nested_subsets_of_all_three_scores() -> None:
    x, y, x2, y2 = modalities(np.random.default_rng(0), 200)
    found = limits(x, y, x2, y2, metrics="mutual_knn(k=5)", sizes=[50, 100], repeats=2, seed=3)
    metric = iso.metric("mutual_knn(k=5)")
    subsets = _galleries(metric, 200, [50, 100], 2, np.arange(200), 3)
    assert [[len(rows) for rows in same] for same in subsets] == [[50, 50], [100, 100], [200]]
    for small, large in zip(subsets[0], subsets[1], strict=True):
        assert set(small) < set(large)
    scores = []
    for rows in subsets[0]:
        chance = 5 / 49
        scores.append([(metric(a[rows], b[rows]) - chance) / (1 - chance) for a, b in ((x, y), (x, x2), (y, y2))])
    across, one, two = np.mean(scores, axis=0)
    row = found.of_size("mutual_knn(k=5)")[0]
    assert (row.across, row.x_ceiling, row.y_ceiling) == pytest.approx((across, one, two))
    assert row.share == pytest.approx(across / np.sqrt(one * two))
    assert [r.n for r in found.by_size] == [50, 100, 200]
    assert found.by_size[-1].share == found.by_metric[0].share


def partly(rng: np.random.Generator, n: int, aligned: float) -> list[np.ndarray]:
    """A share of the items lies at the same places in both modalities, far from the rest, which is only nearly so.

    Overlap with k fixed goes to 1 among the first and to 0 among the rest as items are added, and models of one
    modality are rotations of each other, so the share of the ceiling goes to `aligned`.
    """
    where = rng.uniform(size=(n, 2))
    far = np.arange(n) >= aligned * n
    sides = []
    for _ in range(2):
        at = where + far[:, None] * 0.15 * rng.normal(size=(n, 2))
        sides.append(at + 10.0 * far[:, None])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    return [*sides, sides[0] @ turn, sides[1] @ turn]


@pytest.mark.thorough
def test_a_share_that_falls_to_a_known_limit_is_extrapolated_to_it() -> None:
    held, falls = 0, 0
    for seed in range(12):
        x, y, x2, y2 = partly(np.random.default_rng(seed), 600, 0.4)
        spec = "mutual_knn(k=5, similarity='euclidean')"
        found = limits(x, y, x2, y2, metrics=spec, neighbors=(), repeats=3, seed=seed)
        (far,) = found.extrapolated
        falls += far.falls
        held += far.low <= 0.4 <= far.high
        assert far.value < found.by_size[-1].share  # it goes on falling
        assert far.high < found.by_size[0].share
        assert found.by_size[-1].x_ceiling == pytest.approx(1)
    assert falls >= 9
    assert held >= 11


def test_curves_that_disagree_are_spanned_and_short_ranges_say_nothing() -> None:
    sizes = np.geomspace(50, 800, 8)
    noise = 1e-5 * (np.eye(8) + 2)
    slow = extrapolate("m", sizes, 0.2 + sizes**-0.25, noise, 500, 0.05)
    assert slow.low <= 0.2 <= slow.high
    assert "1/n" not in slow.fits  # contradicted by the points
    fast = extrapolate("m", sizes, 0.4 + 5 / sizes, noise, 500, 0.05)
    assert fast.low <= 0.4 <= fast.high
    vague = extrapolate("m", sizes, 0.2 + sizes**-0.25, 100 * noise, 500, 0.05)
    assert len(vague.fits) > len(slow.fits)
    assert vague.high - vague.low > slow.high - slow.low
    limits_of = {v.curve: v for v in vague.limits}
    assert vague.low == min(limits_of[c].low for c in vague.fits)
    assert vague.high == max(limits_of[c].high for c in vague.fits)
    short = extrapolate("m", np.geomspace(110, 800, 8), 0.4 + 5 / sizes, noise, 500, 0.05)
    assert short.value is None
    assert "a factor of 7.27" in short.lacking
    assert "cannot be said" in short.told
    nothing = extrapolate("m", sizes, sizes**-0.7, noise / 100, 500, 0.05)
    assert "to 0 as a power of n" in nothing.fits
    assert nothing.low == 0.0
    # none fits: an S
    bent = extrapolate("m", sizes, 0.3 + 0.2 * np.sin(3 * np.log(sizes)), noise, 500, 0.05)
    assert bent.fits == ()
    assert bent.high - bent.low > slow.high - slow.low


def test_by_k_by_depth_and_several_ceilings() -> None:
    rng = np.random.default_rng(0)
    x, y, x2, y2 = modalities(rng, 150)
    _, _, x3, y3 = modalities(rng, 150)  # of other items: a ceiling at chance
    found = limits(x, y, {"a": x2, "b": x2}, [y2], depths={0.5: (x, y, x2, y2), 1.0: (y, x, y2, x2)}, sizes=[150])
    assert [r.metric for r in found.by_metric] == [
        m.spec for m in iso.metrics.read_metrics(iso.metrics.DEFAULT_METRICS)
    ]
    assert [iso.metric(r.metric).k for r in found.by_k] == [5, 10, 20]  # 4 · 50 items are not there
    assert {r.depth for r in found.by_depth} == {0.5, 1.0}
    for row in found.by_depth:  # the same layers, so the same shares
        main = next(r for r in found.by_metric if r.metric == row.metric)
        assert row.share == pytest.approx(main.share)
    half = limits(x, y, [x2, x3], y2, metrics="cka", neighbors=(), sizes=[150])
    assert half.by_metric[0].x_ceiling == pytest.approx(found.by_metric[-1].x_ceiling / 2, abs=0.05)
    assert half.extrapolated[0].value is None
    assert y3.shape == y.shape


def test_a_ceiling_that_is_not_above_chance_gives_no_share_but_a_reason(tmp_path) -> None:
    x, y, _, y2 = modalities(np.random.default_rng(0), 120)
    for seed in range(2):
        x2 = np.random.default_rng([7, seed]).normal(size=(120, 10))
        found = limits(x, y, x2, y2, sizes=[40, 80], repeats=1, seed=seed)
        for row in (*found.by_metric, *found.by_k, *found.by_size):
            assert row.share is None
            assert row.low is None
            assert "the ceiling of x is" in row.lacking
            assert "chance" in row.lacking
        assert all(e.value is None and e.lacking for e in found.extrapolated)
    read = Limits.load(found.save(tmp_path / "l.json"))
    assert read.to_json() == found.to_json()
    assert isinstance(read.extrapolated[0], Extrapolation)
    assert "chance" in read.told
    assert read.to_records()[0]["by"] == "metric"


def test_metrics_without_influences_have_intervals_from_blocks() -> None:
    x, y, x2, y2 = modalities(np.random.default_rng(0), 100)
    quartet = Quartet.of(x, y, x2, y2, "")
    ask = Ask(np.arange(100), None, 0.05, 0)
    cka = iso.metric("cka")
    by_influence = measured(cka, quartet, np.arange(100), ask)
    # the same metric through the other door
    object.__setattr__(cka, "influence", lambda xs, ys: None)
    by_blocks = measured(cka, quartet, np.arange(100), ask)
    assert len(by_blocks.moved) == 20
    assert by_blocks.scores == pytest.approx(by_influence.scores)
    widths = [np.diff(m.ratio(0.05)[1:])[0] for m in (by_influence, by_blocks)]
    assert 0.5 < widths[1] / widths[0] < 2
    (row,) = limits(x, y, x2, y2, metrics="cycle_knn(k=5)", neighbors=(), sizes=[100]).by_metric
    assert iso.metric("cycle_knn(k=5)").influence([], []) is None
    assert row.low < row.share < row.high


def test_whole_groups_are_drawn_and_widen_intervals() -> None:
    x, y, x2, y2 = (np.repeat(v, 3, axis=0) for v in modalities(np.random.default_rng(0), 60))
    rng = np.random.default_rng(1)
    x, y, x2, y2 = (v + 0.05 * rng.normal(size=v.shape) for v in (x, y, x2, y2))
    groups = np.repeat(np.arange(60), 3)
    with_groups = limits(x, y, x2, y2, metrics="cka", groups=groups, repeats=2)
    without = limits(x, y, x2, y2, metrics="cka", repeats=2)
    (a,), (b,) = with_groups.by_metric, without.by_metric
    assert a.low < 0.5 < a.high
    assert a.share < b.share  # chance is that of whole groups, so that their copies are no agreement
    assert a.high - a.low > 1.3 * (b.high - b.low)
    for subsets in _galleries(iso.metric("cka"), 180, None, 2, groups, 0):
        for rows in subsets:
            assert np.all(np.bincount(groups[rows], minlength=60) % 3 == 0)


def test_the_same_seed_gives_the_same_bytes() -> None:
    x, y, x2, y2 = modalities(np.random.default_rng(0), 60)
    one, two, other = (limits(x, y, x2, y2, metrics="cka", seed=s).to_json() for s in (0, 0, 1))
    assert one == two
    assert one != other


def test_bad_input_is_refused_in_words() -> None:
    x, y, x2, y2 = modalities(np.random.default_rng(0), 60)
    with pytest.raises(InputError, match=r"x_ceilings\['twin'\] has 50 items and x has 60"):
        limits(x, y, {"twin": x2[:50]}, y2)
    with pytest.raises(InputError, match="row i of both must be the same item"):
        limits(x, y[:50], x2, y2)
    with pytest.raises(InputError, match="y_ceilings is empty"):
        limits(x, y, x2, {})
    with pytest.raises(InputError, match="12 items are too few"):
        limits(x[:12], y[:12], x2[:12], y2[:12])
    with pytest.raises(InputError, match="has no best score"):
        limits(x, y, x2, y2, metrics="cka(estimator='chun')")
    with pytest.raises(InputError, match="sizes must lie between"):
        limits(x, y, x2, y2, sizes=[30, 90])
    with pytest.raises(InputError, match="no relative depth"):
        limits(x, y, x2, y2, depths={2.0: (x, y, x2, y2)})
    with pytest.raises(InputError, match="must be four"):
        limits(x, y, x2, y2, depths={0.5: (x, y)})
    with pytest.raises(InputError, match=r"depths\[0\.5\] has 50 items"):
        limits(x, y, x2, y2, depths={0.5: (x[:50], y[:50], x2[:50], y2[:50])})
    with pytest.raises(InputError, match="5 groups are too few"):
        limits(x, y, x2, y2, groups=np.arange(60) % 5)
    with pytest.raises(InputError, match="alpha="):
        limits(x, y, x2, y2, alpha=0)


def test_on_halves_of_digits_shares_of_neighbours_fall_with_the_gallery_and_those_of_cka_do_not() -> None:
    """Koepke's finding on real data: neighbours across modalities are lost as items are added, those within are not."""
    images = load_digits().images
    order = np.random.default_rng(0).permutation(len(images))
    parts = np.split(order[:1797], [400, 800])

    def principal(half: np.ndarray, rows: np.ndarray) -> np.ndarray:
        flat = half.reshape(len(half), -1)
        return PCA(12, svd_solver="full").fit(flat[rows]).transform(flat[parts[2]])

    left, right = images[:, :, :4], images[:, :, 4:]
    x, x2, y, y2 = (principal(half, rows) for half in (left, right) for rows in parts[:2])
    found = limits(x, y, x2, y2, metrics=["mutual_knn(k=10)", "cka"], neighbors=[5, 50], repeats=3, seed=0)
    near, whole = found.extrapolated
    assert near.falls
    assert not whole.falls
    first, last = (found.of_size("mutual_knn(k=10)")[k] for k in (0, -1))
    assert last.share < 0.8 * first.share
    assert last.x_ceiling > 0.9 * first.x_ceiling
    assert found.by_k[0].share < found.by_k[1].share  # the wider the neighbourhood, the more is shared

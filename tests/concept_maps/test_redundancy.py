"""Redundancy: planted shares are found, intervals cover, the curve is right where it is known, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import isomorph as iso
from isomorph.concept_maps._redundancy import Curve, _critical, redundancies, redundancy, share_at
from isomorph.concept_maps._synthetic import Structure, matched, near
from isomorph.errors import InputError, UnknownNameError
from isomorph.results._limits import STRUCTURES, Reading, Redundancy

from ..test_benchmarks import load

PLANTED = load("redundancy")
METRICS = ["mutual_knn(k=5)", "cka"]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", list(STRUCTURES))
def test_planted_shares_are_found_and_intervals_hold_them(kind: str) -> None:
    """The whole table, 400 trials a cell, is made by benchmarks/redundancy.py."""
    shares, trials = (0.0, 0.2, 0.5, 0.8), 5
    held, off = dict.fromkeys(METRICS, 0), {m: [] for m in METRICS}
    for share in shares:
        for trial in range(trials):
            x, y = PLANTED.planted(kind, share, 100, np.random.default_rng([round(10 * share), trial]))
            for spec, found in zip(METRICS, redundancies(METRICS, x, y, kind=kind, spaces=40, seed=trial), strict=True):
                (read,) = found.readings
                held[spec] += read.low <= share <= read.high
                off[spec].append(read.share - share)
    for spec in METRICS:
        assert held[spec] >= stats.binom.ppf(0.001, len(off[spec]), 0.92), spec
        assert abs(np.mean(off[spec])) < 0.08, spec
        assert np.std(off[spec]) < 0.2, spec


def test_the_benchmark_counts_what_it_measures() -> None:
    rows = PLANTED.cell(("gaussian", 0.3, 60, 0, True))
    assert len(rows) == 6  # two metrics, three kinds
    lines, missed = PLANTED.table(rows, ["gaussian"], 1)
    assert len(lines) == 6
    for line in lines:  # one share of ten was measured
        assert line.count("–") == 9
        assert line.count("(0.") == 1
    wrong = [[*row[:5], 0.9, 0.8, 1.0] for row in rows]
    assert len(PLANTED.table(wrong * 400, ["gaussian"], 400)[1]) == 2
    assert missed == [] or "gaussian, 0.3" in missed[0]


def test_a_wrong_kind_reads_wrongly_and_the_spread_of_the_kinds_shows_it() -> None:
    x, y = PLANTED.planted("clusters", 0.7, 200, np.random.default_rng(1))
    found = redundancy("mutual_knn(k=5)", x, y, seed=0)
    by = {r.structure: r for r in found.readings}
    assert set(by) == set(STRUCTURES)
    assert by["gaussian"].low > 0.7  # neighbours in a cluster of one's own are easy to have in common
    assert by["clusters"].low <= 0.7 <= by["clusters"].high
    assert found.spread > 0.05
    assert found.low <= 0.7 <= found.high
    assert found.low == min(r.low for r in found.readings)
    assert "whatever the kind" in found.told


def test_what_the_structure_carries_is_recovered() -> None:
    for kind in ("clusters", "neighborhoods"):
        x, y = PLANTED.planted(kind, 0.9, 300, np.random.default_rng(2))
        (found,) = redundancy("cka", x, y, kind=kind, spaces=20, seed=0).readings
        assert found.tightness == pytest.approx(0.8, abs=0.12)
    x, y = PLANTED.planted("gaussian", 0.9, 300, np.random.default_rng(2))
    (found,) = redundancy("cka", x, y, kind="clusters", spaces=20, seed=0).readings
    assert found.tightness < 0.5


def test_the_curve_of_cka_is_the_formula_of_gaussian_spaces() -> None:
    rng = np.random.default_rng(0)
    left, right = 1 / np.arange(1, 7), 0.5 ** np.arange(6)
    z, u = rng.normal(size=(2, 1500, 6))
    (found,) = redundancy("cka", z * np.sqrt(left), u * np.sqrt(right), kind="gaussian", seed=0).readings
    top = left @ right / np.linalg.norm(left) / np.linalg.norm(right)  # |Σxy|² = s² Σ λ μ
    assert found.scores == pytest.approx(np.array(found.shares) ** 2 * top, abs=0.02)


def test_ends_are_ends_and_nothing_is_beyond_them() -> None:
    x = np.random.default_rng(0).normal(size=(80, 6))
    for found in redundancies(METRICS, x, 3 * x @ np.linalg.qr(x[:6])[0], kind="gaussian", spaces=40, seed=0):
        (same,) = found.readings
        assert same.high == 1.0
        assert same.share > 0.98
        assert same.reached
    y = np.random.default_rng(1).normal(size=(80, 6))
    for found in redundancies(METRICS, x, y, kind="gaussian", spaces=40, seed=0):
        (apart,) = found.readings
        assert apart.low == 0.0
        assert apart.high < 0.5
    # features whose variances are unlike cannot score so high
    flat, steep = x, x * [8, 4, 2, 1, 0.5, 0.25]
    beyond = Curve.fitted(
        np.linspace(0, 1, 30), np.linspace(0, 0.5, 30) + 0.01 * np.random.default_rng(0).normal(size=30)
    )
    assert not beyond.reaches(0.9, 0.05)
    assert beyond.inverted(0.9, None, 0.05)[::2] == (1.0, 1.0)
    assert iso.metric("cka")(flat, steep) < 0.9


def test_bounds_are_those_of_feldman_and_cousins() -> None:
    """Their table of a Gaussian with a mean of at least 0: upper and lower ends at 95 %."""
    mean = np.linspace(0, 8, 80001)
    c = _critical(mean, np.full(len(mean), 50.0), 1e9, 0.05)
    for seen, low, high in ((-3.0, 0.0, 0.42), (0.0, 0.0, 1.96), (1.0, 0.0, 2.96), (3.0, 1.25, 4.96)):
        best = min(seen, 0.0)
        kept = mean[(seen - mean) ** 2 - best**2 <= c]
        assert kept[0] == pytest.approx(low, abs=0.15)
        assert kept[-1] == pytest.approx(high, abs=0.02)


@pytest.mark.thorough
def test_intervals_of_a_known_curve_cover_what_they_say_at_every_share() -> None:
    places, rng = np.linspace(0, 1, 60), np.random.default_rng(0)
    for share in (0.0, 0.02, 0.3, 0.98, 1.0):
        held = 0
        for _ in range(60):
            curve = Curve.fitted(places, share_at(places) ** 2 + 0.05 * rng.normal(size=60))
            _, low, high = curve.inverted(share**2 + 0.05 * rng.normal(), None, 0.05)
            held += low <= share + 1e-9 and share - 1e-9 <= high
        assert stats.binom.ppf(0.001, 60, 0.92) <= held, share


def test_the_variances_of_the_population_are_found_without_bias_where_features_are_many() -> None:
    law = np.concatenate([[20.0, 5.0, 2.0], np.full(97, 0.3)])
    squares = []
    for seed in range(60):
        x = np.random.default_rng(seed).normal(size=(40, 100)) * np.sqrt(law)
        side = matched(x, "x", turned=False, code=None, noise=0.0)
        squares.append(np.sum(side.deviations.astype(float) ** 4))
        assert np.sum(side.deviations**2) == pytest.approx(np.var(x, axis=0, ddof=1).sum(), rel=1e-5)
        assert len(side.deviations) == 100
    error = np.std(squares) / np.sqrt(len(squares))
    assert np.mean(squares) == pytest.approx(np.sum(law**2), abs=4 * error)


@pytest.mark.parametrize("turned", [False, True])
def test_synthetic_sides_have_the_mean_and_covariance_of_the_data(turned: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4)) @ rng.normal(size=(4, 5)) + 7
    side = matched(x, "x", turned=turned, code=None, noise=0.0)
    made = side.features(rng.normal(size=(40000, 5)))
    if turned:
        assert np.allclose(np.cov(made.T), np.cov(x.T), atol=0.25)
        assert np.allclose(made.mean(axis=0), x.mean(axis=0), atol=0.1)
    lengths = [np.linalg.norm(v.mean(axis=0)) for v in (made, x)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.02)
    assert np.trace(np.cov(made.T)) == pytest.approx(np.trace(np.cov(x.T)), rel=0.05)


@pytest.mark.parametrize(
    "structure", [Structure("clusters", 9), Structure("neighborhoods", 2), Structure("gaussian", 0)]
)
def test_components_are_uncorrelated_of_variance_one(structure: Structure) -> None:
    part = structure.parts(9000, 7, np.random.default_rng(0), None)[0]
    assert part.shape == (9000, 7)
    assert np.allclose(part.T @ part / 9000, np.eye(7), atol=0.08)


def test_groups_are_part_of_the_spaces() -> None:
    """Captions of one image: every group's items are nearly one, so there are fewer than there seem."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 3)
    z, u, v = rng.normal(size=(3, 40, 6))
    x, y = ((np.sqrt(0.5) * z + np.sqrt(0.5) * w)[groups] + 0.2 * rng.normal(size=(120, 6)) for w in (u, v))
    with_groups = redundancy("mutual_knn(k=5)", x, y, kind="gaussian", groups=groups, seed=0)
    without = redundancy("mutual_knn(k=5)", x, y, kind="gaussian", seed=0)
    assert with_groups.groups == 40
    assert with_groups.low <= 0.5 <= with_groups.high
    assert with_groups.share < without.share  # two of five neighbours are shared by the design
    unrelated = redundancy(
        "mutual_knn(k=5)", x, rng.normal(size=(40, 6))[groups] + 0.2 * y, kind="gaussian", groups=groups
    )
    assert unrelated.low == 0.0
    own = redundancy("cka", x, y, kind="gaussian", groups=np.arange(120), spaces=20)  # each item its own group
    assert own.groups == 0


def test_noise_that_is_known_is_no_part_of_the_share() -> None:
    rng = np.random.default_rng(3)
    z, u, v, *noise = rng.normal(size=(5, 400, 6))
    x, y = (
        np.sqrt(0.6) * (np.sqrt(0.7) * z + np.sqrt(0.3) * w) + np.sqrt(0.4) * e
        for w, e in zip((u, v), noise, strict=True)
    )
    told = redundancy("cka", x, y, kind="gaussian", noise=(0.4, 0.4), seed=0)
    untold = redundancy("cka", x, y, kind="gaussian", seed=0)
    assert told.low < 0.7 < told.high
    assert untold.share == pytest.approx(0.42, abs=0.08)  # of all the variance


@pytest.mark.parametrize("spec", ["procrustes_distance", "soft_matching", "ridge_predictivity"])
def test_other_metrics_too(spec: str) -> None:
    x, y = PLANTED.planted("gaussian", 0.6, 60, np.random.default_rng(0))
    (found,) = redundancy(spec, x, y, kind="gaussian", spaces=20, seed=0).readings
    assert found.low < 0.6 < found.high
    sign = -1 if iso.metric(spec).distance else 1
    assert np.all(np.diff(sign * np.array(found.scores)) >= -1e-9)


def test_the_same_seed_gives_the_same_bytes_and_the_file_gives_the_result(tmp_path) -> None:
    x, y = PLANTED.planted("clusters", 0.4, 60, np.random.default_rng(0))
    first, again = (redundancy("cka", x, y, spaces=20, seed=4) for _ in range(2))
    assert first.to_json() == again.to_json()
    read = Redundancy.load(first.save(tmp_path / "r.json"))
    assert read.to_json() == first.to_json()
    assert all(isinstance(r, Reading) for r in read.readings)
    assert redundancy("cka", x, y, spaces=20, seed=5).to_json() != first.to_json()
    alone = redundancy("cka", x, y, kind="neighborhoods", spaces=20, seed=4)  # a kind does not depend on the others
    assert alone.readings[0].to_json() == first.readings[2].to_json()
    counted = []
    redundancy("cka", x, y, kind=("gaussian", "clusters"), spaces=20, advance=counted.append)
    assert sum(counted) == 40


def test_tightness_is_that_of_neighbourhoods_beside_groups() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    twice = np.repeat(x, 2, axis=0) + 1e-9
    assert near(twice, np.repeat(np.arange(200), 2)) > -2
    assert near(np.repeat(x, 8, axis=0), None) < -6  # copies


def test_bad_input_is_refused_in_words() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 60, 4))
    with pytest.raises(InputError, match="row i of both must be the same item"):
        redundancy("cka", x, y[:50])
    with pytest.raises(InputError, match="12 items are too few"):
        redundancy("cka", x[:12], y[:12])
    with pytest.raises(InputError, match="at least 72 are needed by mutual_knn"):
        redundancy("mutual_knn(k=70)", x, y)
    with pytest.raises(UnknownNameError, match="neighborhoods"):
        redundancy("cka", x, y, kind="neighborhood")
    with pytest.raises(InputError, match="each once"):
        redundancy("cka", x, y, kind=["gaussian", "gaussian"])
    with pytest.raises(InputError, match="clusters=40 of 60 items"):
        redundancy("cka", x, y, clusters=40)
    with pytest.raises(InputError, match="noise="):
        redundancy("cka", x, y, noise=(0.2, 1.0))
    with pytest.raises(InputError, match="3 groups are too few"):
        redundancy("cka", x, y, groups=np.arange(60) % 3)
    with pytest.raises(InputError, match="alpha="):
        redundancy("cka", x, y, alpha=95)
    with pytest.raises(InputError, match="constant"):
        redundancy("cka", np.ones((60, 3)), y)

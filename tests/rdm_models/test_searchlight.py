"""Searchlights: every center's score is the metric's, rsatoolbox's too; p by the same permutations for all centers."""

from __future__ import annotations

import numpy as np
import pytest

import isomorph as iso
from isomorph.design import Design
from isomorph.errors import InputError, UnknownNameError
from isomorph.metrics.rdm import compare_rdms, entries_of, noise_precision

N, RADIUS = 14, 1.8  # no two voxels are at just this distance, so that < and ≤ are one
PLACES = np.argwhere(np.ones((6, 5, 4)))


@pytest.fixture(scope="module")
def data():
    """Responses whose first corner shares the space of model `a`, and two models."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, N, 3))
    responses = rng.normal(size=(N, len(PLACES)))
    corner = np.linalg.norm(PLACES, axis=1) < 2.5
    responses[:, corner] += 3 * a @ rng.normal(size=(3, corner.sum()))
    return responses, {"a": iso.RDMs.from_patterns(a), "b": iso.RDMs.from_patterns(b)}, corner


def inside(center):
    return np.linalg.norm(PLACES - PLACES[center], axis=1) <= RADIUS


@pytest.mark.parametrize("comparison", ["pearson", "spearman", "cosine", "whitened_pearson"])
@pytest.mark.parametrize("distance", ["correlation", "cosine", "euclidean"])
def test_scores_are_those_of_rsa_on_the_channels_in_the_sphere(data, distance, comparison):
    responses, models, _ = data
    found = iso.searchlight(responses, PLACES, models, radius=RADIUS, distance=distance, comparison=comparison,
                            permutations=19)  # fmt: skip
    assert found.scores.shape == (len(PLACES), 2)
    for i in (0, 17, 63, 119):
        assert found.sizes[i] == inside(i).sum()
        rdm = iso.RDMs.from_patterns(responses[:, inside(i)], distance=distance)
        for k, model in enumerate(models.values()):
            assert found.scores[i, k] == pytest.approx(compare_rdms(rdm, model, comparison)[0, 0], abs=1e-9)


def test_scores_are_those_of_rsatoolboxs_searchlight(data):
    search = pytest.importorskip("rsatoolbox.util.searchlight")
    from rsatoolbox.inference import eval_fixed
    from rsatoolbox.model import ModelFixed

    responses, models, _ = data
    mask = np.ones((6, 5, 4))
    centers, neighbors = search.get_volume_searchlight(mask, radius=RADIUS, threshold=1.0)
    assert [tuple(p) for p in PLACES] == [tuple(np.unravel_index(i, mask.shape)) for i in range(len(PLACES))]
    theirs = search.get_searchlight_RDMs(responses, centers, neighbors, np.arange(N), method="correlation",
                                         verbose=False)  # fmt: skip
    fixed = [ModelFixed(k, m.dissimilarities[0]) for k, m in models.items()]
    results = search.evaluate_models_searchlight(theirs, fixed, eval_fixed, method="corr")
    found = iso.searchlight(responses, PLACES, models, radius=RADIUS, centers=centers, permutations=19)
    expected = np.array([r.evaluations.reshape(2) for r in results])
    np.testing.assert_allclose(found.scores, expected, rtol=1e-8, atol=1e-10)
    assert found.sizes.tolist() == [len(v) for v in neighbors]


def test_p_values_are_counted_over_the_same_permutations_for_all_centers(data):
    responses, models, _ = data
    found = iso.searchlight(responses, PLACES, models, radius=RADIUS, permutations=60, seed=3)
    orders = Design().orders(N, 60, 3)
    rdms = np.concatenate([iso.RDMs.from_patterns(responses[:, inside(i)]).dissimilarities for i in range(len(PLACES))])
    for k, model in enumerate(models.values()):
        moved = np.concatenate([entries_of(model.dissimilarities, o) for o in orders])
        null = compare_rdms(iso.RDMs.from_arrays(rdms), iso.RDMs.from_arrays(moved), "pearson")
        reached = np.sum(null >= found.scores[:, [k]] - 4e-6, axis=1)
        np.testing.assert_array_equal(found.p_values[:, k], (1 + reached) / 61)
        np.testing.assert_allclose(found.null_maximum[:, k], null.max(axis=0), atol=4e-6)
        most = np.sum(null.max(axis=0)[None] >= found.scores[:, [k]] - 4e-6, axis=1)
        np.testing.assert_array_equal(found.p_maximum[:, k], (1 + most) / 61)
        assert found.chance[k] == pytest.approx(null.mean(), abs=1e-5)


def test_items_that_are_the_same_or_nearly_so_are_scored_as_by_rsa(data):
    responses, models, _ = data
    twins = responses.copy()
    twins[3] = twins[5]
    twins[7] = twins[8] * (1 + 1e-9)
    found = iso.searchlight(twins, PLACES, models, radius=RADIUS, permutations=19)
    for i in (0, 63):
        rdm = iso.RDMs.from_patterns(twins[:, inside(i)])
        assert found.scores[i, 0] == pytest.approx(compare_rdms(rdm, models["a"], "pearson")[0, 0], abs=1e-12)


def test_memory_bounds_blocks_and_changes_nothing(data, monkeypatch):
    from isomorph.rdm_models import _searchlight as module

    responses, models, _ = data
    whole = iso.searchlight(responses, PLACES, models, radius=RADIUS, permutations=60)
    held = []
    real = module._Spheres.blocks

    def watched(self, rows):
        for block in real(self, rows):
            held.append(len(block[2]))
            yield block

    monkeypatch.setattr(module._Spheres, "blocks", watched)
    monkeypatch.setattr(module, "_BLOCK", 12 * (N * (N - 1) // 2) * 7)
    monkeypatch.setattr(module, "_TABLE", 5000)
    small = iso.searchlight(responses, PLACES, models, radius=RADIUS, permutations=60)
    assert max(held) == 7
    np.testing.assert_allclose(small.scores, whole.scores, atol=1e-12)
    np.testing.assert_array_equal(small.p_maximum, whole.p_maximum)
    np.testing.assert_array_equal(small.p_values, whole.p_values)


def test_what_was_planted_is_found_where_it_is(data):
    responses, models, corner = data
    found = iso.searchlight(responses, PLACES, models, radius=RADIUS, permutations=199)
    best = found.best("a")
    assert corner[inside(best["channel"])].any()
    assert best["p_maximum"] == 0.005
    passing = found.p_maximum[:, 0] <= 0.05
    assert passing.any()
    reach = np.array([corner[inside(i)].any() for i in range(len(PLACES))])
    assert reach[passing].all()
    assert found.best("b")["p_maximum"] > 0.005  # its rate is what the next test counts
    np.testing.assert_array_equal(found.scores[:, 0] > found.threshold("a"), passing)
    drawn = found.map("a")
    assert drawn.shape == (len(PLACES),)
    np.testing.assert_array_equal(found.map("a", "p_maximum") <= 0.05, passing)


def test_the_maximum_of_unrelated_responses_passes_in_one_of_twenty():
    # 80 maps, binomial 99.9 % band of 0.05: at most 11
    rng = np.random.default_rng(5)
    passed = 0
    for _ in range(80):
        model = iso.RDMs.from_patterns(rng.normal(size=(8, 3)))
        found = iso.searchlight(rng.normal(size=(8, 40)), np.arange(40), {"m": model}, radius=3, permutations=39)
        passed += bool((found.p_maximum <= 0.05).any())
    assert passed <= 11


@pytest.mark.parametrize("noisy", [False, True])
def test_crossnobis_scores_are_those_of_its_rdms(noisy):
    rng = np.random.default_rng(1)
    conditions, runs = np.tile([f"c{k}" for k in range(6)], 3), np.repeat(range(3), 6)
    responses, residuals = rng.normal(size=(18, 30)), rng.normal(size=(40, 30))
    model = iso.RDMs.from_patterns(rng.normal(size=(6, 4)))
    model = iso.RDMs.from_arrays(model.dissimilarities, [f"c{k}" for k in (3, 1, 0, 2, 5, 4)])
    found = iso.searchlight(responses, np.arange(30), {"m": model}, radius=4, distance="crossnobis", least=5,
                            conditions=conditions, runs=runs, residuals=residuals if noisy else None,
                            permutations=19)  # fmt: skip
    for i in (0, 12, 29):
        near = np.abs(np.arange(30) - i) <= 4
        noise = noise_precision(residuals[:, near]) if noisy else None
        rdm = iso.RDMs.from_patterns(responses[:, near], conditions=conditions, runs=runs, noise=noise,
                                     distance="crossnobis")  # fmt: skip
        expected = compare_rdms(rdm, model.subset(rdm.ids), "pearson")[0, 0]
        assert found.scores[i, 0] == pytest.approx(expected, abs=1e-9)


def test_repeats_are_averaged_and_models_joined_by_name(data):
    responses, models, _ = data
    names = [f"c{k:02d}" for k in range(N)]
    order = np.random.default_rng(0).permutation(N)
    moved = {k: iso.RDMs.from_arrays(entries_of(m.dissimilarities, order), [names[i] for i in order])
             for k, m in models.items()}  # fmt: skip
    twice = np.concatenate([responses + 1, responses - 1])
    found = iso.searchlight(twice, PLACES, moved, radius=RADIUS, conditions=names * 2, permutations=19)
    plain = iso.searchlight(responses, PLACES, models, radius=RADIUS, permutations=19)
    np.testing.assert_allclose(found.scores, plain.scores, atol=1e-9)


def test_centers_without_a_pattern_are_left_out_and_told(data):
    responses, models, _ = data
    broken = responses.copy()
    broken[2, inside(60)] = 0.0  # one item without variation in the sphere of this center
    found = iso.searchlight(broken, PLACES, models, radius=RADIUS, permutations=19)
    assert 60 not in found.centers
    assert np.isnan(found.map("a")[60])
    assert any("their RDM is not defined" in note for note in found.notes)
    mask = np.arange(len(PLACES)) < 20
    some = iso.searchlight(responses, PLACES, models, radius=RADIUS, centers=mask, least=12, permutations=19)
    assert set(some.centers) == {i for i in range(20) if inside(i).sum() >= 12}
    assert any("fewer than 12 channels" in note for note in some.notes)


def test_the_result_is_the_same_again_and_after_a_file(data, tmp_path):
    responses, models, _ = data
    first, again = (iso.searchlight(responses, PLACES, models, radius=RADIUS, permutations=19) for _ in range(2))
    assert first.to_json() == again.to_json()
    loaded = iso.Searchlight.load(first.save(tmp_path / "s.json"))
    assert loaded.to_json() == first.to_json()
    frame = loaded.to_frame()
    assert len(frame) == 2 * len(PLACES)
    assert frame.loc[0, "position"] == (0.0, 0.0, 0.0)
    assert "best" in repr(loaded)
    with pytest.raises(UnknownNameError):
        loaded.map("c")
    with pytest.raises(InputError, match=r"alpha=0\.01"):
        loaded.threshold("a", 0.01)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"radius": 0}, "radius=0"),
        ({"radius": 0.5}, "No center has an RDM: no sphere has 5 channels"),
        ({"positions": PLACES[:5]}, r"positions has shape \(5, 3\)"),
        ({"positions": ["a"] * len(PLACES)}, "holds no numbers"),
        ({"centers": [0, 0]}, "once"),
        ({"centers": [500]}, "500"),
        ({"centers": "all"}, "row numbers"),
        ({"distance": "crossnobis"}, "give conditions= and runs="),
        ({"runs": [1] * N}, "reads none"),
        ({"residuals": np.eye(3)}, "reads none"),
        ({"comparison": "kendall"}, "comparison='kendall'"),
        ({"models": {"flat": np.ones(N * (N - 1) // 2)}}, r"models\['flat'\]: All dissimilarities"),
        ({"models": {"gap": np.where(np.arange(91) == 3, np.nan, np.arange(91.0))}}, "lacks 1 dissimilarities"),
        ({"models": {"small": np.arange(15.0)}}, "has 6 items and responses 14"),
        ({"groups": [1]}, "for each of the 14 items"),
    ],
)
def test_what_cannot_be_searched_is_said(data, arguments, words):
    responses, models, _ = data
    given = {"responses": responses, "positions": PLACES, "models": models, "radius": RADIUS, "permutations": 19}
    with pytest.raises(InputError, match=words):
        iso.searchlight(**given | arguments)

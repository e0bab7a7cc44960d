"""RDMs of measured responses: noise covariance, averaged and cross-validated distances, movies; against rsatoolbox."""

from __future__ import annotations

import numpy as np
import pytest

import isomorph as iso
from isomorph.errors import InputError
from isomorph.metrics.rdm import noise_precision

rsa_data = pytest.importorskip("rsatoolbox.data")
rsa_rdm = pytest.importorskip("rsatoolbox.rdm")

N, CHANNELS, RUNS = 7, 9, 4
SHRUNK = {"diagonal": "shrinkage_diag", "identity": "shrinkage_eye", "variances": "diag", "none": "full"}
THEIRS = {"squared_euclidean": "euclidean", "correlation": "correlation", "mahalanobis": "mahalanobis"}


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def measured(rng, repeats=None):
    """Responses in a shuffled order, conditions and runs; `repeats` extra measurements of the first condition."""
    conditions = np.tile([f"c{k}" for k in range(N)], RUNS)
    runs = np.repeat(np.arange(RUNS), N)
    if repeats:
        conditions, runs = np.append(conditions, ["c0"] * repeats), np.append(runs, [2] * repeats)
    order = rng.permutation(len(runs))
    conditions, runs = conditions[order], runs[order]
    truth = rng.normal(size=(N, CHANNELS))
    mixing = rng.normal(size=(CHANNELS, CHANNELS))
    values = truth[[int(c[1:]) for c in conditions]] + rng.normal(size=(len(runs), CHANNELS)) @ mixing
    return values, conditions, runs


def theirs(values, conditions, runs):
    return rsa_data.Dataset(values.copy(), obs_descriptors={"conds": list(conditions), "runs": [f"r{k}" for k in runs]})


def same(ours, others):
    np.testing.assert_allclose(ours, others, rtol=1e-8, atol=1e-10 * np.abs(others).max())


@pytest.mark.parametrize("shrinkage", sorted(SHRUNK))
@pytest.mark.parametrize(("n", "dof"), [(40, None), (40, 31), (15, None)])
def test_noise_precision_is_rsatoolboxs(rng, shrinkage, n, dof):
    residuals = rng.normal(size=(n, CHANNELS)) @ rng.normal(size=(CHANNELS, CHANNELS)) + 5
    expected = rsa_data.noise.prec_from_residuals(residuals.copy(), dof=dof, method=SHRUNK[shrinkage])
    same(noise_precision(residuals, shrinkage, dof=dof), expected)


def test_shrinkage_to_the_identity_is_scikit_learns_ledoit_wolf(rng):
    from sklearn.covariance import ledoit_wolf

    residuals = rng.normal(size=(30, CHANNELS)) @ rng.normal(size=(CHANNELS, CHANNELS))
    covariance, _ = ledoit_wolf(residuals)
    same(np.linalg.inv(noise_precision(residuals, "identity", dof=30)), covariance)


def test_noise_from_measurements_is_rsatoolboxs_for_unbalanced_data(rng):
    values, conditions, runs = measured(rng, repeats=3)
    expected = rsa_data.noise.prec_from_unbalanced(theirs(values, conditions, runs), "conds")
    ours = iso.RDMs.from_patterns(values, conditions=conditions, noise="measurements", distance="mahalanobis")
    given = iso.RDMs.from_patterns(values, conditions=conditions, noise=expected, distance="mahalanobis")
    same(ours.dissimilarities, given.dissimilarities)


def test_prec_from_measurements_of_rsatoolbox_is_ours_at_its_degrees_of_freedom(rng):
    # it counts (conditions - 1) x repeats where conditions x (repeats - 1) are free
    values, conditions, runs = measured(rng)
    expected = rsa_data.noise.prec_from_measurements(theirs(values, conditions, runs), "conds")
    means = np.stack([values[conditions == c].mean(axis=0) for c in conditions])
    same(noise_precision(values - means, dof=(N - 1) * RUNS), expected)


@pytest.mark.parametrize("distance", sorted(THEIRS))
@pytest.mark.parametrize("repeats", [None, 2])
def test_averaged_distances_are_rsatoolboxs(rng, distance, repeats):
    values, conditions, runs = measured(rng, repeats)
    noise = noise_precision(rng.normal(size=(50, CHANNELS))) if distance == "mahalanobis" else None
    expected = rsa_rdm.calc_rdm(theirs(values, conditions, runs), method=THEIRS[distance], descriptor="conds",
                                noise=noise)  # fmt: skip
    ours = iso.RDMs.from_patterns(values, conditions=conditions, noise=noise, distance=distance)
    same(ours.dissimilarities, expected.dissimilarities)
    assert ours.measure == expected.dissimilarity_measure
    assert ours.ids == tuple(f"c{k}" for k in range(N))


@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize("repeats", [None, 3])
def test_crossnobis_is_rsatoolboxs(rng, noisy, repeats):
    values, conditions, runs = measured(rng, repeats)
    noise = noise_precision(rng.normal(size=(50, CHANNELS)) @ rng.normal(size=(CHANNELS, CHANNELS))) if noisy else None
    expected = rsa_rdm.calc_rdm(theirs(values, conditions, runs), method="crossnobis", descriptor="conds",
                                cv_descriptor="runs", noise=noise)  # fmt: skip
    ours = iso.RDMs.from_patterns(values, conditions=conditions, runs=runs, noise=noise, distance="crossnobis")
    same(ours.dissimilarities, expected.dissimilarities)


def test_the_root_of_the_squared_distance_is_euclidean(rng):
    values = rng.normal(size=(6, 5))
    root, squared = (iso.RDMs.from_patterns(values, distance=d) for d in ("euclidean", "squared_euclidean"))
    same(root.dissimilarities**2, squared.dissimilarities)
    assert root.ids is None


def test_crossed_distances_of_equal_conditions_are_zero_on_average_and_averaged_ones_are_not(rng):
    # 400 draws of noise: the mean of crossnobis has a standard error of its spread over 20
    crossed, plain = [], []
    conditions, runs = np.tile(list("abc"), 4), np.repeat(range(4), 3)
    for _ in range(400):
        noise = rng.normal(size=(12, 5))
        crossed.append(iso.RDMs.from_patterns(noise, conditions=conditions, runs=runs, distance="crossnobis"))
        plain.append(iso.RDMs.from_patterns(noise, conditions=conditions, distance="squared_euclidean"))
    means = np.array([r.dissimilarities.mean() for r in crossed])
    assert abs(means.mean()) < 4 * means.std() / 20
    assert np.mean([r.dissimilarities.mean() for r in plain]) == pytest.approx(2 / 4, rel=0.1)


def test_subjects_of_unlike_widths_are_one_stack_that_rsatoolbox_reads(rng, tmp_path):
    arrays = [rng.normal(size=(12, d)) for d in (5, 8)]
    labels = {"conditions": np.tile(list("abc"), 4), "runs": np.repeat(range(4), 3)}
    rdms = iso.RDMs.from_patterns(arrays, **labels, noise=[None, "measurements"], distance="crossnobis",
                                  subjects=["s1", "s2"])  # fmt: skip
    assert rdms.names == ("s1", "s2")
    alone = iso.RDMs.from_patterns(arrays[1], **labels, noise="measurements", distance="crossnobis")
    same(rdms.dissimilarities[1:], alone.dissimilarities)
    pytest.importorskip("h5py")
    again = rsa_rdm.load_rdm(str(rdms.save(tmp_path / "x.h5")))
    same(rdms.dissimilarities, again.dissimilarities)
    assert again.dissimilarity_measure == "crossnobis"


def test_a_movie_is_rsatoolboxs(rng):
    array, times = rng.normal(size=(5, 6, 12)), np.arange(12) * 0.25
    bins = [list(times[:3]), list(times[4:8])]
    data = rsa_data.TemporalDataset(array.copy(), obs_descriptors={"conds": list("abcde")},
                                    time_descriptors={"time": times})  # fmt: skip
    expected = rsa_rdm.calc_rdm_movie(data, method="euclidean", descriptor="conds", time_descriptor="time",
                                      bins=[np.array(b) for b in bins])  # fmt: skip
    ours = iso.RDMs.movie(array, conditions=list("abcde"), times=times, bins=bins, distance="squared_euclidean")
    same(ours.dissimilarities, expected.dissimilarities)
    np.testing.assert_allclose(ours.rdms["time"], expected.rdm_descriptors["time"])
    every = iso.RDMs.movie(array, times=times, distance="squared_euclidean")
    assert len(every) == 12
    pairs = iso.RDMs.movie(array, times=times, bins=5, distance="squared_euclidean")
    assert pairs.rdms["time"] == [times[:5].mean(), times[5:10].mean()]


def test_a_movie_is_a_side_of_a_scan_whose_best_frame_is_the_planted_one(rng):
    space = rng.normal(size=(30, 8))
    array = rng.normal(size=(30, 8, 5))
    array[:, :, 3] += 2 * space
    movie = iso.RDMs.movie(array, times=[0, 10, 20, 30, 40])
    scan = iso.scan(movie, {"model": space}, "rsa", permutations=99)
    best = next(iter(scan.values())).best()
    assert best.x_layer == "time 30.0"
    assert best.p_maximum <= 0.01


VALUES = np.random.default_rng(0).normal(size=(12, 5))
LABELS = {"conditions": np.tile(list("abc"), 4), "runs": np.repeat(range(4), 3)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"distance": "crossnobis"}, "conditions= is not given"),
        ({"distance": "crossnobis", "conditions": LABELS["conditions"]}, "runs= is not given"),
        ({"distance": "crossnobis", "conditions": ["a"] * 11 + ["b"], "runs": LABELS["runs"]}, "every item is needed"),
        ({"distance": "far"}, "distance='far' is not known"),
        ({"conditions": ["a", "b"] * 6}, "at least 3 items"),
        ({"conditions": ["a"]}, "for each of the 12"),
        ({"conditions": [None] * 12}, "for each of the 12"),
        ({"noise": np.eye(5)}, "reads none"),
        ({"noise": np.eye(4), "distance": "mahalanobis"}, r"noise has shape \(4, 4\)"),
        ({"noise": -np.eye(5), "distance": "mahalanobis"}, "negative eigenvalues"),
        ({"noise": "loud", "distance": "mahalanobis"}, "noise='loud'"),
        ({"noise": "measurements", "distance": "mahalanobis"}, "give conditions="),
        ({"noise": "measurements", "distance": "mahalanobis", "conditions": range(12)}, "leave 0 repeats"),
    ],
)
def test_what_responses_cannot_be_is_said(arguments, words):
    with pytest.raises(InputError, match=words):
        iso.RDMs.from_patterns(VALUES, **arguments)


def test_subjects_with_other_conditions_are_refused():
    with pytest.raises(InputError, match=r"patterns\[1\] has other conditions"):
        iso.RDMs.from_patterns([VALUES, VALUES], conditions=[list("abc") * 4, list("abd") * 4])
    with pytest.raises(InputError, match="noise has 1 entries"):
        iso.RDMs.from_patterns([VALUES, VALUES], noise=[None], distance="mahalanobis")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"bins": 9}, "bins=9"),
        ({"bins": [[7.0]]}, "0 of which"),
        ({"bins": "all"}, "bins='all'"),
        ({"bins": []}, r"bins=\[\]"),
        ({"times": [0, 1]}, "one for each of the 4"),
        ({"times": ["a"] * 4}, "times are numbers"),
    ],
)
def test_what_a_movie_cannot_be_is_said(arguments, words):
    with pytest.raises(InputError, match=words):
        iso.RDMs.movie(np.ones((5, 3, 4)), **arguments)
    with pytest.raises(InputError, match="channels, times"):
        iso.RDMs.movie(np.ones((5, 3)))


def test_a_movie_that_does_not_fit_is_refused_before_it_is_made():
    from isomorph._core.memory import working_memory

    with working_memory("16MB"), pytest.raises(InputError, match="A movie of 200 RDMs of 120 measurements needs"):
        iso.RDMs.movie(np.random.default_rng(0).normal(size=(120, 3, 200)))


def test_residuals_that_tell_no_noise_are_refused():
    rows = np.random.default_rng(0).normal(size=(6, 8))
    with pytest.raises(InputError, match="no invertible covariance"):
        noise_precision(rows, "none")
    rows[:, 2] = 4
    with pytest.raises(InputError, match="channel 2 does not vary"):
        noise_precision(rows)

"""Matching without pairs, and its verdict."""

from __future__ import annotations

import doctest
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from isomorph.errors import InputError, MissingExtraError
from isomorph.maps._assignment import all_pairings, faq, mean_objective, objective, two_opt
from isomorph.matching import _match, blind_match
from isomorph.results import BlindMatch, load_result


def symmetric(n: int, seed: int) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(n, n))
    return a + a.T


def prototypes(images: np.ndarray, labels: np.ndarray, seed: int, width: int) -> np.ndarray:
    """Class means over held-out digits in the last hidden layer of a small network."""
    net = MLPClassifier((width, 32), max_iter=30, random_state=seed, tol=0, n_iter_no_change=31)
    with pytest.warns(match="Maximum iterations"):
        net.fit(images[:1000], labels[:1000])
    rows = images
    for weights, bias in list(zip(net.coefs_, net.intercepts_, strict=True))[:-1]:
        rows = np.maximum(rows @ weights + bias, 0)
    return np.array([rows[1000:][labels[1000:] == c].mean(axis=0) for c in range(10)])


@pytest.fixture(scope="module")
def networks() -> dict[str, np.ndarray]:
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    left, right = (half.reshape(len(images), -1) for half in np.split(images.reshape(-1, 8, 8), 2, axis=2))
    return {
        "whole": prototypes(images, labels, 0, 96),
        "whole, other seed": prototypes(images, labels, 1, 128),
        "left": prototypes(left, labels, 2, 96),
        "right": prototypes(right, labels, 3, 96),
    }


def test_exchanges_reach_a_pairing_that_no_exchange_improves() -> None:
    a, b = symmetric(9, 0), symmetric(9, 1)
    rng = np.random.default_rng(2)
    starts = np.array([rng.permutation(9) for _ in range(30)])
    for start, match in zip(starts, two_opt(a, b, starts), strict=True):
        reached = objective(a, b, match)
        assert sorted(match) == list(range(9))
        assert reached >= objective(a, b, start)
        for i, j in itertools.combinations(range(9), 2):
            other = match.copy()
            other[[i, j]] = match[[j, i]]
            assert objective(a, b, other) <= reached + 1e-9


def test_many_starts_find_the_optimum_that_trying_every_pairing_finds() -> None:
    a, b = symmetric(7, 3), symmetric(7, 4)
    rng = np.random.default_rng(0)
    found = two_opt(a, b, np.array([rng.permutation(7) for _ in range(200)]))
    best = objective(a, b, all_pairings(a, b)[0])
    assert max(objective(a, b, m) for m in found) == pytest.approx(best)
    assert all(objective(a, b, m) <= best + 1e-9 for m in faq(a, b, 3, rng))


@pytest.mark.parametrize("method", ["qap", "gw"])
def test_two_seeds_of_one_network_are_matched_rightly_and_halves_of_the_images_are_refused(
    method: str, networks: dict[str, np.ndarray]
) -> None:
    truth, restarts = np.arange(10), 200 if method == "qap" else 20
    same = blind_match(networks["whole"], networks["whole, other seed"], method=method, truth=truth, restarts=restarts)
    assert same.verdict == "matchable"
    assert same.accuracy == 1.0
    assert same.objective == pytest.approx(same.truth_objective)
    halves = blind_match(networks["left"], networks["right"], method=method, truth=truth, restarts=restarts)
    assert halves.verdict == "not matchable"
    assert halves.accuracy <= 0.3
    assert halves.objective > halves.truth_objective + 0.01


def test_the_truth_is_not_needed_for_the_same_verdicts(networks: dict[str, np.ndarray]) -> None:
    order = np.random.default_rng(0).permutation(10)
    settings = {"restarts": 60, "bootstraps": 20, "seed": 1}
    same = blind_match(networks["whole"], networks["whole, other seed"][order], **settings)
    assert same.verdict == "matchable"
    np.testing.assert_array_equal(order[same.match], np.arange(10))
    assert same.p_value == pytest.approx(1 / 40)
    halves = blind_match(networks["left"], networks["right"][order], **settings)
    assert halves.verdict == "not matchable"


def test_unrelated_prototypes_are_refused(networks: dict[str, np.ndarray]) -> None:
    noise = np.random.default_rng(0).normal(size=(10, 32))
    assert blind_match(networks["whole"], noise, restarts=60, bootstraps=10).verdict == "not matchable"


def test_the_seed_repeats_the_result(networks: dict[str, np.ndarray]) -> None:
    first, second = (
        blind_match(networks["left"], networks["right"], restarts=20, bootstraps=3, surrogates=3, seed=5)
        for _ in range(2)
    )
    assert repr(first) == repr(second)
    np.testing.assert_array_equal(first.match, second.match)
    assert (first.stability, first.p_value) == (second.stability, second.p_value)


def test_forty_rotated_items_are_matched_with_the_help_of_the_relaxed_problem() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 12)) * np.linspace(0.3, 2, 12)
    order = rng.permutation(40)
    y = (x @ np.linalg.qr(rng.normal(size=(12, 12)))[0])[order]
    found = blind_match(x, y, truth=np.argsort(order), restarts=20)
    assert found.verdict == "matchable"
    assert found.accuracy == 1.0
    assert found.objective == pytest.approx(1.0)


def test_a_search_that_stops_below_the_truth_decides_nothing() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(28, 3))
    found = blind_match(x, x, truth=np.arange(28), restarts=2, seed=3)
    assert found.objective < found.truth_objective
    assert found.verdict == "undecided"
    assert "more restarts" in found.reason


def test_up_to_seven_items_every_pairing_is_tried() -> None:
    x = np.random.default_rng(0).normal(size=(5, 4))
    found = blind_match(x, x[[2, 0, 1, 4, 3]], truth=[1, 2, 0, 4, 3])
    assert found.verdict == "matchable"
    assert found.hit_rate == 1.0


def test_without_bootstraps_or_surrogates_and_without_the_truth_nothing_is_decided() -> None:
    x = np.random.default_rng(0).normal(size=(6, 4))
    assert blind_match(x, x, bootstraps=0, surrogates=0).verdict == "undecided"


def test_too_few_surrogates_to_pass_decide_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(9, 12))
    few = blind_match(x, x, restarts=20, bootstraps=3, surrogates=18)
    assert few.verdict == "undecided"
    assert "at least 19 surrogates" in few.reason
    assert blind_match(x, x, restarts=20, bootstraps=3, surrogates=19).p_value == pytest.approx(0.05)
    noise = np.random.default_rng(1).normal(size=(9, 12))
    assert blind_match(x, noise, restarts=20, bootstraps=3, surrogates=19).verdict == "not matchable"


def test_progress_counts_every_matching() -> None:
    x = np.random.default_rng(0).normal(size=(6, 4))
    for truth, total in ((None, 1 + 4 + 5), (np.arange(6), 1)):
        seen: list[tuple[int, int]] = []
        blind_match(x, x, truth=truth, bootstraps=4, surrogates=5, show=lambda *at, seen=seen: seen.append(at[:2]))
        assert seen[-1] == (total, total)
        assert len(seen) >= total


def test_bad_input_is_refused_by_name() -> None:
    x = np.random.default_rng(0).normal(size=(6, 4))
    for arguments, word in (
        ({"y": x[:5]}, "same item"),
        ({"x": x[:2], "y": x[:2]}, "at least 3"),
        ({"truth": [0, 1, 2, 3, 4, 4]}, "truth"),
        ({"method": "lp"}, "method"),
        ({"restarts": 1}, "restarts"),
        ({"required": 1.5}, "required"),
        ({"x": np.ones((6, 4))}, "constant"),
    ):
        with pytest.raises(InputError, match=word):
            blind_match(**({"x": x, "y": x} | arguments))


def test_without_pot_the_message_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    x = np.random.default_rng(0).normal(size=(9, 4))
    with pytest.raises(MissingExtraError, match="POT"):
        blind_match(x, x, method="gw")


def test_the_chance_level_of_the_objective_is_its_mean_over_all_pairings() -> None:
    a, b = symmetric(6, 5), symmetric(6, 6)
    every = [objective(a, b, np.array(p)) for p in itertools.permutations(range(6))]
    assert mean_objective(a, b) == pytest.approx(np.mean(every))
    x, y = np.random.default_rng(1).normal(size=(2, 6, 4))
    found = blind_match(x, y, truth=np.arange(6))
    grams = [(v - v.mean(0)) @ (v - v.mean(0)).T for v in (x, y)]
    a, b = (g / np.linalg.norm(g) for g in grams)
    every = [objective(a, b, np.array(p)) for p in itertools.permutations(range(6))]
    assert found.chance_objective == pytest.approx(np.mean(every))
    assert found.objective == pytest.approx(max(every))


def test_the_p_counts_the_unrelated_spaces_that_the_result_holds(networks: dict[str, np.ndarray]) -> None:
    found = blind_match(networks["left"], networks["right"], restarts=20, bootstraps=2, surrogates=15, seed=3)
    other = np.array(found.surrogate_objectives)
    assert len(other) == 15
    assert found.p_value == (1 + np.sum(other >= found.objective)) / 16
    assert found.chance_objective < other.min()  # the search takes the best of all pairings there too
    assert f"best of 15 unrelated spaces {other.max():.4f}" in repr(found)


def test_a_match_comes_back_from_its_file_and_one_of_before_too(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4))
    found = blind_match(x, x[::-1], bootstraps=2, surrogates=3)
    back = load_result(found.save(tmp_path / "m.json"))
    assert isinstance(back, BlindMatch)
    assert back.to_json() == found.to_json()
    fields = json.loads(found.to_json())
    del fields["chance_objective"], fields["surrogate_objectives"]
    (tmp_path / "old.json").write_text(json.dumps(fields))
    old = load_result(tmp_path / "old.json")
    assert (old.objective, old.p_value, old.chance_objective) == (found.objective, found.p_value, None)
    assert f"objective {old.objective:.4f})" in repr(old)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("match", [0, 1, 2, 3, 4, 4], "once"),
        ("match", [0, 1, 2], "once"),
        ("x_ids", ["a", "b"], "2 ids for 6"),
        ("hit_rate", 1.5, "hit_rate"),
        ("stability", -1.0, "stability"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path: Path, field: str, value: object, says: str) -> None:
    x = np.random.default_rng(0).normal(size=(6, 4))
    fields = json.loads(blind_match(x, x, bootstraps=2, surrogates=3).to_json())
    if field == "match":
        fields["match"] |= {"data": value, "shape": [len(value)]}  # type: ignore[arg-type]  # a list
    else:
        fields[field] = value
    (tmp_path / "m.json").write_text(json.dumps(fields))
    with pytest.raises(InputError, match=says):
        load_result(tmp_path / "m.json")


def test_the_example_of_the_docs_runs() -> None:
    done = doctest.testmod(_match)
    assert done.attempted >= 7
    assert done.failed == 0


def test_matrices_of_all_pairs_that_do_not_fit_the_limit_are_refused_before_they_are_made():
    x = np.random.default_rng(0).normal(size=(1000, 4))
    with pytest.raises(InputError, match=r"Matching 1,000 items without pairs needs 48 MB.*x.subset\(ids\)"):
        blind_match(x, x, memory="16MB")

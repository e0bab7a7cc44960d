"""Late fusion, products of experts, votes and the shared space, by hand and by plain linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import linalg, special

from isomorph.errors import InputError
from isomorph.heads import Target, fit_linear, folds_of, log_loss, make_head

Matrix = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
N, FIT = 200, 140
HIDDEN = RNG.standard_normal((N, 2))
SPACES = {
    name: HIDDEN @ RNG.standard_normal((2, d)) + RNG.standard_normal((N, d))
    for name, d in (("x", 5), ("y", 4), ("z", 3))
}
CLASSES = Target("classes", np.digitize(HIDDEN[:, 0], [-0.4, 0.6]), ("low", "middle", "high"))
LABELS = Target("labels", (HIDDEN > 0.2).astype(int), ("a", "b"))
NUMBERS = Target("numbers", HIDDEN, ("a", "b"))
TRAIN = np.arange(FIT)


def of(names: str, rows: Any) -> dict[str, Matrix]:
    return {k: SPACES[k][rows] for k in names}


def alone(target: Target) -> dict[str, Any]:
    """The linear model of each space."""
    fitted = target.take(TRAIN)
    folds = folds_of(fitted, None, 0)
    return {k: fit_linear({k: rows}, fitted, folds=folds) for k, rows in of("xyz", TRAIN).items()}


def head(spec: str, target: Target) -> Any:
    return make_head(spec).fit(of("xyz", TRAIN), target.take(TRAIN))


TEST = np.arange(FIT, N)


def said(target: Target, names: str = "xyz") -> list[Matrix]:
    return [alone(target)[k].predict({k: SPACES[k][TEST]}) for k in names]


@pytest.mark.parametrize("target", [CLASSES, LABELS, NUMBERS], ids=lambda t: t.kind)
@pytest.mark.parametrize("names", ["xyz", "xz"])
def test_late_is_the_mean_of_what_the_spaces_that_are_there_say(target: Target, names: str) -> None:
    found = head("late", target).predict(of(names, TEST))
    np.testing.assert_allclose(found, np.mean(said(target, names), axis=0), atol=1e-12)


def test_models_of_single_spaces_that_are_known_are_taken() -> None:
    known = alone(CLASSES)
    fitted = make_head("late").fit(of("xyz", TRAIN), CLASSES.take(TRAIN), singles=known)
    assert all(fitted.singles_[k] is known[k] for k in "xyz")


def test_weights_are_those_of_least_loss_on_items_not_seen() -> None:
    fitted = head("late(combine='weighted')", CLASSES)
    unseen, outcomes = [alone(CLASSES)[k].unseen for k in "xyz"], CLASSES.take(TRAIN).outcomes
    grid = [(a, b, 20 - a - b) for a in range(21) for b in range(21 - a)]

    def loss(weights: Any) -> float:
        return float(log_loss(np.tensordot(weights, np.stack(unseen), axes=1), outcomes, "classes").mean())

    assert loss(fitted.weights_) <= min(loss(np.array(w) / 20) for w in grid) + 1e-6
    assert fitted.weights_.sum() == pytest.approx(1)
    two = fitted.weights_[[0, 2]] / fitted.weights_[[0, 2]].sum()
    expected = np.tensordot(two, np.stack(said(CLASSES, "xz")), axes=1)
    np.testing.assert_allclose(fitted.predict(of("xz", TEST)), expected, atol=1e-12)


def _log(p: Matrix) -> Matrix:
    """No expert says less than one in a million."""
    return np.log(np.clip(p, 1e-6, 1 - 1e-6))


def test_stacking_is_a_linear_model_of_log_probabilities_of_items_not_seen() -> None:
    fitted = CLASSES.take(TRAIN)
    inputs = {k: _log(alone(CLASSES)[k].unseen) for k in "xyz"}
    stacked = fit_linear(inputs, fitted, folds=folds_of(fitted, None, 0), banded=False)
    expected = stacked.predict({k: _log(p) for k, p in zip("xyz", said(CLASSES), strict=True)})
    np.testing.assert_allclose(head("late(combine='stacked')", CLASSES).predict(of("xyz", TEST)), expected, atol=1e-9)


@pytest.mark.parametrize("names", ["xyz", "y"])
def test_the_product_of_experts_is_by_hand(names: str) -> None:
    fitted = head("product", CLASSES)
    prior = CLASSES.take(TRAIN).prior
    whole = np.ones(3) * prior
    for k, p in zip(names, said(CLASSES, names), strict=True):
        whole = whole * special.softmax(_log(p) / fitted.heat_[k], axis=1) / prior
    np.testing.assert_allclose(fitted.predict(of(names, TEST)), whole / whole.sum(axis=1, keepdims=True), atol=1e-9)
    for k in "xyz":  # the temperature is the one of least loss on items not seen
        logits, outcomes = _log(alone(CLASSES)[k].unseen), CLASSES.take(TRAIN).outcomes
        at = [
            log_loss(special.softmax(logits / t, axis=1), outcomes, "classes").mean()
            for t in (fitted.heat_[k], *np.geomspace(0.1, 10, 41))
        ]
        assert at[0] <= min(at) + 1e-6


def test_numbers_are_joined_by_their_precision() -> None:
    errors = [np.mean((alone(NUMBERS)[k].unseen - NUMBERS.values[TRAIN]) ** 2) for k in "xyz"]
    weights = 1 / np.array(errors) / np.sum(1 / np.array(errors))
    expected = np.tensordot(weights, np.stack(said(NUMBERS)), axes=1)
    np.testing.assert_allclose(head("product", NUMBERS).predict(of("xyz", TEST)), expected, atol=1e-12)


def test_the_vote_is_won_by_the_majority_and_ties_by_probability() -> None:
    found, each = head("vote", CLASSES).predict(of("xyz", TEST)), said(CLASSES)
    for i, row in enumerate(found):
        votes = np.bincount([p[i].argmax() for p in each], minlength=3)
        first = np.flatnonzero(votes == votes.max())
        mean = np.mean([p[i] for p in each], axis=0)
        assert row.argmax() == first[mean[first].argmax()]
    np.testing.assert_allclose(
        head("vote", NUMBERS).predict(of("xyz", TEST)), np.median(np.stack(said(NUMBERS)), axis=0), atol=1e-12
    )


def test_the_shared_space_is_the_dense_generalized_eigenproblem() -> None:
    fitted = head("shared(dims=3, regularization=0.05)", CLASSES)
    given = []
    for rows in of("xyz", TRAIN).values():
        centered = rows - rows.mean(axis=0)
        given.append(centered / np.sqrt(centered.var(axis=0).sum()))
    wide = np.hstack(given)
    ridge = linalg.block_diag(*(g.T @ g + 0.05 * FIT * np.eye(g.shape[1]) for g in given))
    _, vectors = linalg.eigh(wide.T @ wide, ridge)
    common = wide @ vectors[:, :-4:-1]
    common *= np.sqrt(FIT) / np.linalg.norm(common, axis=0)
    for (k, back), g in zip(fitted.back_.items(), given, strict=True):
        regressed = np.linalg.solve(g.T @ g + 0.05 * FIT * np.eye(g.shape[1]), g.T @ common)
        signs = np.sign(np.sum(back * regressed, axis=0))
        np.testing.assert_allclose(back * signs, regressed, atol=1e-8, err_msg=k)


def test_items_that_lack_a_space_are_served_from_the_shared_space() -> None:
    def right(spec: str, names: str) -> float:
        return float(np.mean(head(spec, CLASSES).predict(of(names, TEST)).argmax(axis=1) == CLASSES.values[TEST]))

    chance = np.bincount(CLASSES.values[TEST]).max() / len(TEST)
    for spec in ("shared", "shared(map='ridge')"):
        assert right(spec, "xyz") > chance + 0.1
        assert right(spec, "x") > chance, spec
        assert right(spec, "y") > chance, spec


def test_a_map_into_a_third_space_takes_two_spaces() -> None:
    two = make_head("shared(map='cca')").fit(of("xy", TRAIN), CLASSES.take(TRAIN))
    for names in ("xy", "x", "y"):
        assert two.predict(of(names, TEST)).shape == (N - FIT, 3)
    with pytest.raises(InputError, match=r"cca.*two spaces.*gcca"):
        head("shared(map='cca')", CLASSES)

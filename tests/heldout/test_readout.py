"""Ridge readouts against leave-one-out done by leaving each item out."""

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.heldout.readout import PENALTIES, classifier, readout


def left_out(x, y, penalty):
    """The summed squared error of every item by a ridge that was fitted without it."""
    error = 0.0
    for i in range(len(x)):
        rows, outcomes = np.delete(x, i, axis=0), np.delete(y, i, axis=0)
        center = rows.mean(axis=0)
        gram = (rows - center) @ (rows - center).T + penalty * np.eye(len(rows))
        coef = (rows - center).T @ np.linalg.solve(gram, outcomes - outcomes.mean(axis=0))
        error += np.sum((y[i] - outcomes.mean(axis=0) - (x[i] - center) @ coef) ** 2)
    return error


@pytest.mark.parametrize(("n", "d"), [(60, 20), (40, 60)])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_penalty_has_the_least_leave_one_out_error_whatever_the_offset(n, d, offset):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, d))
    y = x[:, :2] + rng.normal(size=(n, 2))
    total = np.sum((x - x.mean(axis=0)) ** 2)
    best = min(PENALTIES, key=lambda share: left_out(x, y, share * total))
    assert best not in (PENALTIES[0], PENALTIES[-1])  # or the test would say little
    assert readout(x + offset, y).alpha_ == pytest.approx(best * total, rel=1e-6)


def test_a_readout_is_the_closed_form_and_does_not_depend_on_the_scale_of_the_space():
    rng = np.random.default_rng(0)
    x, y, new = rng.normal(size=(50, 8)) + 3, rng.normal(size=(50, 2)), rng.normal(size=(5, 8))
    centered = x - x.mean(axis=0)
    penalty = 0.01 * np.sum(centered**2)
    coef = np.linalg.solve(centered.T @ centered + penalty * np.eye(8), centered.T @ (y - y.mean(axis=0)))
    expected = (new - x.mean(axis=0)) @ coef + y.mean(axis=0)
    np.testing.assert_allclose(readout(x, y, [0.01]).predict(new), expected)
    np.testing.assert_allclose(readout(1e3 * x, y, [0.01]).predict(1e3 * new), expected)


def test_a_classifier_names_the_labels_it_was_given_and_nothing_else():
    rng = np.random.default_rng(0)
    labels = np.repeat([3, 7, 11], 20)
    x = rng.normal(size=(60, 5)) + 4 * np.eye(5)[np.searchsorted([3, 7, 11], labels)]
    found = classifier(x, labels).predict(x)
    assert set(found) <= {3, 7, 11}
    assert np.mean(found == labels) > 0.95


@pytest.mark.parametrize("fit", [readout, classifier])
def test_rows_that_do_not_vary_are_refused(fit):
    with pytest.raises(InputError, match="var"):
        fit(np.ones((10, 3)), np.arange(10) % 2 if fit is classifier else np.ones((10, 1)))

"""The measures against independent implementations, closed forms and enumeration."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import cohen_kappa_score

import isomorph as iso
from isomorph.output_agreement import (
    agreement,
    calibration_error,
    chance_agreement,
    cohen_kappa,
    debiased_calibration_error,
    error_consistency,
    error_consistency_bounds,
    jensen_shannon,
    kullback_leibler,
    rank_biased_overlap,
    right,
    top_k_overlap,
)

RNG = np.random.default_rng(0)
A = RNG.integers(0, 4, 60)
B = np.where(RNG.random(60) < 0.5, A, RNG.integers(0, 4, 60))
LABELS = np.where(RNG.random(60) < 0.6, A, RNG.integers(0, 4, 60))
P, Q = RNG.dirichlet(np.ones(5), size=(2, 60))
NEAR = 1e-12  # float64 sums of at most some thousand terms of size one


def test_agreement_is_the_share_of_equal_labels_whatever_their_names():
    assert agreement(A, B) == pytest.approx(np.mean(A == B), abs=NEAR)
    assert agreement([f"class {a}" for a in A], [f"class {b}" for b in B]) == agreement(A, B)
    assert agreement(A, A) == 1


def test_agreement_of_scores_is_that_of_their_highest():
    assert agreement(P, Q) == pytest.approx(np.mean(P.argmax(axis=1) == Q.argmax(axis=1)), abs=NEAR)
    assert agreement(P, Q) == agreement(P.argmax(axis=1), Q.argmax(axis=1))


def test_tied_scores_share_the_item_as_if_lots_were_drawn():
    flat, mixed = [[1.0, 1.0, 0.0]], [[0.0, 2.0, 2.0]]
    lots = [a == b for a in (0, 1) for b in (1, 2)]
    assert agreement(flat, mixed) == pytest.approx(np.mean(lots), abs=NEAR)


def test_kappa_equals_scikit_learns():
    assert cohen_kappa(A, B) == pytest.approx(cohen_kappa_score(A, B), abs=NEAR)


def test_chance_agreement_is_the_mean_over_all_re_pairings():
    a, b = A[:6], B[:6]
    means = [np.mean(a == b[list(order)]) for order in itertools.permutations(range(6))]
    assert chance_agreement(a, b) == pytest.approx(np.mean(means), abs=NEAR)


def test_jensen_shannon_equals_the_square_of_scipys_distance():
    assert jensen_shannon(P, Q) == pytest.approx(np.mean(jensenshannon(P, Q, base=2, axis=1) ** 2), abs=NEAR)
    assert jensen_shannon(P, P) == 0
    assert jensen_shannon(np.eye(3), np.eye(3)[[1, 2, 0]]) == 1


def test_kullback_leibler_equals_scipys_relative_entropy_and_has_a_direction():
    assert kullback_leibler(np.log(P), np.log(Q)) == pytest.approx(
        np.mean(stats.entropy(P, Q, base=2, axis=1)), abs=1e-10
    )
    assert kullback_leibler(np.log(P), np.log(Q)) != pytest.approx(kullback_leibler(np.log(Q), np.log(P)), abs=1e-3)


def test_error_consistency_is_the_kappa_of_being_right():
    assert error_consistency(A, B, LABELS) == pytest.approx(cohen_kappa_score(A == LABELS, B == LABELS), abs=NEAR)
    by_scores = error_consistency(P, Q, LABELS)
    assert by_scores == pytest.approx(
        cohen_kappa_score(P.argmax(axis=1) == LABELS, Q.argmax(axis=1) == LABELS), abs=NEAR
    )


def test_the_bounds_of_error_consistency_are_reached_and_not_passed():
    n, first, second = 6, 4, 3
    found = []
    for rows in itertools.combinations(range(n), first):
        for others in itertools.combinations(range(n), second):
            a, b = (np.isin(np.arange(n), r).astype(int) for r in (rows, others))
            found.append(cohen_kappa_score(a, b))
    least, most = error_consistency_bounds(first / n, second / n)
    assert (min(found), max(found)) == pytest.approx((least, most), abs=NEAR)


def by_hand(a, b, d):
    """Overlap of the first d where no two scores tie."""
    return [len({*np.argsort(-x)[:d]} & {*np.argsort(-y)[:d]}) / d for x, y in zip(a, b, strict=True)]


def test_top_k_overlap_counts_what_both_have_among_their_first():
    for k in (1, 2, 5):
        assert top_k_overlap(P, Q, k) == pytest.approx(np.mean(by_hand(P, Q, k)), abs=NEAR)


def test_top_k_overlap_of_ties_is_the_mean_over_all_orders_of_the_tied():
    a, b = np.array([3.0, 2.0, 2.0, 2.0]), np.array([1.0, 1.0, 1.0, 0.0])

    def firsts(scores, k):
        orders = (np.array(o) for o in itertools.permutations(range(4)))
        return [{*o[:k]} for o in orders if np.all(np.diff(scores[o]) <= 0)]

    pairs = [len(x & y) / 2 for x in firsts(a, 2) for y in firsts(b, 2)]
    assert top_k_overlap([a], [b], 2) == pytest.approx(np.mean(pairs), abs=NEAR)


def test_rank_biased_overlap_is_the_weighted_sum_of_overlaps():
    p, columns = 0.8, P.shape[1]
    overlaps = np.array([by_hand(P, Q, d) for d in range(1, columns + 1)])
    weights = (1 - p) * p ** np.arange(columns)
    expected = weights @ overlaps + p**columns  # whole rankings agree in full beyond their end
    assert rank_biased_overlap(P, Q, p) == pytest.approx(expected.mean(), abs=1e-10)
    assert rank_biased_overlap(P, P, p) == pytest.approx(1, abs=1e-10)


def test_calibration_errors_equal_a_sum_over_bins_of_equal_mass():
    labels, bins = np.random.default_rng(4).integers(0, 5, 60), 6
    confidence, hit = P.max(axis=1), P.argmax(axis=1) == labels
    parts = np.array_split(np.argsort(confidence), bins)
    gaps = np.array([abs(confidence[r].mean() - hit[r].mean()) for r in parts])
    noise = np.array([hit[r].mean() * (1 - hit[r].mean()) / (len(r) - 1) for r in parts])
    assert calibration_error(P, labels, bins) == pytest.approx(gaps.mean(), abs=NEAR)
    square = np.mean(gaps**2 - noise)
    assert debiased_calibration_error(P, labels, bins) == pytest.approx(np.sqrt(max(square, 0)), abs=1e-10)


def test_the_debiased_error_of_a_calibrated_model_is_around_zero_and_the_plain_one_is_not():
    rng, plain, debiased = np.random.default_rng(1), [], []
    for _ in range(60):
        p = rng.dirichlet(np.ones(3), size=300)
        labels = (rng.random((300, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
        plain.append(calibration_error(p, labels))
        debiased.append(debiased_calibration_error(p, labels))
    assert np.mean(plain) > 0.06
    assert np.median(debiased) < 0.04


def test_right_says_with_which_probability_a_tied_answer_is_right():
    assert right(A, LABELS).tolist() == (A == LABELS).astype(float).tolist()
    assert right([[1.0, 1.0, 1.0]], [2]).tolist() == pytest.approx([1 / 3])


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: cohen_kappa([1, 1, 1], [1, 1, 1]), "not defined: both always give the same answer"),
        (lambda: agreement([1, 2], [1, 2, 3]), "2 answers and b has 3"),
        (lambda: agreement([1, 2], [[0.5, 0.5]] * 2), "list of labels and the other a matrix"),
        (lambda: jensen_shannon([[0.5, 0.6]], [[0.5, 0.5]]), "adds up to 1.1"),
        (lambda: jensen_shannon([[1.5, -0.5]], [[0.5, 0.5]]), "is not negative"),
        (lambda: jensen_shannon(P, np.full((60, 4), 0.25)), "same columns"),
        (lambda: kullback_leibler(P, Q), "natural log-probabilities are needed"),
        (lambda: error_consistency_bounds(1.0, 1.0), "always right"),
        (lambda: error_consistency_bounds(1.5, 1.0), "accuracy_a=1.5"),
        (lambda: top_k_overlap(P, Q, 6), "k=6"),
        (lambda: rank_biased_overlap(P, Q, 1.0), "persistence=1.0"),
        (lambda: calibration_error(P, [7] * 60), "'7', which is no column"),
    ],
)
def test_what_cannot_be_measured_is_said(made, says):
    with pytest.raises(iso.InputError, match=says):
        made()

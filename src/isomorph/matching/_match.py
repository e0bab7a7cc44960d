"""Matching without pairs, with a verdict: which item of one space is which item of the other, if that can be known.

Two spaces are matched by their inner geometry alone. Some pairing always is the best one, so what matters is whether
the best one means anything. Where the truth is known, the verdict compares the optimum with it; where not, it asks
whether independent starts agree, whether the match survives the loss of a fifth of the features, and whether spaces of
the same spectrum but unrelated geometry can be matched as well. The thresholds were set on class prototypes of the
digits, where they part networks that saw the same images from networks that saw left and right halves.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from .._core.arrays import as_pair, checked_once, to_numpy
from .._core.linalg import centered_scaled
from .._core.memory import limited, require
from .._core.progress import Show, duration, notice, progress
from .._core.provenance import provenance
from ..conditions import Side, as_side
from ..errors import InputError
from ..maps._assignment import EXHAUSTIVE, all_pairings, faq, gromov_wasserstein, mean_objective, objective, two_opt
from ..maps._base import Matrix, as_float64
from ..results import BlindMatch
from .settings import MatchSettings

Verdict = Literal["matchable", "not matchable", "undecided"]
FAQ_STARTS = 10
FAQ_FROM = 30
"""From this many items on, exchanges alone get stuck, and some starts come from the relaxed problem."""
LEVEL = 0.05
KEPT = 0.8
"""Share of the features that a resampling keeps."""


@checked_once()
def blind_match(
    x: Any,
    y: Any,
    *,
    method: Literal["qap", "gw"] = "qap",
    truth: Any = None,
    restarts: int = 200,
    bootstraps: int = 40,
    surrogates: int = 39,
    required: float = 0.9,
    seed: int = 0,
    memory: str | int | None = None,
    budget: float | None = None,
    x_name: str | None = None,
    y_name: str | None = None,
    show: Show = None,
) -> BlindMatch:
    """Match the rows of two spaces without knowing any pair.

    Args:
        x: Features (n, d_x), such as one prototype a class, or `Layers` of one layer.
        y: The same (n, d_y): the same things in an unknown order (in the known order `truth` if that is given). Ids,
            where there are some, play no part: they name the items in the result.
        method: ``qap`` maximises the correlation of centred inner products (CKA over pairings) by exchanges and the
            relaxed problem from many starts; ``gw`` that of distances, by Gromov-Wasserstein couplings.
        truth: Row of `y` (n,) that belongs to each row of `x`, where it is known. It is used for the verdict and never
            by the search.
        restarts: Independent starts; up to 7 items all pairings are tried instead.
        bootstraps: Matchings with resampled features; used where the truth is not known.
        surrogates: Matchings with unrelated spaces of the same spectrum; used where the truth is not known.
        required: Share of items that must be right, or stable, for ``matchable``.
        seed: Seed of everything random.
        memory: Working memory, such as ``"4GB"`` or bytes; None takes what the machine has.
        budget: Seconds that the matchings of `bootstraps` and `surrogates` may take, or None; as many as fit are made.
        x_name: What to call `x` in results.
        y_name: What to call `y`.
        show: How progress is shown, as for `isomorph.show_progress`; None leaves it to that switch.

    Returns:
        A `BlindMatch`. Its objective is a correlation, at most 1. Beside it stand `chance_objective`, that of a random
        pairing, and, where the truth is not known, `surrogate_objectives`, what the same search reaches for unrelated
        spaces: the search takes the best of n! pairings, so the latter are its chance level. That of accuracy is 1/n.

    Raises:
        InputError: if the sides have different numbers of rows, fewer than 3, or no variation, or a setting makes no
            sense.
        MissingExtraError: if `method` is ``gw`` and POT is not installed.

    Source: Schnaus et al. 2025 (quadratic assignment over class prototypes); the verdict is ours.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(9, 6))
        >>> turned = x @ np.linalg.qr(rng.normal(size=(6, 6)))[0]  # the same geometry in other coordinates
        >>> found = iso.blind_match(x, turned[::-1], restarts=20)
        >>> found.match  # row of y for each row of x
        array([8, 7, 6, 5, 4, 3, 2, 1, 0])
        >>> found.p_value  # no unrelated space of 39 matches as well
        0.025
    """
    settings = MatchSettings(method, restarts, bootstraps, surrogates, required, seed, memory, budget)
    left, right = _side(x, "x", x_name), _side(y, "y", y_name)
    a, b = _rows(left, right)
    n = len(a)
    with limited(memory):
        # a matrix of all pairs of either side, of their resampled features, and what the search makes of them
        require(6 * 8 * n * n, f"Matching {n:,} items without pairs", "Match fewer of them, such as x.subset(ids).")
        found = _found(a, b, None if truth is None else _permutation(truth, n), settings, show)
    known = {"x": dict(left.facts), "y": dict(right.facts)}
    return dataclasses.replace(
        found,
        x_name=left.name,
        y_name=right.name,
        x_layer=next(iter(left.layers)),
        y_layer=next(iter(right.layers)),
        x_ids=left.ids or (),
        y_ids=right.ids or (),
        provenance=provenance(call="blind_match", **known, truth=truth is not None, **settings.facts()),
    )


def _found(x: Matrix, y: Matrix, right: Matrix | None, settings: MatchSettings, show: Show) -> BlindMatch:
    """The match of centred rows, with the verdict."""
    n, search, required = len(x), _Search(settings.method, settings.restarts), settings.required
    rng = np.random.default_rng(settings.seed)
    a, b = search.similarities(x), search.similarities(y)
    total = 1 if right is not None else 1 + settings.bootstraps + settings.surrogates
    kept: list[float] = []
    others: list[float] = []
    with progress(total, "matching without pairs", unit="matchings", show=show) as advance:
        match, best, hit_rate = search.run(a, b, rng)
        advance(1)
        if right is None:
            half = None if settings.budget is None else settings.budget / 2
            for _ in _while_time(settings.bootstraps, half):
                kept.append(float(np.mean(search.run(*search.resampled(x, y, rng), rng)[0] == match)))
                advance(1)
            for _ in _while_time(settings.surrogates, half):
                others.append(search.run(a, search.similarities(_unrelated(y, rng)), rng)[1])
                advance(1)
    facts, chance = settings.facts(), mean_objective(a, b)
    if right is not None:
        accuracy, at_truth = float(np.mean(match == right)), objective(a, b, right)
        verdict, reason = _against_truth(best, at_truth, accuracy, required)
        known = BlindMatch(match, verdict, reason, best, at_truth, accuracy, hit_rate, None, None, n, facts)
        return dataclasses.replace(known, chance_objective=chance)
    stability = float(np.mean(kept)) if kept else None
    p = (1 + sum(o >= best for o in others)) / (1 + len(others)) if others else None
    verdict, reason = _without_truth(hit_rate, stability, p, required, len(others))
    blind = BlindMatch(match, verdict, reason, best, None, None, hit_rate, stability, p, n, facts)
    return dataclasses.replace(blind, chance_objective=chance, surrogate_objectives=tuple(others))


def _while_time(count: int, seconds: float | None) -> Iterator[int]:
    """Counts up to `count`, or as far as the time allows."""
    start = time.perf_counter()
    for k in range(count):
        if seconds is not None and time.perf_counter() - start > seconds:
            notice(f"{k} of {count} further matchings were made within the budget of {duration(seconds)}.")
            return
        yield k


@dataclasses.dataclass(frozen=True)
class _Search:
    method: str
    restarts: int

    def similarities(self, rows: Matrix) -> Matrix:
        """The matrix to be matched, centred and of unit norm."""
        if self.method == "qap":
            gram = rows @ rows.T
            unit: Matrix = gram / np.linalg.norm(gram)
            return unit
        squares = np.einsum("ij,ij->i", rows, rows)
        distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * rows @ rows.T, 0.0))
        np.fill_diagonal(distances, 0.0)
        off: Matrix = distances - distances.sum() / (len(rows) * (len(rows) - 1))
        np.fill_diagonal(off, 0.0)
        off /= np.linalg.norm(off)
        return off

    def resampled(self, x: Matrix, y: Matrix, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
        """Both matrices from a random part of the features of either side."""
        drawn = []
        for side in (x, y):
            width = side.shape[1]
            columns = rng.permutation(width)[: max(1, round(KEPT * width))]
            drawn.append(self.similarities(side[:, columns]))
        return drawn[0], drawn[1]

    def run(self, a: Matrix, b: Matrix, rng: np.random.Generator) -> tuple[Matrix, float, float]:
        """Best match, its objective, and the share of starts that reached it."""
        found = self._candidates(a, b, rng)
        scores = np.array([objective(a, b, match) for match in found])
        best = int(np.argmax(scores))
        return found[best], float(scores[best]), float(np.mean(scores >= scores[best] - 1e-9))

    def _candidates(self, a: Matrix, b: Matrix, rng: np.random.Generator) -> Matrix:
        n = len(a)
        if n <= EXHAUSTIVE:
            return all_pairings(a, b)
        if self.method == "gw":
            return two_opt(a, b, gromov_wasserstein(a, b, self.restarts, rng))
        relaxed = min(FAQ_STARTS, self.restarts) if n >= FAQ_FROM else 0
        starts = [rng.permutation(n) for _ in range(self.restarts - relaxed)]
        if relaxed:
            starts.extend(faq(a, b, relaxed, rng))
        return two_opt(a, b, np.array(starts))


def _side(given: Any, which: str, name: str | None) -> Side:
    """A side of one layer.

    Raises:
        InputError: if it has several.
    """
    side = as_side(given, which, name)
    if len(side.layers) > 1:
        layers = ", ".join(map(repr, side.layers))
        raise InputError(f"{which} has {len(side.layers)} layers ({layers}); match one: pass {which}[layer].")
    return side


def _rows(left: Side, right: Side) -> tuple[Matrix, Matrix]:
    """Both sides, centred, of unit mean square, in float64; rows stay as they stand, since no pair is known."""
    x, y = (as_float64(next(iter(s.layers.values())), which) for s, which in ((left, "x"), (right, "y")))
    as_pair(to_numpy(x), to_numpy(y), min_items=3)
    return centered_scaled(x, "x"), centered_scaled(y, "y")


def _permutation(truth: Any, n: int) -> Matrix:
    right = np.asarray(truth)
    if right.shape != (n,) or not np.array_equal(np.sort(right), np.arange(n)):
        raise InputError(f"truth must name every row of y from 0 to {n - 1} once, one for each row of x.")
    return right


def _unrelated(rows: Matrix, rng: np.random.Generator) -> Matrix:
    """Centred rows of the same spectrum in random directions of the space of items."""
    n = len(rows)
    _, s, vt = np.linalg.svd(rows, full_matrices=False)
    random = rng.normal(size=(n, len(s)))
    q = np.linalg.qr(random - random.mean(axis=0))[0]
    turned: Matrix = (q * s) @ vt
    return turned


def _against_truth(best: float, truth: float, accuracy: float, required: float) -> tuple[Verdict, str]:
    if best < truth - 1e-9:
        return "undecided", (
            f"The search stopped at {best:.4f}, below the true pairing's {truth:.4f}; more restarts are needed."
        )
    if accuracy >= required:
        return "matchable", "The best pairing is the true one." if accuracy == 1 else (
            f"The best pairing is right for {accuracy:.0%} of the items."
        )
    return "not matchable", (
        f"The best pairing scores {best:.4f}, the true one {truth:.4f}, and only {accuracy:.0%} of the items are "
        "right: the optimum is not the truth."
    )


def _without_truth(
    hit_rate: float, stability: float | None, p: float | None, required: float, surrogates: int
) -> tuple[Verdict, str]:
    if stability is None or p is None:
        return "undecided", "Without the truth the verdict needs bootstraps and surrogates."
    if p > LEVEL and 1 / (1 + surrogates) > LEVEL:  # no outcome could have passed
        return "undecided", (
            f"{surrogates} unrelated spaces cannot give a p of {LEVEL:g} or less (p = {p:.3f}); use at least "
            f"{round(1 / LEVEL) - 1} surrogates."
        )
    if p > LEVEL:
        return "not matchable", f"Unrelated spaces of the same spectrum can be matched as well (p = {p:.3f})."
    if stability < 0.5:
        return "not matchable", f"Only {stability:.0%} of the matches survive resampled features."
    if hit_rate < 0.01:
        return "undecided", "Independent starts do not agree on the best pairing; more restarts are needed."
    if stability < required:
        return "undecided", f"{stability:.0%} of the matches survive resampled features; {required:.0%} are required."
    return "matchable", (
        f"{stability:.0%} of the matches survive resampled features, and unrelated spaces match worse (p = {p:.3f})."
    )

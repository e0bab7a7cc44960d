"""Whether specialists lie farther outside a pool on one kind of items than on another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.checks import as_seed
from ..errors import InputError, quoted
from ._dyads import Interval, as_names, as_square
from .divergence import TIES, Divergence, Roles, assignments_of, diverging, influence_of, intervals_of


@dataclasses.dataclass(frozen=True, eq=False)
class DomainDivergence:
    """Divergence on the items of one domain beside that on those of another, of the same models.

    Attributes:
        domains: Names of the two.
        inside: On the items of the first.
        outside: On the items of the second.
        difference: Difference of `inside` less that of `outside`; above 0 if the specialists lie farther out on the
            first.
        over_items: Interval of it if other items of both domains had been drawn and the models kept. None without
            influences.
        over_models: The same if other models had been drawn, the same for both domains, and the items kept.
        over_both: Both drawn anew. None without influences.
        p_value: p that it is as large, either way, if which models are called specialists is exchanged, two-sided.
        assignments: How many assignments of the word it was held against.
        exact: Whether these are all that there are.
        least_p: The smallest p that so few models allow.
        alpha: Intervals cover 1 - alpha.

    Example:
        >>> points = np.array([[0.0], [0.1], [0.2], [0.3], [2.0], [2.5]])
        >>> far, near = (np.abs(rows - rows.T) for rows in (points, points / 10))
        >>> found = diverging_by_domain({"own": far, "other": near}, specialists=[4, 5], pool=[0, 1, 2, 3])
        >>> round(found.inside.difference, 2), round(found.outside.difference, 2), round(found.difference, 2)
        (1.93, 0.19, 1.74)
    """

    domains: tuple[str, str]
    inside: Divergence
    outside: Divergence
    difference: float
    over_items: Interval | None
    over_models: Interval
    over_both: Interval | None
    p_value: float
    assignments: int
    exact: bool
    least_p: float
    alpha: float

    @property
    def differs(self) -> bool:
        """Whether it is shown over models by the permutation test, and over items where their interval is known."""
        kept = self.over_items is None or not self.over_items.low <= 0 <= self.over_items.high
        return self.p_value <= self.alpha and kept

    @property
    def told(self) -> str:
        """What was found, in a sentence or two."""
        a, b = self.domains
        span = self.over_both or self.over_models
        over = "models" if self.over_both is None else "items and models"
        text = (
            f"Distance of specialists to the pool less that inside it: {self.inside.difference:+.3g} on {a} "
            f"(p = {self.inside.p_value:.2g}), {self.outside.difference:+.3g} on {b} (p = {self.outside.p_value:.2g}). "
            f"Difference {self.difference:+.3g} ({100 * (1 - self.alpha):g} % over {over} {span.low:+.3g} to "
            f"{span.high:+.3g}, p = {self.p_value:.2g} over models)"
        )
        if self.least_p > self.alpha:
            return f"{text}. So few models allow no p below {self.least_p:.2g}: nothing can be shown of other models."
        if not self.differs:
            return f"{text}: not more than chance."
        return f"{text}: they lie farther out on {a if self.difference > 0 else b}."


def diverging_by_domain(
    distances: Mapping[str, Any],
    specialists: Sequence[int],
    pool: Sequence[int],
    *,
    influences: Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
    permutations: int = 9999,
    seed: int = 0,
    alpha: float = 0.05,
) -> DomainDivergence:
    """Whether specialists lie farther outside a pool on one kind of items than on another.

    The models are the same on both, so that the difference of the two divergences is the divergence of the differences
    of distances: models are left out, and roles exchanged, in both at once. No item is in both, so that what the items
    add to its variance is the sum over the two.

    Args:
        distances: Two domains by name -> matrix (models, models), as of `diverging`, in the same units.
        specialists: Indices of the specialists.
        pool: Indices of the generalists, at least three.
        influences: Domain -> influence of its items on the distances, as of `diverging`; None, for all or one, gives no
            intervals over items.
        names: One name a model, for messages and words.
        permutations: Assignments drawn where not all are gone through.
        seed: Seed of the draws.
        alpha: Intervals cover 1 - alpha.

    Raises:
        InputError: if there are not two domains of the same models, or as `diverging`.

    Example:
        >>> points = np.random.default_rng(0).normal(size=(9, 4))
        >>> far = points * np.array([[4]] * 3 + [[1]] * 6)  # three specialists lie farther out, on one kind of items
        >>> between = lambda rows: np.linalg.norm(rows[:, None] - rows, axis=2)
        >>> found = diverging_by_domain({"own": between(far), "other": between(points)}, range(3), range(3, 9))
        >>> found.differs, round(found.p_value, 3)
        (True, 0.012)
    """
    if not isinstance(distances, Mapping) or len(distances) != 2:
        raise InputError(f"distances takes two domains by name, found {quoted(distances)}.")
    first, second = map(str, distances)
    given = influences or {}
    inside, outside = (
        diverging(
            matrix,
            specialists,
            pool,
            influence=given.get(domain),
            names=names,
            permutations=permutations,
            seed=seed,
            alpha=alpha,
        )
        for domain, matrix in distances.items()
    )
    matrices = {domain: as_square(matrix, f"distances[{domain!r}]") for domain, matrix in distances.items()}
    one, other = matrices.values()
    if one.shape != other.shape:
        raise InputError(f"distances are of {len(one)} models on {first} and of {len(other)} on {second}.")
    called, at = as_names(names, len(one)), [*map(int, specialists), *map(int, pool)]
    few, others = one[np.ix_(at, at)], other[np.ix_(at, at)]
    inner = Roles(few - others, len(inside.names))
    value, slack = inner.value(), TIES * float(max(np.abs(few).max(), np.abs(others).max()))
    moves = [influence_of(given.get(domain), matrix, at, called) for domain, matrix in matrices.items()]
    known = [part for part in moves if part is not None]
    spans = intervals_of(inner, value, known if len(known) == len(moves) else None, inside.alpha)
    orders, exact = assignments_of(len(at), len(inside.names), permutations, as_seed(seed))
    gaps = np.abs(inner.reassigned(orders)[0])
    reached = int(np.sum(gaps >= abs(value) - slack))
    p_value = reached / len(orders) if exact else (1 + reached) / (1 + len(orders))
    return DomainDivergence(
        (first, second), inside, outside, value, *spans, p_value, len(orders), exact, inside.least_p, inside.alpha
    )

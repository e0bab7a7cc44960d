"""Specialists against a pool of generalists, from what an atlas keeps of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, UnknownNameError, quoted
from ..population import Direction, Divergence, DomainDivergence, directions, diverging, diverging_by_domain
from ._model_alignment import ModelAlignment

Roles = tuple[tuple[str, ...], tuple[str, ...]]
"""Names of the specialists, and of the models of the pool."""


def divergence_of(alignment: ModelAlignment, roles: Roles, of: str, **rest: Any) -> Divergence:
    """The divergence of specialists from a pool by one metric.

    Raises:
        InputError: if the pool has fewer than three models, or a pair that is needed was not compared.
    """
    matrix, moves = _between(alignment, roles, of)
    return diverging(matrix, *_places(roles), influence=moves, names=[*roles[0], *roles[1]], **rest)


def domain_divergence_of(
    alignments: Mapping[str, ModelAlignment], roles: Roles, of: str, **rest: Any
) -> DomainDivergence:
    """The divergence on two domains, by one metric on each.

    Raises:
        InputError: as `divergence_of`.
    """
    found = {domain: _between(a, roles, of) for domain, a in alignments.items()}
    return diverging_by_domain(
        {domain: matrix for domain, (matrix, _) in found.items()},
        *_places(roles),
        influences={domain: moves for domain, (_, moves) in found.items()},
        names=[*roles[0], *roles[1]],
        **rest,
    )


def two_domains(
    domains: Sequence[str], inside: str | None, outside: str | None, where: str = "domain_divergence"
) -> tuple[str, str]:
    """The two domains that are meant; both may be left out where there are two in all, one where the other is given.

    Args:
        domains: Names of all.
        inside: The first, or None.
        outside: The other, or None.
        where: What asks, for messages.

    Raises:
        InputError: if there are none, or it is not clear which are meant.
        UnknownNameError: if there is no such domain.

    Example:
        >>> two_domains(["music", "speech"], None, None), two_domains(["music", "speech"], "speech", None)
        (('music', 'speech'), ('speech', 'music'))
    """
    if not domains:
        raise InputError(
            f"{where} needs kinds of items, and this atlas is of all items together: give atlas(…, domains=…), a label "
            "set of the items."
        )
    for name in (inside, outside):
        if name is not None and (not isinstance(name, str) or name not in domains):
            raise UnknownNameError(f"domain in {where}", str(name), domains)
    rest = [d for d in domains if d not in (inside, outside)]
    missing = [inside, outside].count(None)
    if (missing and len(rest) != missing) or (not missing and inside == outside):
        raise InputError(
            f"{where}: inside={quoted(inside)} and outside={quoted(outside)} must be two of the domains "
            f"{', '.join(domains)}; with more than two give both, or make them two by domains='LABELSET=VALUE'."
        )
    first = rest.pop(0) if inside is None else inside
    return first, rest.pop(0) if outside is None else outside


def directions_of(alignment: ModelAlignment | None, specialist: str, pool: Sequence[str], alpha: float) -> Direction:
    """What a specialist and a pool tell of each other, by a metric that is not symmetric.

    Raises:
        InputError: if the metric is symmetric, or there is none.
    """
    if alignment is None or alignment.symmetric:
        raise InputError(
            "Which way one model tells of another is asked of a metric that is not symmetric; add "
            "\"ridge_predictivity(direction='x_to_y')\" to the metrics of the atlas."
        )
    own, inner = alignment.position(specialist), [alignment.position(m) for m in pool if m != specialist]
    values, chance = alignment.held_out, alignment.chance
    return directions(
        values[inner, own],
        values[own, inner],
        chance=(float(np.nanmean(chance[inner, own])), float(np.nanmean(chance[own, inner]))),
        alpha=alpha,
    )


def _between(alignment: ModelAlignment, roles: Roles, of: str) -> tuple[Any, Any]:
    """Distances among the models in play, specialists first, and the influence of items on them."""
    rows = [alignment.position(m) for m in (*roles[0], *roles[1])]
    return alignment.distances(of)[np.ix_(rows, rows)], alignment.influence(rows, of)


def _places(roles: Roles) -> tuple[range, range]:
    count = len(roles[0])
    return range(count), range(count, count + len(roles[1]))

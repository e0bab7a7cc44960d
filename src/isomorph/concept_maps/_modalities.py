"""Which labels three modalities share: all of them, two, or none; from one record of label scores a pair.

With θ the chance-corrected agreement of a label in a pair (0 is chance, 1 the most; a share of the ceilings' geometric
mean where both modalities have one), one statement is made of each label and pair:

- θ as estimated is at least `least`: the pair *shares* the label. Its p is that of agreement above chance.
- θ as estimated is below it: the pair is *apart*. Its p is that of agreement of `least` or more, from the upper bound
  of the interval: that nothing was found is no evidence, a narrow interval is. Where a modality has a ceiling whose
  lower bound is not above `stable`, it may be what is not stable in itself, and being apart is not claimed.

The p-values of all labels and pairs are adjusted together. A verdict says something of all three pairs, so that it is
as sure as the least sure of them (intersection-union test, Berger 1982): *all* where all three share the label, a pair
where that alone does, *through* a modality where both of its pairs do and the third is apart, *none* where all three
are apart, and *undecided* where one of them is open. Under Holm's correction the chance of one wrong verdict or more is
at most `alpha`; under Benjamini-Hochberg's the expected share of wrong statements is.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.checks import check_choice, is_share
from .._core.distributions import normal_isf, normal_ppf, t_isf, t_sf
from ..design import label_text
from ..errors import InputError, quoted
from ..nulls.judge import holm
from ..results import SHARED_BY_ALL, SHARED_BY_NONE, SHARED_THROUGH, UNDECIDED, Modalities, listed
from ..significance import benjamini_hochberg, benjamini_yekutieli

Floats = np.ndarray[Any, np.dtype[np.float64]]

CORRECTIONS = ("holm", "bh", "by")
_COLUMNS = ("names", "counts", "scores", "chance", "low", "high", "p_values")
_POWER = 0.8
_FAR = 400.0  # times the items at hand: so many are no advice


@dataclasses.dataclass(frozen=True, eq=False)
class _Pair:
    """Label scores of one pair, in the order of the labels of all; NaN where something is missing.

    Attributes:
        counts: Items.
        agreement: Chance-corrected agreement, as a share of the ceilings where there are any.
        low: Lower bound.
        high: Upper bound.
        above: p of agreement above chance.
        stable: Whether both modalities are known to be stable, as far as ceilings are given.
    """

    counts: Floats
    agreement: Floats
    low: Floats
    high: Floats
    above: Floats
    stable: np.ndarray[Any, np.dtype[np.bool_]]


def modalities(
    pairs: Mapping[tuple[str, str], Any],
    *,
    least: float = 0.1,
    stable: float = 0.1,
    alpha: float = 0.05,
    correction: str = "holm",
    items: Mapping[tuple[str, str], Any] | None = None,
) -> Modalities:
    """Which labels are shared by all three modalities, by two, or by none, and which are not decided.

    Args:
        pairs: Pair of modalities -> its label scores, three in all: a `ConceptMap`'s ``labels``, a `MapLabels`, or a
            mapping with ``names``, ``counts``, ``scores``, ``chance``, ``low``, ``high`` (bounds at 1 - alpha, scores
            at most 1) and ``p_values`` (one-sided, of scores above chance); ``x_ceilings`` and ``y_ceilings`` of the
            first and second modality, chance-corrected (labels, 3) with their bounds, are used where they are there.
        least: Agreement from which on a label counts as shared: with chance 0 and the most 1, or the ceilings 1.
        stable: Ceiling that a modality must be shown to exceed before a label can be apart from it.
        alpha: Level.
        correction: Over labels and pairs: ``"holm"`` (no wrong verdict at all), ``"bh"`` or ``"by"`` (few).
        items: Pair -> q of each item, same items in each: they are counted by the pairs in which q is at most alpha.

    Raises:
        InputError: if there are not three pairs of three modalities, a label is missing in one, or numbers do not fit.

    Example:
        >>> from isomorph.concept_maps import map_items
        >>> x, *e = np.random.default_rng(0).normal(size=(4, 400, 4))
        >>> both = np.arange(400)[:, None] < 200  # speech has the first half only
        >>> spaces = {"image": x + 0.1 * e[0], "text": x + 0.1 * e[1], "speech": np.where(both, x, e[2])}
        >>> labels = ["dog"] * 200 + ["law"] * 200
        >>> pairs = [("image", "text"), ("image", "speech"), ("text", "speech")]
        >>> found = modalities({(a, b): map_items("ridge", spaces[a], spaces[b], labels=labels).labels
        ...                     for a, b in pairs}, least=0.2)
        >>> found.labels, found.verdicts
        (('dog', 'law'), ('all', 'image+text'))
    """
    for name, value in (("least", least), ("stable", stable), ("alpha", alpha)):
        if not is_share(value):
            raise InputError(f"{name}={quoted(value)}: a share between 0 and 1 is needed.")
    check_choice(correction, "correction", CORRECTIONS)
    names, given = _three(pairs)
    order = [(0, 1), (0, 2), (1, 2)]
    keys = tuple((names[i], names[j]) for i, j in order)
    labels = _labels(given)
    read = [_read(given[frozenset(key)], labels, key, alpha, stable) for key in keys]
    agreement, low, high, above, counts = (
        np.stack([getattr(p, name) for p in read], axis=1) for name in ("agreement", "low", "high", "above", "counts")
    )
    error, degrees = _errors(agreement, high, counts, alpha)
    looks_shared = agreement >= least
    p = np.where(looks_shared, above, _apart(agreement, error, degrees, counts, least))
    unstable = ~looks_shared & ~np.stack([r.stable for r in read], axis=1)
    p = np.where(np.isnan(agreement) | np.isnan(p) | unstable, 1.0, p)
    adjusted = _adjusted(p, correction)
    status = np.where(adjusted > alpha, 0, np.where(looks_shared, 1, -1))
    words = ["+".join(key) for key in keys]
    found = [_verdict(tuple(int(s) for s in row), names, words) for row in status]
    return Modalities(
        names=names,
        pairs=keys,
        labels=labels,
        counts=counts.min(axis=1).astype(np.int64),
        agreement=agreement,
        low=low,
        high=high,
        p_values=adjusted,
        status=status.astype(np.int64),
        verdicts=tuple(found),
        reasons=tuple(_reason(status[i], agreement[i], unstable[i], words) for i in range(len(labels))),
        needed=_needed(agreement, error, status, unstable, counts, (least, alpha)),
        least=float(least),
        alpha=float(alpha),
        correction=correction,
        items={} if items is None else _counted(items, names, keys, alpha),
    )


# ---- reading ------------------------------------------------------------------------------------------------


def _three(pairs: Any) -> tuple[tuple[str, ...], dict[frozenset[str], tuple[tuple[str, str], Any]]]:
    """The three modalities in the order in which they are named, and the record of each pair.

    Raises:
        InputError: if they are not three pairs of three.
    """
    wanted = 'three pairs of three modalities, such as ("image", "text"), ("image", "speech") and ("text", "speech")'
    if not isinstance(pairs, Mapping):
        raise InputError(f"pairs must be a mapping with {wanted}, found {type(pairs).__name__}.")
    for key in pairs:
        whole = isinstance(key, tuple) and len(key) == 2 and all(isinstance(k, str) for k in key)
        if not whole or key[0] == key[1]:
            raise InputError(f"pairs: {quoted(key)} is no pair of two names; {wanted} are needed.")
    names = tuple(dict.fromkeys(name for key in pairs for name in key))
    found = {frozenset(key): (key, record) for key, record in pairs.items()}
    if len(names) == 2:
        raise InputError(
            f"pairs names two modalities only, {listed(names)}; what a third shares is asked here. For two, the "
            "verdicts of their map of concepts say it."
        )
    if len(names) != 3 or len(found) != 3 or len(pairs) != 3:
        raise InputError(f"pairs holds {len(pairs)} pairs of {len(names)} modalities; {wanted} are needed.")
    return names, found


def _labels(given: Mapping[frozenset[str], tuple[tuple[str, str], Any]]) -> tuple[str, ...]:
    """The labels, which all pairs must have.

    Raises:
        InputError: if one has no labels, or lacks one.
    """
    named = {}
    for key, record in given.values():
        texts = tuple(map(label_text, _column(record, "names", key)))
        twice = [t for t, count in Counter(texts).items() if count > 1]
        if not texts or twice:
            raise InputError(f"pairs[{key}].names " + (f"holds {quoted(twice[0])} twice." if twice else "is empty."))
        named[key] = texts
    every = tuple(dict.fromkeys(label for texts in named.values() for label in texts))
    for key, texts in named.items():
        missing = [label for label in every if label not in set(texts)]
        if missing:
            raise InputError(
                f"pairs[{key}] lacks {len(missing)} of {len(every)} labels, such as {quoted(missing[0])}, that another "
                "pair has; give all three the same labels, of the same items."
            )
    return every


def _column(record: Any, name: str, key: tuple[str, str], default: Any = None) -> Any:
    """One column of a record, an attribute or an entry.

    Raises:
        InputError: if it has none and there is no default.
    """
    value = record.get(name, default) if isinstance(record, Mapping) else getattr(record, name, default)
    if value is None:
        raise InputError(f"pairs[{key}] has no {name}; a record of label scores has {listed(_COLUMNS)}.")
    return value


def _read(
    given: tuple[tuple[str, str], Any], labels: Sequence[str], key: tuple[str, str], alpha: float, stable: float
) -> _Pair:
    """The record of a pair, in the order of the labels.

    Raises:
        InputError: if columns have other lengths, or numbers out of range.
    """
    own, record = given
    place = {label_text(name): i for i, name in enumerate(_column(record, "names", own))}
    rows = [place[label] for label in labels]
    columns = {name: _numbers(_column(record, name, own), name, own, len(place))[rows] for name in _COLUMNS[1:]}
    score, chance, low, high, p = (columns[k] for k in ("scores", "chance", "low", "high", "p_values"))
    with np.errstate(invalid="ignore"):
        for bad, what in (
            ((p < 0) | (p > 1), "p_values outside [0, 1]"),
            ((low > score + 1e-9) | (high < score - 1e-9), "scores outside low and high"),
            (score > 1 + 1e-9, "scores above 1, the most"),
            (columns["counts"] < 1, "counts below 1"),
        ):
            if bad.any():
                raise InputError(f"pairs[{own}] has {what}, such as that of {quoted(labels[int(np.argmax(bad))])}.")
    room = np.where(1 - chance > 1e-12, 1 - chance, np.nan)
    theta, lower, upper = ((v - chance) / room for v in (score, low, high))
    ceilings = [_ceiling(record, f"{side}_ceilings", own, len(place), rows) for side in ("x", "y")]
    steady = np.ones(len(rows), dtype=bool)
    for ceiling in ceilings:
        if ceiling is not None:
            steady &= ceiling[:, 1] > stable
    if all(c is not None for c in ceilings):
        theta, lower, upper = _shares(theta, lower, upper, *ceilings)  # type: ignore[arg-type]  # none is None
    return _Pair(columns["counts"], theta, lower, upper, p, steady)


def _numbers(values: Any, name: str, key: tuple[str, str], count: int) -> Floats:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"pairs[{key}].{name} must be numbers, one a label, found {quoted(values)}.") from error
    if found.shape != (count,):
        raise InputError(f"pairs[{key}].{name} has shape {found.shape} for {count} labels; one number each is needed.")
    return found


def _ceiling(record: Any, name: str, key: tuple[str, str], count: int, rows: Sequence[int]) -> Floats | None:
    """A ceiling (labels, 3) with its bounds, or None where none is given.

    Raises:
        InputError: if it has another shape.
    """
    try:
        found = np.asarray(_column(record, name, key, ()), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"pairs[{key}].{name} must be numbers (labels, 3).") from error
    if found.size == 0:
        return None
    if found.shape != (count, 3):
        raise InputError(f"pairs[{key}].{name} has shape {found.shape}; value, low and high of {count} labels make it.")
    return found[list(rows)]


def _shares(theta: Floats, low: Floats, high: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Agreement and its bounds over the geometric mean of two ceilings, their half widths added as independent ones.

    Where a ceiling is not above 0 the agreement is left as it is.
    """
    known = (x[:, 0] > 0) & (y[:, 0] > 0)
    a, b = (np.where(known, c[:, 0], 1.0) for c in (x, y))
    ceiling = np.sqrt(a * b)
    share = theta / ceiling
    bounds = []
    for own, side in ((low, 2), (high, 1)):  # a higher ceiling makes for a lower share
        parts = [(own - theta) / ceiling, *(share * (c[:, side] - c[:, 0]) / (2 * v) for c, v in ((x, a), (y, b)))]
        bounds.append(np.sqrt(np.sum(np.square(parts), axis=0)))
    return (
        np.where(known, share, theta),
        np.where(known, share - bounds[0], low),
        np.where(known, share + bounds[1], high),
    )


# ---- deciding -----------------------------------------------------------------------------------------------


def _errors(agreement: Floats, high: Floats, counts: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Standard errors that the upper bounds tell, and degrees of freedom."""
    degrees = np.maximum(counts - 1, 1)
    return (high - agreement) / t_isf(alpha / 2, degrees), degrees


def _apart(agreement: Floats, error: Floats, degrees: Floats, counts: Floats, least: float) -> Floats:
    """P-value of agreement of `least` or more, where it seems to be less.

    An interval of no width is one of items that all score the same. If a share `least` of such items agreed, all of
    `counts` would have missed them with probability (1 - least)^counts.
    """
    wide = error > 1e-12
    tail = t_sf((least - agreement) / np.where(wide, error, 1.0), degrees)
    return np.asarray(np.where(np.isnan(error), np.nan, np.where(wide, tail, (1 - least) ** counts)))


def _adjusted(p: Floats, correction: str) -> Floats:
    """p-values adjusted for all labels and pairs."""
    adjust = {"holm": holm, "bh": benjamini_hochberg, "by": benjamini_yekutieli}
    return np.asarray(adjust[correction](p))


def _verdict(status: tuple[int, ...], names: Sequence[str], words: Sequence[str]) -> str:
    """The verdict of what is said of the first and second, the first and third, and the second and third."""
    if 0 in status:
        return UNDECIDED
    shared = [k for k, s in enumerate(status) if s > 0]
    if len(shared) == 2:  # the modality that is not in the third pair: of pairs 0 and 1 the first, and so on
        return SHARED_THROUGH + names[sum(shared) - 1]
    return {0: SHARED_BY_NONE, 1: words[shared[0]] if shared else "", 3: SHARED_BY_ALL}[len(shared)]


def _reason(status: Any, agreement: Floats, unstable: Any, words: Sequence[str]) -> str:
    """What leaves a label undecided, in words."""
    parts = []
    for k in np.flatnonzero(status == 0).tolist():
        if np.isnan(agreement[k]):
            parts.append(f"{words[k]} has no score")
        elif unstable[k]:
            parts.append(f"{words[k]} is low, and one of both is not shown to be stable by its ceiling")
        else:
            parts.append(f"{words[k]} is open at {agreement[k]:.2f}")
    return "; ".join(parts)


def _needed(
    agreement: Floats, error: Floats, status: Any, unstable: Any, counts: Floats, levels: tuple[float, float]
) -> Floats:
    """Items with which the open pairs of each label would be decided as they look, in 80 of 100 samples.

    Errors fall as 1 / sqrt(items); the level of a test is that of the first step of Holm's.
    """
    least, alpha = levels
    reach = normal_isf(alpha / agreement.size) + normal_ppf(_POWER)
    away = np.where(agreement >= least, agreement, least - agreement)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = (reach * error / away) ** 2
    is_open = status == 0
    can = is_open & ~unstable & np.isfinite(times) & (times <= _FAR) & (error > 0)
    found = np.where(can, np.maximum(times, 1.0) * counts, 0.0).max(axis=1)
    said = is_open.any(axis=1) & (can == is_open).all(axis=1)
    return np.where(said, np.ceil(found), np.nan)


def _counted(
    items: Mapping[tuple[str, str], Any], names: Sequence[str], keys: Sequence[tuple[str, str]], alpha: float
) -> dict[str, int]:
    """How many items are told by which pairs.

    Raises:
        InputError: if a pair is missing, items differ in number, or a q is out of range.
    """
    try:
        found = {frozenset(key): np.asarray(q, dtype=np.float64) for key, q in items.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"items must be a mapping from pair to the q of each item, found {quoted(items)}.") from error
    if set(found) != {frozenset(key) for key in keys}:
        raise InputError(f"items must have the q of each item for the same pairs of {listed(names)} as pairs=.")
    sizes = {q.shape for q in found.values()}
    if len(sizes) > 1 or any(len(s) != 1 for s in sizes):
        raise InputError(f"items: the pairs have q of shapes {sorted(sizes)}; they must be of the same items.")
    told = np.stack([found[frozenset(key)] for key in keys], axis=1)
    if not np.all((told >= 0) & (told <= 1)):
        raise InputError("items holds a q outside [0, 1].")
    words = ["+".join(key) for key in keys]
    patterns = [" and ".join(w for w, t in zip(words, row, strict=True) if t) or "no pair" for row in told <= alpha]
    order = sorted(Counter(patterns).items(), key=lambda kv: (kv[0] == "no pair", kv[0]))
    return dict(order)

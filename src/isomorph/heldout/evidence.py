"""What held-out scores show: intervals, margins over controls, p-values from refits to permuted pairs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from ..nulls.judge import counted_p
from ..results import Margin, Score
from ..significance import maximum_p
from .bootstrap import Bootstrap
from .scores import Scores


def shared_names(scores: Sequence[Scores]) -> set[str]:
    """Names of the scores that there are in every split."""
    return set.intersection(*(set(s) for s in scores))


def summaries(scores: Sequence[Scores], bootstrap: Bootstrap) -> dict[str, Score]:
    """Mean over the splits and interval of every score that there is in all of them, by name."""
    return {name: bootstrap.score([s[name] for s in scores]) for name in sorted(shared_names(scores))}


def margins(
    own: Sequence[Scores],
    controls: Mapping[str, Sequence[Scores]],
    bootstrap: Bootstrap,
    *,
    descending: Collection[str] = (),
    comparable: Callable[[str, str], bool] = lambda _name, _control: True,
) -> dict[str, dict[str, Margin]]:
    """How far each score lies above the same score of each control, over the same splits and items.

    Args:
        own: Scores in each split.
        controls: Control -> its scores in each split.
        bootstrap: Draws of splits and items.
        descending: Scores of which less is better.
        comparable: Whether a score (by name) may be held against a control (by name).
    """
    found: dict[str, dict[str, Margin]] = {}
    for name in sorted(shared_names(own)):
        against = {
            control: bootstrap.margin([s[name] for s in own], [s[name] for s in other], name in descending)
            for control, other in sorted(controls.items())
            if name in shared_names(other) and comparable(name, control)
        }
        if against:
            found[name] = against
    return found


def refit_p(
    own: Sequence[Scores],
    permuted: Sequence[Sequence[Scores]],
    names: Collection[str],
    descending: Collection[str] = (),
) -> dict[str, float]:
    """Share of refits to permuted pairs, the fit itself counted in, whose mean over the splits is at least as good.

    Args:
        own: Scores in each split.
        permuted: For each split, the scores of each permutation.
        names: The scores that are judged.
        descending: Scores of which less is better.
    """
    if not permuted or not permuted[0]:
        return {}
    found = {}
    for name in sorted(names):
        value, null = _means(own, name), _permuted_means(permuted, name)
        found[name] = float(counted_p(value, null, distance=name in descending))
    return found


def best_refit_p(
    fits: Sequence[tuple[Sequence[Scores], Sequence[Sequence[Scores]]]], name: str, *, descending: bool = False
) -> float:
    """P of the best of several fits: it is held against the best of all in each permutation.

    Args:
        fits: `own` and `permuted` of each, as in `refit_p`, over the same splits and permutations.
        name: The score that decides.
        descending: Whether less is better.

    Raises:
        InputError: if there are no permutations, or a score is not finite.
    """
    values = np.array([_means(own, name) for own, _ in fits])
    null = np.stack([_permuted_means(permuted, name) for _, permuted in fits], axis=1)
    return maximum_p(values, null, distance=descending)


def _means(scores: Sequence[Scores], name: str) -> float:
    return float(np.mean([s[name].value for s in scores]))


def _permuted_means(permuted: Sequence[Sequence[Scores]], name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([_means([split[k] for split in permuted], name) for k in range(len(permuted[0]))])

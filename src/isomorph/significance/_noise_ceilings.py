"""Noise ceilings of RDMs: how high a model that knew everything could score, given how the measured RDMs differ."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.checks import as_count, as_seed, check_choice, is_share
from .._core.distributions import t_cdf
from .._core.progress import progress
from ..errors import InputError, quoted
from ..metrics import metric
from ..metrics.rdm import RDMs, Rsa, comparison_scores, mean_rdm, scaled_rdms, shared_entries, square_form
from ..results import AT_CEILING as AT
from ..results import Alignment

Floats = np.ndarray[Any, np.dtype[np.float64]]

BELOW, NOT_BELOW = "below the ceiling", "not shown to be below the ceiling"
_CORRELATIONS = ("pearson", "spearman", "rho_a", "whitened_pearson")


@dataclasses.dataclass(frozen=True)
class Reached:
    """One model against a noise ceiling.

    Attributes:
        score: Its mean score over subjects.
        error: Standard error of that mean over subjects, the items held fixed.
        share: The score over the lower ceiling; None where the ceiling is not beyond chance or chance is not 0.
        difference: Score minus lower ceiling, the mean over subjects.
        p_below: One-sided p of no shortfall (paired t over subjects, the stimuli held fixed).
        verdict: ``"at the ceiling"`` if the score is no less than the lower ceiling, ``"below the ceiling"`` if it is
            less with p at most alpha, else ``"not shown to be below the ceiling"``; ``"no ceiling"`` where that is not
            beyond chance itself.

    Example:
        >>> from isomorph.metrics.rdm import compute_rdm
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(30, 5))
        >>> rdms = RDMs.from_arrays([compute_rdm(x + rng.normal(size=x.shape), "euclidean") for _ in range(6)])
        >>> scan = iso.scan(rdms, {"half": x[:, :2]}, "rsa(dissimilarity='euclidean')", permutations=99)
        >>> reached = iso.noise_ceiling(rdms).reached_by(next(iter(scan.values())))["half"]
        >>> round(reached.score, 2), round(reached.share, 2), round(reached.p_below, 3), reached.verdict
        (0.25, 0.82, 0.04, 'below the ceiling')
    """

    score: float
    error: float
    share: float | None
    difference: float
    p_below: float
    verdict: str


@dataclasses.dataclass(frozen=True, eq=False)
class NoiseCeiling:
    """How alike the RDMs of several subjects are, and so how high the score of a perfect model lies.

    Attributes:
        lower: Each subject's RDM against the mean of all others, the mean over subjects: what a model scores that knows
            what these others share.
        upper: Each against the mean of all, itself among them: no RDM scores more, if the mean is the best for the
            comparison (it is for cosine, Pearson, their whitened forms and ρ-a; for Spearman and τ-a nearly).
        chance: The expected lower ceiling of RDMs whose items are paired at random: 0 for correlations.
        p_value: p of RDMs that share nothing, each subject's items permuted on their own.
        permutations: How many permutations it is from.
        lower_each: The lower ceiling of each subject.
        upper_each: The upper ceiling of each subject.
        subjects: Who they are.
        comparison: How RDMs are compared.
        n: Number of items.
        missing: Dissimilarities that are NaN, left out pair by pair.
        seed: Seed of the permutations.
        names: The RDMs, by which the layers of a scan are told.
        owners: The place in `subjects` of each RDM's subject.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.metrics.rdm import compute_rdm
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(30, 5))
        >>> brains = [compute_rdm(x + rng.normal(size=x.shape), "euclidean") for _ in range(6)]
        >>> rdms = iso.RDMs.from_arrays(brains, subjects=list("abcdef"))
        >>> ceiling = iso.noise_ceiling(rdms)
        >>> print(ceiling)
        Noise ceiling 0.30 to 0.56, chance 0.00, p 0.005 (6 subjects, n=30, spearman, 199 permutations)
        >>> models = {"truth": x, "half": x[:, :2]}
        >>> scan = iso.scan(rdms, models, "rsa(dissimilarity='euclidean')", permutations=99)
        >>> reached = ceiling.reached_by(next(iter(scan.values())))
        >>> {name: (round(r.share, 2), r.verdict) for name, r in reached.items()}
        {'truth': (1.31, 'at the ceiling'), 'half': (0.82, 'below the ceiling')}
    """

    lower: float
    upper: float
    chance: float
    p_value: float
    permutations: int
    lower_each: Floats
    upper_each: Floats
    subjects: tuple[str, ...]
    comparison: str
    n: int
    missing: int
    seed: int
    names: tuple[str, ...]
    owners: tuple[int, ...]

    def reached_by(self, alignment: Alignment, *, side: str | None = None, alpha: float = 0.05) -> dict[str, Reached]:
        """Every layer of a scan of these RDMs against the ceiling: its mean score over subjects.

        A layer that was chosen as the best of many looks better than it is: choose it on other data, or read all.

        Args:
            alignment: RSA by the same comparison, of a scan that had these RDMs as one side, over the same items.
            side: Which side of the scan these RDMs were, ``"x"`` or ``"y"``; by default the one that has their names.
            alpha: The level of the verdicts.

        Returns:
            Layer of the other side -> what it reaches.

        Raises:
            InputError: if it is of another metric or comparison, of other RDMs or other items, or `alpha` is no level.
        """
        check_choice(side, "side", (None, "x", "y"))
        scores, layers = self._scores(alignment, side)
        if not is_share(alpha):
            raise InputError(f"alpha={quoted(alpha)}: a level between 0 and 1 is needed.")
        return {layer: self._reached(scores[:, k], alpha) for k, layer in enumerate(layers)}

    def _scores(self, alignment: Alignment, side: str | None) -> tuple[Floats, tuple[str, ...]]:
        """Scores of each subject with each layer of the other side, and these layers.

        Raises:
            InputError: if the alignment is of another metric, or of other RDMs or items.
        """
        used = metric(alignment.variant)
        if not isinstance(used, Rsa) or used.comparison != self.comparison:
            raise InputError(
                f"The ceiling is of RDMs compared by {self.comparison!r}, the alignment is {alignment.metric}; scan "
                f"with \"rsa(comparison='{self.comparison}')\", or make the ceiling with the comparison of the scan."
            )
        for name, layers, others, values in (
            ("x", alignment.x_layers, alignment.y_layers, alignment.values),
            ("y", alignment.y_layers, alignment.x_layers, alignment.values.T),
        ):
            if side in (None, name) and layers == self.names and alignment.n == self.n:
                owners = np.array(self.owners)
                return np.array([values[owners == s].mean(axis=0) for s in range(len(self.subjects))]), others
        raise InputError(
            f"The ceiling is of the RDMs {', '.join(self.names[:3])}{', …' if len(self.names) > 3 else ''} over "
            f"{self.n} items; the scan has {alignment.n} items and the layers {', '.join(alignment.x_layers[:3])} and "
            f"{', '.join(alignment.y_layers[:3])}. Make the ceiling from the RDMs of that scan, over its items: "
            "iso.noise_ceiling(rdms.subset(ids))."
        )

    def _reached(self, scores: Floats, alpha: float) -> Reached:
        score, gap = float(scores.mean()), scores - self.lower_each
        spread = float(gap.std(ddof=1)) / math.sqrt(len(gap))
        away = float(gap.mean())
        settled = 0.0 if away < 0 else 1.0  # of gaps that do not vary
        p = float(t_cdf(away / spread, len(gap) - 1)) if spread > 0 else settled
        known = self.p_value <= alpha and self.lower > self.chance
        share = score / self.lower if known and abs(self.chance) < 1e-9 else None
        verdict = (AT if away >= 0 else BELOW if p <= alpha else NOT_BELOW) if known else "no ceiling"
        error = float(scores.std(ddof=1)) / math.sqrt(len(scores))
        return Reached(score, error, share, away, p, verdict)

    def __str__(self) -> str:
        lost = f", {self.missing} dissimilarities missing" if self.missing else ""
        return (
            f"Noise ceiling {self.lower:.2f} to {self.upper:.2f}, chance {self.chance:.2f}, p {self.p_value:.2g} "
            f"({len(self.subjects)} subjects, n={self.n}, {self.comparison}, {self.permutations} permutations{lost})"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class SplitHalf:
    """How reliable the RDMs of each subject are over their repeats.

    Attributes:
        half: Mean score of one half of the repeats with the other.
        reliability: That of all repeats: Spearman and Brown's 2 r / (1 + r) of each split, the mean over splits and
            subjects (of a negative r, 2 r / (1 + |r|)).
        ceiling: √reliability, the score of a perfect model that has no noise with the mean of all repeats; 0 where the
            reliability is negative.
        half_each: The first for each subject.
        reliability_each: The second for each subject.
        subjects: Who they are.
        splits: Number of splits of each subject's repeats.
        comparison: How halves are compared; chance is 0.
        n: Number of items.

    Example:
        >>> from isomorph.metrics.rdm import compute_rdm
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(30, 5))
        >>> runs = [compute_rdm(x + rng.normal(size=x.shape)) for _ in range(4)]
        >>> rdms = RDMs.from_arrays(runs, subjects=["a", "a", "b", "b"])
        >>> found = iso.split_half(rdms)
        >>> found.subjects, found.splits, found.reliability_each.round(2).tolist()
        (('a', 'b'), (1, 1), [0.32, 0.28])
    """

    half: float
    reliability: float
    ceiling: float
    half_each: Floats
    reliability_each: Floats
    subjects: tuple[str, ...]
    splits: tuple[int, ...]
    comparison: str
    n: int


def noise_ceiling(
    rdms: RDMs, comparison: str = "spearman", *, by: str = "subject", permutations: int = 199, seed: int = 0
) -> NoiseCeiling:
    """Lower and upper noise ceiling over subjects, by leaving one out (Nili et al. 2014).

    RDMs are pooled as they are compared: of mean square 1 for cosines, standardised for Pearson, ranked for Spearman,
    ρ-a and τ-a. rsatoolbox's ``boot_noise_ceiling`` is the same. Costs two comparisons an RDM, and for p a sum over all
    pairs of subjects a permutation.

    Args:
        rdms: RDMs of two subjects or more.
        comparison: As for `isomorph.metrics.rdm.Rsa`.
        by: The descriptor of the RDMs that says whose each is; its repeats are left out together. Without such a
            descriptor each RDM is a subject.
        permutations: Random re-pairings of the items, each subject's on their own.
        seed: Seed of the permutations.

    Raises:
        InputError: if there are fewer than two subjects, the comparison is not known, or RDMs have no pattern.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.metrics.rdm import compute_rdm
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(30, 5))
        >>> brains = [compute_rdm(x + rng.normal(size=x.shape), "euclidean") for _ in range(6)]
        >>> ceiling = iso.noise_ceiling(iso.RDMs.from_arrays(brains))
        >>> round(ceiling.lower, 2), round(ceiling.upper, 2), ceiling.p_value
        (0.3, 0.56, 0.005)
    """
    names, owners, who = _subjects(rdms, by, "noise_ceiling")
    count, seed = as_count(permutations, "permutations"), as_seed(seed)
    stack = rdms.dissimilarities
    scaled = scaled_rdms(stack, comparison)
    lower, upper, chance, pooled = [], [], [], mean_rdm(scaled)
    for s in range(len(who)):
        own, others = stack[owners == s], mean_rdm(scaled[owners != s])
        lower.append(float(comparison_scores(others[None], own, comparison).mean()))
        upper.append(float(comparison_scores(pooled[None], own, comparison).mean()))
        chance.append(_chance(others, own, comparison))
    return NoiseCeiling(
        lower=float(np.mean(lower)),
        upper=float(np.mean(upper)),
        chance=float(np.mean(chance)),
        p_value=_shared_p(scaled, owners, rdms.n, count, seed),
        permutations=count,
        lower_each=np.array(lower),
        upper_each=np.array(upper),
        subjects=who,
        comparison=comparison,
        n=rdms.n,
        missing=int(np.isnan(stack).sum()),
        seed=seed,
        names=names,
        owners=tuple(owners.tolist()),
    )


def split_half(
    rdms: RDMs, comparison: str = "spearman", *, by: str = "subject", splits: int = 100, seed: int = 0
) -> SplitHalf:
    """How reliable RDMs are over repeats: one half of a subject's RDMs against the other, corrected to all of them.

    Args:
        rdms: RDMs, two or more of each subject (sessions, runs).
        comparison: A correlation: ``"pearson"``, ``"spearman"``, ``"rho_a"`` or ``"whitened_pearson"``.
        by: The descriptor of the RDMs that says whose each is; without it all are repeats of one subject.
        splits: The most splits of each subject's repeats; all of them if there are no more.
        seed: Seed of the splits that are drawn where there are more.

    Raises:
        InputError: if a subject has one RDM only, or the comparison is no correlation.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.metrics.rdm import compute_rdm
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(30, 5))
        >>> runs = [compute_rdm(x + rng.normal(size=x.shape), "euclidean") for _ in range(4)]
        >>> found = iso.split_half(iso.RDMs.from_arrays(runs, sessions=[1, 2, 3, 4]))
        >>> round(found.half, 2), round(found.reliability, 2), round(found.ceiling, 2)
        (0.23, 0.37, 0.61)
    """
    if comparison not in _CORRELATIONS:
        raise InputError(
            f"split_half: comparison={comparison!r}: the correction of Spearman and Brown is for correlations; use one "
            f"of {', '.join(map(repr, _CORRELATIONS))}."
        )
    alone = by not in rdms.rdms
    owners, who = (np.zeros(len(rdms), dtype=np.int64), ("all",)) if alone else _subjects(rdms, by, "split_half")[1:]
    most, rng = as_count(splits, "splits"), np.random.default_rng(as_seed(seed))
    scaled = scaled_rdms(rdms.dissimilarities, comparison)
    halves, whole, counts = [], [], []
    for s, name in enumerate(who):
        own = scaled[owners == s]
        if len(own) < 2:
            raise InputError(f"split_half: {name} has one RDM; at least 2 repeats of each subject are needed.")
        drawn = _halves(len(own), most, rng)
        pairs = [(mean_rdm(own[half])[None], mean_rdm(own[~half])[None]) for half in drawn]
        scores = np.array([float(comparison_scores(a, b, comparison)[0, 0]) for a, b in pairs])
        halves.append(float(scores.mean()))
        whole.append(float(np.mean(2 * scores / (1 + np.abs(scores)))))
        counts.append(len(drawn))
    reliability = float(np.mean(whole))
    return SplitHalf(
        half=float(np.mean(halves)),
        reliability=reliability,
        ceiling=math.sqrt(max(0.0, reliability)),
        half_each=np.array(halves),
        reliability_each=np.array(whole),
        subjects=who,
        splits=tuple(counts),
        comparison=comparison,
        n=rdms.n,
    )


def _subjects(rdms: RDMs, by: str, verb: str) -> tuple[tuple[str, ...], Any, tuple[str, ...]]:
    """Names of the RDMs, the place of each one's subject, and the subjects.

    Raises:
        InputError: if they are no RDMs or of one subject, or there is no such descriptor.
    """
    if not isinstance(rdms, RDMs):
        raise InputError(f"{verb}: rdms must be RDMs, such as iso.RDMs.load(path), found {type(rdms).__name__}.")
    names = rdms.names
    if by != "subject" and by not in rdms.rdms:
        raise InputError(
            f"{verb}: by={quoted(by)} is no descriptor of these RDMs; they have "
            f"{', '.join(map(repr, rdms.rdms)) or 'none'}."
        )
    whose = [str(v) for v in rdms.rdms.get(by, names)]
    who = tuple(dict.fromkeys(whose))
    if verb == "noise_ceiling" and len(who) < 2:
        raise InputError(
            f"noise_ceiling: all {len(whose)} RDMs are of one subject; two or more are needed to leave one out. For "
            "repeats of one subject use iso.split_half."
        )
    return names, np.array([who.index(v) for v in whose]), who


def _chance(pooled: Floats, own: Floats, comparison: str) -> float:
    """The expected score with the items of one side in random order: what both vectors' means give."""
    if comparison not in ("cosine", "whitened_cosine"):
        return 0.0
    pairs = [shared_entries(pooled, row, comparison) for row in own]
    return float(np.mean([len(a) * a.mean() * b.mean() for a, b in pairs]))


def _shared_p(scaled: Floats, owners: Any, n: int, permutations: int, seed: int) -> float:
    """The p of the sum of products of all pairs of subjects' RDMs, the items of each permuted on their own."""
    means = np.stack([mean_rdm(scaled[owners == s]) for s in range(owners.max() + 1)])
    centered = means - np.nanmean(means, axis=1, keepdims=True)
    rows = np.where(np.isnan(centered), 0.0, centered)  # what is not known adds nothing to a product
    rows /= np.sqrt(np.sum(rows**2, axis=1, keepdims=True))

    squares = np.stack([square_form(v) for v in rows])  # whose rows and columns move as blocks do, not entry by entry
    rng, observed = np.random.default_rng(seed), float(np.sum(squares.sum(axis=0) ** 2))
    reached = 0
    with progress(permutations, "noise ceiling", unit="permutations") as advance:
        for _ in range(permutations):
            total = np.zeros((n, n))
            for moved in squares:
                order = rng.permutation(n)
                total += moved.take(order, axis=0).take(order, axis=1)
            # the square of the sum: all products of two subjects, and the squares of each, which no order changes
            reached += float(np.sum(total**2)) >= observed * (1 - 1e-12)
            advance(1)
    return (1 + reached) / (1 + permutations)


def _halves(count: int, most: int, rng: np.random.Generator) -> list[Any]:
    """Which repeats are in the first half: all ways, or as many drawn at random."""
    size = count // 2
    ways = math.comb(count, size) // (2 if count % 2 == 0 else 1)
    if ways > most:
        chosen: Sequence[Sequence[int]] = [rng.permutation(count)[:size].tolist() for _ in range(most)]
    elif count % 2:
        chosen = list(itertools.combinations(range(count), size))
    else:  # of a split into equal halves, the one that has the first repeat
        chosen = [(0, *rest) for rest in itertools.combinations(range(1, count), size - 1)]
    return [np.isin(np.arange(count), some) for some in chosen]


__all__ = ["AT", "BELOW", "NOT_BELOW", "NoiseCeiling", "Reached", "SplitHalf", "noise_ceiling", "split_half"]

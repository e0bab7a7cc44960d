"""Which model's RDM is nearest to those of several subjects, and what of it holds for new subjects and new items."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.arrays import checked_once
from .._core.memory import limited
from .._core.provenance import provenance
from ..errors import InputError
from ..metrics.rdm import RDMs, comparison_scores
from ..population import as_matrices
from ..results import ModelComparison, RegionModels
from ..significance import AT, BELOW, NOT_BELOW, NoiseCeiling, benjamini_hochberg, noise_ceiling
from ._bootstrap import ITEMS, SUBJECTS, Drawn, Sampled, bootstrap
from ._sides import Joined, gaps, joined_with, model_sides
from ._variance import Tested, tested, variances_of
from ._weighted import UNCENTERED, Floats
from .settings import ModelComparisonSettings

ONE = "RDMs"
"""What RDMs are called that were given without the name of a region."""
_SMALL = 10  # items below which intervals of a bootstrap over items are rough
_FEW = 6  # subjects below which hardly any p is small


@checked_once()
def compare_models(
    rdms: Any,
    models: Any,
    comparison: str = "spearman",
    *,
    by: str = "subject",
    generalize: str = "both",
    groups: str | None = None,
    dissimilarity: str = "correlation",
    ceilings: str = "paired",
    bootstraps: int = 1000,
    permutations: int = 199,
    alpha: float = 0.05,
    seed: int = 0,
    memory: str | int | None = None,
) -> ModelComparison:
    """Compare models by the RDMs of several subjects, with inference over subjects and items.

    Each model's score is the mean over subjects of the comparison of its RDM with theirs. It is tested against chance,
    against the lower noise ceiling and against every other model. Variances come from a bootstrap over subjects, over
    items, or the corrected one over both (Schütt, Kipnis, Diedrichsen and Kriegeskorte 2023): subjects and items are
    drawn with replacement, and the pair of an item with its own copy is left out. Tests are t-tests with one degree of
    freedom less than there are subjects or items, whichever are fewer. Values agree with rsatoolbox's
    ``eval_dual_bootstrap``; scores and ceilings are of the data themselves, not means over samples.

    Args:
        rdms: `RDMs` of several subjects, or a mapping from regions to such.
        models: Mapping from names to features (n, d), `Layers` or RDMs; each layer or RDM is a model. Joined with the
            RDMs by the names of the items where both have them.
        comparison: ``"spearman"``, ``"pearson"``, ``"rho_a"``, ``"kendall"``, ``"cosine"``, and for
            ``generalize="subjects"`` also ``"whitened_cosine"`` and ``"whitened_pearson"``, see `isomorph.metric`
            ``("rsa")``. Chance is 0, but for the cosines, where it is estimated and tested against.
        by: Descriptor of the RDMs that says whose each is; several of one subject are its repeats, averaged in its
            score and drawn together. Without such a descriptor each RDM is a subject.
        generalize: What results shall hold for: new ``"subjects"`` with these items, new ``"items"`` with these
            subjects, or ``"both"`` at once.
        groups: Descriptor of the items whose equal values are drawn together, such as ``"category"``.
        dissimilarity: Of the models that are given as features: ``"correlation"``, ``"cosine"``, ``"euclidean"``,
            ``"squared_euclidean"`` or ``"mahalanobis"``.
        ceilings: How the noise ceiling moves over samples of subjects: ``"paired"``, each subject with its own, against
            the mean of all others; or ``"resampled"``, from the subjects of the sample, as rsatoolbox does, which
            nearly doubles the standard error of the distance to it.
        bootstraps: Bootstrap samples.
        permutations: Random re-pairings of the items for the p of the noise ceiling.
        alpha: Level of verdicts and letters; intervals cover 1 - alpha.
        seed: Seed of samples and re-pairings.
        memory: Working memory, such as ``"4GB"`` or bytes; None takes what the machine has.

    Returns:
        A `ModelComparison`: per region the scores with interval, p and q (false discovery rate over models and
        regions), share of the ceiling and verdict, and all differences with interval, p and q.

    Raises:
        InputError: if sides do not join, subjects or items are too few for what is asked, an RDM has no pattern, or a
            setting is out of range.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> from isomorph.metrics.rdm import compute_rdm
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(30, 5))
        >>> brains = [compute_rdm(x + rng.normal(size=x.shape), "euclidean") for _ in range(8)]
        >>> models = {"all": x, "half": x[:, :2], "none": rng.normal(size=x.shape)}
        >>> found = iso.compare_models(
        ...     iso.RDMs.from_arrays(brains), models, dissimilarity="euclidean", bootstraps=200
        ... )
        >>> {name: (round(s.score, 2), round(s.p_value, 3), s.letters) for name, s in found.ranking().items()}
        {'all': (0.4, 0.0, 'a'), 'half': (0.23, 0.001, 'b'), 'none': (0.01, 0.414, 'c')}
    """
    settings = ModelComparisonSettings(
        comparison=comparison, by=by, generalize=generalize, groups=groups, dissimilarity=dissimilarity,
        ceilings=ceilings, bootstraps=bootstraps, permutations=permutations, alpha=alpha, seed=seed, memory=memory,
    )  # fmt: skip
    found, given = model_sides(models), _regions(rdms)
    regions, notes = {}, []
    with limited(memory):
        for name, of in given.items():
            joined = joined_with(of, found, settings, "rdms" if not isinstance(rdms, Mapping) else f"rdms[{name!r}]")
            regions[name] = _region(joined, settings)
            notes += [
                f"{name}: {words}" if len(given) > 1 else words for words in _notes(joined, regions[name], settings)
            ]
    return ModelComparison(
        models=tuple(found.places),
        regions=_adjusted(regions),
        comparison=comparison,
        generalize=generalize,
        dissimilarity=dissimilarity,
        by=by,
        groups=groups,
        ceilings=ceilings,
        bootstraps=bootstraps,
        permutations=permutations,
        alpha=float(alpha),
        seed=settings.seed,
        notes=tuple(dict.fromkeys(notes)),
        provenance=provenance(
            call="compare_models",
            models={k: dict(v.facts) for k, v in found.sides.items()},
            regions={k: {"subjects": list(v.subjects), "n": v.n} for k, v in regions.items()},
            **settings.facts(),
        ),
    )


def _regions(rdms: Any) -> dict[str, RDMs]:
    """Region -> RDMs.

    Raises:
        InputError: if it is an empty mapping.
    """
    if not isinstance(rdms, Mapping):
        return {ONE: rdms}
    if not rdms:
        raise InputError("rdms is an empty mapping; give RDMs, or a mapping from regions to RDMs.")
    return {str(k): v for k, v in rdms.items()}


def _region(joined: Joined, settings: ModelComparisonSettings) -> RegionModels:
    """The models in one region; adjusted p are still the plain ones."""
    measured, several = joined.measured, len(joined.subjects) > 1
    whole = measured.by_subject(comparison_scores(measured.data, measured.models, settings.comparison))
    chance = np.zeros(whole.shape[1])
    if settings.comparison in UNCENTERED:
        level = Drawn(measured, np.ones(len(measured.units), dtype=np.int64)).chance
        chance = np.zeros(whole.shape[1]) if level is None else level.mean(axis=0)
    ceiling = None
    if several:
        ceiling = noise_ceiling(
            joined.rdms, settings.comparison, by=settings.by, permutations=settings.permutations, seed=settings.seed
        )
    anew = settings.ceilings == "resampled"
    samples = bootstrap(measured, settings.generalize, settings.bootstraps, settings.seed, resampled=anew)
    units = {"both": min(measured.subjects, measured.n_units), "subjects": measured.subjects,
             "items": measured.n_units}[settings.generalize]  # fmt: skip
    return _read(whole, chance, ceiling, samples, joined, settings, units - 1)


def _read(
    whole: Floats,
    chance: Floats,
    ceiling: NoiseCeiling | None,
    samples: Sampled,
    joined: Joined,
    settings: ModelComparisonSettings,
    degrees: int,
) -> RegionModels:
    """Scores and samples as tests."""
    scores, count = whole.mean(axis=0), whole.shape[1]
    sizes = (joined.measured.subjects, joined.measured.n_units)

    def test(values: Floats, tables: Mapping[str, Floats], weights: Floats, side: str) -> Tested:
        return tested(values, variances_of(tables, weights, *sizes), degrees, settings.alpha, side)

    above_chance = {k: v - samples.chance[k] for k, v in samples.scores.items()} if samples.chance else samples.scores
    models = test(scores, samples.scores, np.eye(count), "above")
    p_chance = test(scores - chance, above_chance, np.eye(count), "above").p
    i, j = np.triu_indices(count, 1)
    pairs = test(scores[i] - scores[j], samples.scores, np.eye(count)[i] - np.eye(count)[j], "both")
    p_below = np.full(count, np.nan)
    if ceiling is not None:
        against = {k: np.column_stack([v, samples.ceilings[k][:, :1]]) for k, v in samples.scores.items()}
        p_below = test(scores - ceiling.lower, against, np.column_stack([np.eye(count), -np.ones(count)]), "below").p
    return RegionModels(
        scores=scores,
        chance=chance,
        errors=models.errors,
        low=models.low,
        high=models.high,
        p_values=p_chance,
        q_values=p_chance,
        **_reached(scores, ceiling, p_below, settings),
        **_differences(scores, pairs),
        by_subject=whole,
        subjects=joined.subjects,
        n=joined.rdms.n,
        n_units=joined.measured.n_units,
        degrees=degrees,
        samples=len(next(iter(samples.scores.values()))),
        missing=gaps(joined),
    )


def _reached(
    scores: Floats, ceiling: NoiseCeiling | None, p: Floats, settings: ModelComparisonSettings
) -> dict[str, Any]:
    """What the models reach of the noise ceiling, by the rules of `NoiseCeiling.reached_by`."""
    none, alpha = np.full(len(scores), np.nan), settings.alpha
    found: dict[str, Any] = {
        "ceiling": None,
        "ceiling_p": None,
        "below": none,
        "p_below": p,
        "q_below": p,
        "shares": none,
    }
    found["verdicts"] = ("no ceiling",) * len(scores)
    if ceiling is None:
        return found
    below = scores - ceiling.lower
    found |= {"ceiling": (ceiling.lower, ceiling.upper), "ceiling_p": ceiling.p_value, "below": below}
    if ceiling.p_value <= alpha and ceiling.lower > ceiling.chance:
        told = zip(below, p, strict=True)
        found["verdicts"] = tuple(AT if gap >= 0 else BELOW if at <= alpha else NOT_BELOW for gap, at in told)
        found["shares"] = none if settings.comparison in UNCENTERED else scores / ceiling.lower
    return found


def _differences(scores: Floats, pairs: Tested) -> dict[str, Any]:
    """All differences between models as matrices; the adjusted p are still the plain ones."""
    count = len(scores)
    found = scores[:, None] - scores[None, :]
    reach, p = _matrix((pairs.high - pairs.low) / 2, count), _matrix(pairs.p, count) + np.eye(count)
    ends = {"difference_low": found - reach, "difference_high": found + reach}
    return {"differences": found, **ends, "difference_p": p, "difference_q": p}


def _matrix(values: Floats, count: int) -> Floats:
    """Values of the pairs of models as a symmetric matrix."""
    return as_matrices(values, count) if count > 1 else np.zeros((1, 1))


def _adjusted(regions: Mapping[str, RegionModels]) -> dict[str, RegionModels]:
    """The regions with p adjusted for the number of models, or of pairs of models, in all of them."""
    upper = [np.triu_indices(len(r.scores), 1) for r in regions.values()]

    def adjusted(values: list[Floats]) -> list[Floats]:
        p = np.concatenate(values)
        q = p.copy()
        if np.isfinite(p).any():
            q[np.isfinite(p)] = benjamini_hochberg(p[np.isfinite(p)])
        return np.split(q, np.cumsum([len(v) for v in values])[:-1])

    above, below, between = (
        adjusted([r.p_values for r in regions.values()]),
        adjusted([r.p_below for r in regions.values()]),
        adjusted([r.difference_p[at] for r, at in zip(regions.values(), upper, strict=True)]),
    )
    return {
        name: dataclasses.replace(
            r, q_values=a, q_below=b, difference_q=_matrix(d, len(r.scores)) + np.eye(len(r.scores))
        )
        for (name, r), a, b, d in zip(regions.items(), above, below, between, strict=True)
    }


def _notes(joined: Joined, region: RegionModels, settings: ModelComparisonSettings) -> list[str]:
    """What else is to be known of a region."""
    out, generalize = list(joined.lost), settings.generalize
    if region.missing:
        out.append(
            f"{region.missing:,} dissimilarities are missing; each comparison is over those that both RDMs have."
        )
    if generalize != SUBJECTS and region.n_units < _SMALL:
        what = "items" if settings.groups is None else "groups of items"
        out.append(f"{region.n_units} {what} are few for a bootstrap over them: errors are rough.")
    if generalize != ITEMS and len(region.subjects) < _FEW:
        out.append(
            f"{len(region.subjects)} subjects are few: with {region.degrees} degrees of freedom only large differences "
            "have a small p, and what is not significant is not shown to be equal."
        )
    if region.ceiling is None:
        out.append("There is one subject, so there is no noise ceiling; results hold for this subject.")
    if region.samples < settings.bootstraps:
        lost = settings.bootstraps - region.samples
        out.append(f"{lost} of {settings.bootstraps} bootstrap samples have a constant RDM and were left out.")
    return out

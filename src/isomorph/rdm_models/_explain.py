"""Explain measured RDMs by several model RDMs at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.checks import check_name
from .._core.progress import progress
from .._core.provenance import provenance
from ..design import Design
from ..errors import InputError, UnknownNameError
from ..metrics.rdm import entries_of
from ..results import ModelShare, RdmExplanation, VariancePart
from ..significance import benjamini_hochberg
from ._read import Problem, read_problem
from ._regression import Regression, parts_of, regression_of
from ._weights import Crossed, crossed_folds, fitted_weights
from .settings import ExplainSettings

Floats = np.ndarray[Any, np.dtype[np.float64]]
INFLATED = 10.0
"""Variance inflation above which a note says that models can hardly be told apart."""
CORRELATED = 1.2
"""Variance inflation above which models correlate so that ranks mislead on what each adds."""
FEW = 5
"""Items a model below which a note says that weights are loose: pairs share items and count for less than they are."""


def explain_rdms(
    rdms: Any,
    models: Any,
    *,
    method: str = "nnls",
    comparison: str = "pearson",
    folds: int | None = None,
    subject_folds: int | None = None,
    partition: Sequence[str] | None = None,
    groups: Sequence[Any] | None = None,
    by: str = "subject",
    permutations: int = 999,
    seed: int = 0,
    name: str = "rdms",
) -> RdmExplanation:
    """Explain measured RDMs by several model RDMs together, and say what each adds to the others.

    Three questions of one set of models. *How well do they do together?* Weights are fitted on some items and subjects,
    and the weighted RDM is compared with that of other subjects over other items (rsatoolbox's ``crossval`` of a
    ``ModelWeighted``), beside the noise ceiling of the same folds. *What does each add?* Partial correlation and
    regression coefficient of each model given all others, with the mean RDM of the subjects over all pairs. *What do
    they share?* The explained variance is divided into unique and common parts (commonality analysis); common ones may
    be negative.

    p of a single model is by double semi-partialing over re-paired items (Dekker, Krackhardt and Snijders 2007); p of
    all together by re-pairing the items of all models as one, weights fitted anew. Subjects are held fixed. Costs, for
    m models of n items, O(m² n²) a permutation.

    Args:
        rdms: Measured RDMs, of one subject or several: `RDMs`, a file of them, or an array, square or condensed.
        models: Model -> its RDM (`RDMs` of one, an array or a file), or `RDMs` whose names are those of the models.
            Joined with `rdms` by the names of items where both have them.
        method: ``"nnls"`` (weights of at least 0, so that a model can only help as it predicts) or ``"ols"``.
        comparison: ``"pearson"``, ``"spearman"`` (all RDMs rank-transformed), ``"cosine"``, ``"whitened_pearson"`` or
            ``"whitened_cosine"``. Regression and parts of variance are about the mean, by Pearson where it is a cosine.
        folds: Folds of items; by default 2 to 5, by their number. Only pairs within a part are used.
        subject_folds: Folds of subjects, likewise; with one subject its other items alone are fitted on.
        partition: Models (2 to 4) between which the explained variance is divided; by default all, if at most 4.
        groups: One label an item of `rdms`: items of a group (as pictures of one object) are held out together, and
            groups of one size are re-paired with each other as wholes.
        by: Descriptor of the RDMs that says whose each is.
        permutations: Re-pairings of the items.
        seed: Seed of folds and permutations.
        name: What to call the measured RDMs.

    Returns:
        An `RdmExplanation`: a mapping of each model to its share, with `score`, `chance`, `ceiling`, `r2` and `parts`.

    Raises:
        InputError: if the RDMs are of other items, fewer than 6 are shared, a model is constant or a weighted sum of
            others, there are more models than pairs or folds than items, or an entry is missing and the comparison is a
            whitened one.
        UnknownNameError: if `partition` names a model that is not there.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> shape, color, noise = (rng.normal(size=(40, 3)) for _ in range(3))
        >>> rdm = lambda x: iso.RDMs.from_patterns(x, distance="squared_euclidean")
        >>> brains = [rdm(np.hstack([shape, 0.5 * color, 0.5 * rng.normal(size=(40, 3))])) for _ in range(4)]
        >>> measured = iso.RDMs.from_arrays(np.concatenate([b.dissimilarities for b in brains]))
        >>> models = {"shape": rdm(shape), "color": rdm(color), "noise": rdm(noise)}
        >>> found = iso.explain_rdms(measured, models, permutations=99)
        >>> round(found.score, 2), found.p_value
        (0.96, 0.01)
        >>> {name: (round(share.unique, 2), share.p_value) for name, share in found.models.items()}
        {'shape': (0.83, 0.01), 'color': (0.12, 0.01), 'noise': (0.0, 0.48)}
    """
    check_name(name, "name")
    settings = ExplainSettings(method, comparison, folds, subject_folds, _texts(partition), by, permutations, seed)
    problem = read_problem(rdms, models, settings.by)
    return explained(problem, settings, _groups(groups, problem), name or "rdms")


def explained(problem: Problem, settings: ExplainSettings, groups: list[Any] | None, name: str) -> RdmExplanation:
    """The explanation of RDMs that were read.

    Raises:
        InputError: as `explain_rdms`.
        UnknownNameError: as `explain_rdms`.
    """
    if problem.gaps and settings.comparison.startswith("whitened"):
        raise InputError(
            f"comparison={settings.comparison!r} decorrelates all entries of an RDM at once, and some are missing. Use "
            "'pearson', 'spearman' or 'cosine', or leave out items that lack dissimilarities: rdms.subset(ids)."
        )
    divided = _partition(settings.partition, problem.names)
    regression = regression_of(problem, settings.comparison)
    crossed = crossed_folds(problem, settings.comparison, settings.folds, settings.subject_folds, groups, settings.seed)
    orders = Design(groups=groups).orders(problem.n, settings.permutations, settings.seed)
    scored = _scores(crossed, problem, settings.method, orders)
    partial, r2 = regression.null(orders)
    parts, partition_r2 = _parts(regression, divided, partial, orders)
    return RdmExplanation(
        name=name,
        models=_shares(problem, settings, regression, scored, partial),
        method=settings.method,
        comparison=settings.comparison,
        score=float(scored["folds"].mean()),
        chance=float(scored["null"].mean()),
        p_value=_one_sided(scored["null"], float(scored["folds"].mean())),
        ceiling=crossed.ceiling(),
        score_each=scored["each"],
        fold_scores=scored["folds"],
        fold_weights=scored["weights"],
        r2=regression.r2(),
        r2_chance=float(r2.mean()),
        r2_p=_one_sided(r2, regression.r2()),
        parts=parts,
        partition=divided,
        partition_r2=partition_r2,
        subjects=problem.subjects,
        n=problem.n,
        pairs=int(regression.known.sum()),
        missing=int(np.isnan(problem.data).sum() + np.isnan(problem.models).sum()),
        item_folds=len(crossed.parts),
        subject_folds=len(crossed.folds[0]),
        permutations=settings.permutations,
        seed=settings.seed,
        notes=tuple(_notes(problem, settings, regression, scored, divided)),
        provenance=provenance(
            call="explain_rdms", name=name, models=list(problem.names), grouped=groups is not None, **settings.facts()
        ),
    )


def _scores(crossed: Crossed, problem: Problem, method: str, orders: Any) -> Mapping[str, Floats]:
    """Held-out scores and weights of all folds, of each subject and model, and the same with items re-paired.

    The items of the models are permuted, and those of the measured RDMs stay in their folds.
    """
    gaps = problem.gaps
    folds, alone, weights = crossed.scores(problem.models, method, gaps=gaps)
    null, null_alone = np.empty(len(orders)), np.empty((len(orders), len(problem.names)))
    with progress(len(orders), "weighted models", unit="permutations") as advance:
        for t, order in enumerate(orders):
            moved = crossed.scores(entries_of(problem.models, order), method, gaps=gaps)
            null[t], null_alone[t] = moved[0].mean(), moved[1].mean(axis=0)
            advance(1)
    each = crossed.each(problem.models, weights)
    found = {"folds": folds, "alone": alone.mean(axis=0), "null": null, "null_alone": null_alone, "each": each}
    return found | {"weights": _of_length_one(problem, crossed, weights)}


def _of_length_one(problem: Problem, crossed: Crossed, weights: Floats) -> Floats:
    """Weights of models of one scale, each set of length 1."""
    out = weights * _sizes(problem, crossed.comparison)
    length = np.sqrt(np.sum(out**2, axis=-1, keepdims=True))
    return np.asarray(out / np.where(length > 0, length, 1.0))


def _sizes(problem: Problem, comparison: str) -> Floats:
    if comparison == "spearman":
        return np.ones(len(problem.names))  # all ranks are of one scale
    if comparison.endswith("cosine"):
        return np.asarray(np.sqrt(np.nanmean(problem.models**2, axis=1)))
    return np.asarray(np.nanstd(problem.models, axis=1))


def _shares(
    problem: Problem, settings: ExplainSettings, regression: Regression, scored: Mapping[str, Floats], null: Floats
) -> dict[str, ModelShare]:
    whole = _whole_weights(problem, settings)
    partials, betas, correlations = regression.partials, regression.betas, regression.correlations
    inflation, total = regression.inflation, regression.r2()
    p = (1 + np.sum(np.abs(null) >= np.abs(partials) * (1 - 1e-9), axis=0)) / (1 + len(null))
    q = benjamini_hochberg(p)
    shares = {}
    for k, name in enumerate(problem.names):
        without = regression.r2([i for i in range(len(problem.names)) if i != k])
        shares[name] = ModelShare(
            weight=float(whole[k]),
            weight_low=float(scored["weights"][:, k].min()),
            weight_high=float(scored["weights"][:, k].max()),
            alone=float(scored["alone"][k]),
            alone_chance=float(scored["null_alone"][:, k].mean()),
            alone_p=_one_sided(scored["null_alone"][:, k], float(scored["alone"][k])),
            correlation=float(correlations[k]),
            partial=float(partials[k]),
            beta=float(betas[k]),
            vif=float(inflation[k]),
            p_value=float(p[k]),
            q_value=float(q[k]),
            unique=max(total - without, 0.0),
            unique_chance=float(np.mean(null[:, k] ** 2) * (1 - without)),
        )
    return shares


def _whole_weights(problem: Problem, settings: ExplainSettings) -> Floats:
    """Weights fitted to all items and subjects, of models of one scale, of length 1."""
    whole = np.zeros(problem.n, dtype=np.int64)
    one = np.zeros(len(problem.subjects), dtype=np.int64)
    crossed = Crossed(problem, settings.comparison, whole, one, fit_all=True)
    fold = crossed.folds[0][0]
    target = fold.target if problem.gaps else fold.response
    found = fitted_weights(problem.models, target, settings.method, settings.comparison, gaps=problem.gaps)
    return np.asarray(_of_length_one(problem, crossed, found[None])[0])


def _parts(
    regression: Regression, divided: tuple[str, ...], null: Floats, orders: Any
) -> tuple[tuple[VariancePart, ...], float | None]:
    """The parts of the variance that some models explain, and their sum."""
    if not divided:
        return (), None
    some = regression.chosen(divided)
    if divided != regression.names:
        null, _ = some.null(orders)
    partials, total = some.partials, some.r2()
    out = []
    for models, value in parts_of(some):
        chance = p = None
        if len(models) == 1:
            k = divided.index(models[0])
            p = float((1 + np.sum(np.abs(null[:, k]) >= abs(partials[k]) * (1 - 1e-9))) / (1 + len(null)))
            chance = float(np.mean(null[:, k] ** 2) * (1 - some.r2([i for i in range(len(divided)) if i != k])))
        out.append(VariancePart(models, value, chance, p))
    return tuple(out), total


def _partition(wanted: tuple[str, ...] | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """Between which models variance is divided, none if there are too many to read.

    Raises:
        UnknownNameError: if one is not there.
    """
    if wanted is None:
        return names if 2 <= len(names) <= 4 else ()
    for name in wanted:
        if name not in names:
            raise UnknownNameError("model in partition", name, names)
    return wanted


def _notes(
    problem: Problem,
    settings: ExplainSettings,
    regression: Regression,
    scored: Mapping[str, Floats],
    divided: tuple[str, ...],
) -> list[str]:
    said = []
    if problem.lost:
        said.append(f"{problem.lost} items of the measured RDMs are left out: a model lacks them.")
    if settings.comparison == "spearman" and (regression.inflation > CORRELATED).any():
        said.append(
            "Ranks do not add up as dissimilarities do: a model that correlates with another can seem to add to it "
            "where it does not (docs/calibration.md). For what each adds use comparison='pearson'."
        )
    inflated = [n for n, v in zip(problem.names, regression.inflation, strict=True) if v > INFLATED]
    if inflated:
        said.append(
            f"{', '.join(inflated)}: variance inflation above {INFLATED:g}. What these models add to each other can "
            "hardly be told; read their common parts, or leave one out."
        )
    if problem.n < FEW * len(problem.names):
        said.append(
            f"{len(problem.names)} models of {problem.n} items: pairs of items are not independent, so that weights "
            f"are loose below some {FEW} items a model. The held-out score says whether they carry over."
        )
    if len(problem.names) > 4 and not divided:
        said.append(
            "The explained variance was not divided: the parts of more than 4 models cannot be read; name up to 4 with "
            "partition=."
        )
    empty = int(np.sum(~scored["weights"].any(axis=1)))
    if empty:
        said.append(
            f"In {empty} of {len(scored['folds'])} folds all weights are 0, since no model goes with the RDMs; the "
            "score of such a fold is 0."
        )
    if len(problem.subjects) == 1:
        said.append("One subject: weights are fitted on its other items, and there is no noise ceiling.")
    return said


def _one_sided(null: Floats, found: float) -> float:
    return float((1 + np.sum(null >= found - 1e-9 * abs(found))) / (1 + len(null)))


def _groups(groups: Any, problem: Problem) -> list[Any] | None:
    """The group of each item that is left.

    Raises:
        InputError: if there is not one an item of the measured RDMs.
    """
    if groups is None:
        return None
    if isinstance(groups, (str, bytes)) or not hasattr(groups, "__len__"):
        raise InputError(f"groups must be a list with one label an item, found {type(groups).__name__}.")
    given = list(groups)
    if len(given) != problem.n + problem.lost:
        needed = problem.n + problem.lost
        raise InputError(f"groups has {len(given)} labels; one for each of the {needed} items of rdms is needed.")
    return [given[i] for i in problem.rows]


def _texts(given: Any) -> Any:
    return tuple(given) if isinstance(given, (list, tuple)) else given

"""`atlas`: many models at once, all with all, each pair with its chance, its p and its held-out score."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import checked_once
from .._core.files import as_path, check_target
from .._core.memory import limited
from .._core.progress import Show, notice, progress
from .._core.provenance import provenance
from ..conditions import Side, all_joined, as_side, check_shifts, design_of, joined, moved_to
from ..datasets import PairedItems
from ..design import Codes, coded
from ..errors import InputError, UnknownNameError, quoted
from ..metrics import DEFAULT_METRICS, Metric
from ..results import BASELINE, Atlas, Condition, ModelAlignment, about, check_question, read_question
from ..significance import benjamini_hochberg, calibrate, orders_for, sampled_p
from ._attributes import attributes_of
from ._common_space import common_space
from ._compare import LAYERS_FILE, Found, Plan, compare, directed, last, stacked, steps
from ._domains import domains_of, restricted
from .settings import AtlasSettings

TWIN = "untrained "


@checked_once()
def atlas(
    models: Mapping[str, Any],
    metrics: Sequence[str | Metric[Any]] | str = DEFAULT_METRICS,
    *,
    attributes: Any = None,
    baselines: Mapping[str, Any] | None = None,
    layers: str = "best",
    pairs: str = "all",
    reference: str | Sequence[str] = (),
    permutations: int = 200,
    splits: int = 5,
    seed: int = 0,
    alpha: float = 0.05,
    questions: Sequence[Mapping[str, Any]] = (),
    items: PairedItems | None = None,
    groups: Sequence[Any] | str | None = None,
    strata: Sequence[Any] | str | None = None,
    circular: bool = False,
    within: bool = True,
    domains: Sequence[Any] | str | None = None,
    consensus: int = 0,
    memory: str | int | None = None,
    keep: str | os.PathLike[str] | None = None,
    device: str | None = None,
    show: Show = None,
) -> Atlas:
    """Compare any number of models with each other: who is alike, beyond chance, and what goes with it.

    All models are joined by id over all; one set of permutations serves all; every layer is prepared once. Each pair of
    models gets the score of its layers (`layers`), the p of having searched for them, a calibrated score, a score on
    halves of the items with layers chosen on the other half, and a false discovery rate over all pairs.

    Args:
        models: Model -> `Layers`, layers by name or in a list, one array, or the path of a file with features.
        metrics: Specs such as ``"mutual_knn(k=10)"``, or metrics.
        attributes: What is known of the models: a table (.csv) with a column ``model``, a mapping from attribute to one
            value a model, or from model to its attributes. Parameters and modality of encoders, depth (layers), width
            (features of the last layer) and participation ratio of the last layer are known without being told.
        baselines: Model -> features of its untrained twin, compared with all other models.
        layers: How the layers of two models become one score: ``"best"`` pair, ``"last"`` of both, ``"row maxima"``
            (the mean over the layers of both of each one's best partner), ``"matching"`` (the mean over the best
            one-to-one matching) or ``"stacked"`` (all layers side by side, each of variance one).
        pairs: ``"all"``, ``"across modality"``, or ``"to reference"``.
        reference: Models that all are compared with under ``pairs="to reference"``.
        permutations: Random re-pairings of the items, shared by all models and metrics.
        splits: Cuts of the items into halves.
        seed: Seed of permutations and halves.
        alpha: Level of thresholds; intervals cover 1 - alpha.
        questions: What else is asked, kept with the result and answered by `Atlas.answers` and on its page: tables
            such as ``{"ask": "trend", "attribute": "parameters", "reference": "minilm"}``; ``ask`` is ``"trend"``,
            ``"threshold"``, ``"divergence"``, ``"domain_divergence"`` or ``"factors"``, the rest are arguments of that
            method.
        items: Where labels and groups come from, by id.
        groups: As in `scan`.
        strata: As in `scan`.
        circular: As in `scan`.
        within: As in `scan`.
        domains: Kinds of items, on each of which the models are compared by themselves as well (`Atlas.domains`): one
            label an item, the name of a label set of `items`, or ``"LABELSET=VALUE"`` for the items of that value
            against all others.
        consensus: Axes of one space for all models, fitted on half of the items and judged on the other half
            (`Atlas.consensus`); 0 makes none.
        memory: Working memory that the metrics may take, such as ``"4GB"`` or bytes.
        keep: Folder for the scores of all layers with all layers: ``METRIC.npy`` (layers, layers), NaN where two models
            were not compared, whose order ``layers.json`` gives. None keeps of them what the result holds: the chosen
            layers, the best score of each layer, and each model's layers among themselves.
        device: Device of torch on which metrics compute, such as ``"cuda"``: layers are moved there one after the
            other. None computes where the features are.
        show: How progress is shown, as for `isomorph.show_progress`.

    Returns:
        An `Atlas`: a mapping from metric to `ModelAlignment`, which answers `trend`, `threshold`, `divergence`,
        `domain_divergence`, `factors`, `neighbors`, `tree`, `embedding` and `consensus`.

    Raises:
        InputError: if there are fewer than two models, they have no items in common, or a setting makes no sense.

    Source: Huh et al. 2024 (alignment among many models); Groger et al. 2026 (calibration, p of the maximum); the
    survey's third experiment (arXiv 2510.05184).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> z, *noise = np.random.default_rng(0).normal(size=(5, 100, 6))
        >>> models = {name: z + s * e for name, s, e in zip(("big", "small", "tiny", "noise"), (0.2, 1, 3, 99), noise)}
        >>> atlas = iso.atlas(models, "cka", permutations=39, splits=2)
        >>> atlas["cka"].values.round(1)[0].tolist()  # big with all
        [1.0, 0.4, 0.1, 0.0]
        >>> atlas["cka"].q[0].round(2).tolist()[1:]
        [0.05, 0.05, 0.36]
    """
    settings = AtlasSettings(
        metrics=metrics,
        layers=layers,
        pairs=pairs,
        reference=reference,  # type: ignore[arg-type]  # the value makes a tuple of it
        permutations=permutations,
        splits=splits,
        seed=seed,
        alpha=alpha,
        groups=groups if isinstance(groups, str) else None,
        strata=strata if isinstance(strata, str) else None,
        circular=circular,
        within=within,
        domains=domains if isinstance(domains, str) else None,
        consensus=consensus,
        memory=memory,
        device=device,
    )
    kept = None if keep is None else as_path(keep, "keep")
    if kept is not None:
        check_target(kept / LAYERS_FILE, "keep")
    given, twins = _given(models), _twins(models, baselines)
    asked = _questions(questions)
    sides, notes = all_joined(given)
    for name, side in twins.items():
        space, what = sides[name.removeprefix(TWIN)], f"baselines[{quoted(name.removeprefix(TWIN))}]"
        try:
            own, sides[name] = joined(space, side)
        except InputError as error:
            raise InputError(f"{what} is not of the same items: {error}") from error
        if own.n != space.n:
            raise InputError(f"{what} lacks {space.n - own.n} of the {space.n} items.")
    first = next(iter(sides.values()))
    design = design_of(items, first.ids, first.n, groups=groups, strata=strata, circular=circular, within=within)
    check_shifts(design, first.n, alpha)
    parts = domains_of(
        domains, items, first.ids, first.n, design=design, metrics=settings.metrics, alpha=settings.alpha
    )
    known = attributes_of(models, {name: sides[name] for name in given}, attributes)
    for k, question in enumerate(asked):
        check_question(question, f"questions[{k}]", models=list(given), attributes=list(known), domains=list(parts))
    compared = _pairs(settings, list(given), twins, known)
    with limited(memory):
        reduced = {"stacked": stacked, "last": last}.get(layers)
        plan = Plan(
            sides=_placed([side if reduced is None else reduced(side) for side in sides.values()], device),
            models=len(given),
            pairs=compared,
            settings=settings,
            orders=orders_for(design, first.n, permutations, settings.seed),
            design=design,
            units=np.arange(first.n) if design.groups is None else coded(design.groups, first.n, "groups"),
            advance=lambda _: None,
            keep=kept,
        )
        alignments, undefined = _every(plan, list(sides), f"atlas of {len(given)} models", show)
        whole = Atlas(
            alignments=alignments,
            models=tuple(given),
            attributes=known,
            twins={name.removeprefix(TWIN): name for name in twins},
            n=first.n,
            layers=layers,
            compared=pairs,
            seed=settings.seed,
            alpha=alpha,
            design="" if design.free else str(design),
            conditions=tuple(Condition(BASELINE, name, given=side.name) for name, side in twins.items()),
            undefined=undefined,
            dataset=items.name if items is not None else str(first.facts.get("dataset", "")),
        )
        by_domain = {domain: _on(rows, domain, whole, plan, list(sides), show) for domain, rows in parts.items()}
        common = common_space(plan, next(iter(alignments.values()))) if settings.consensus else None
    return dataclasses.replace(
        whole,
        notes=(*notes, *_sizes_told(parts)),
        questions=asked,
        domains=by_domain,
        space=common,
        provenance=provenance(
            call="atlas",
            models={name: dict(side.facts) for name, side in sides.items()},
            attributes={a: list(values) for a, values in known.items()},
            grouped=design.groups is not None,
            by_domain=bool(parts),
            **settings.facts(),
        ),
    )


def _on(rows: Codes, domain: str, whole: Atlas, plan: Plan, names: Sequence[str], show: Show) -> Atlas:
    """The same models on the items of one domain.

    Raises:
        InputError: if no metric is defined there.
    """
    some = restricted(plan, rows)
    try:
        alignments, undefined = _every(some, names, f"the same on {len(rows)} items of {domain}", show)
    except InputError as error:
        raise InputError(f"domains: {quoted(domain)}: {error}") from error
    return dataclasses.replace(
        whole,
        alignments=alignments,
        undefined=undefined,
        n=len(rows),
        design="" if some.design.free else str(some.design),
        dataset=f"{whole.dataset}, {domain}".removeprefix(", "),
    )


def _placed(sides: Sequence[Side], device: str | None) -> list[Side]:
    """The sides, on a device if one is asked for.

    Raises:
        InputError: if one of them holds RDMs.
    """
    if device is None:
        return list(sides)
    for side in sides:
        if side.rdms:
            raise InputError(f"device={device!r}: {side.name} holds RDMs, which NumPy compares; leave device out.")
    return [moved_to(side, device) for side in sides]


def _sizes_told(parts: Mapping[str, Codes]) -> list[str]:
    """How many items each domain has, if that makes a difference."""
    sizes = {domain: len(rows) for domain, rows in parts.items()}
    if not sizes or max(sizes.values()) <= 1.2 * min(sizes.values()):
        return []
    told = ", ".join(f"{n:,} of {domain}" for domain, n in sizes.items())
    return [
        f"The domains have unlike numbers of items ({told}). Scores of neighbors (mutual_knn) fall as items are added, "
        "so that part of a difference between them may be that of their sizes; cka does not depend on it."
    ]


def _given(models: Any) -> dict[str, Side]:
    """The models as sides.

    Raises:
        InputError: if they are no mapping of at least two.
    """
    if not isinstance(models, Mapping):
        raise InputError(
            f"models must be features by name, such as {{'vit-s': x, 'minilm': y}}, found {quoted(models)}."
        )
    if len(models) < 2:
        raise InputError(f"models holds {len(models)}; at least two are compared with each other.")
    for name in models:
        if not isinstance(name, str) or not name or name.startswith(TWIN):
            raise InputError(f"models: {quoted(name)} is no name; a text is needed that does not begin with {TWIN!r}.")
    return {name: as_side(layers, name, name) for name, layers in models.items()}


def _questions(given: Any) -> tuple[dict[str, Any], ...]:
    """The questions as plain data.

    Raises:
        InputError: if they are no list of tables, or one does not fit.
    """
    if not isinstance(given, (list, tuple)):
        raise InputError(
            "questions must be a list of tables such as {'ask': 'trend', 'attribute': 'parameters'}, found "
            f"{quoted(given)}."
        )
    return tuple(read_question(table, f"questions[{k}]") for k, table in enumerate(given))


def _twins(models: Mapping[str, Any], baselines: Any) -> dict[str, Side]:
    if baselines is None:
        return {}
    if not isinstance(baselines, Mapping):
        raise InputError(f"baselines must be features by the name of the model, found {quoted(baselines)}.")
    found = {}
    for name, layers in baselines.items():
        if name not in models:
            raise UnknownNameError("model in baselines", str(name), models)
        found[f"{TWIN}{name}"] = as_side(layers, f"baselines[{name!r}]", None)
    return found


def _pairs(
    settings: AtlasSettings, names: Sequence[str], twins: Mapping[str, Side], known: Mapping[str, Sequence[Any]]
) -> list[tuple[int, int]]:
    """Which models are compared, and which twins with which models.

    Raises:
        UnknownNameError: if a reference is no model.
        InputError: if no two models are to be compared.
    """
    for name in settings.reference:
        if name not in names:
            raise UnknownNameError("reference", name, names)
    references = {names.index(name) for name in settings.reference}
    modality = known.get("modality", (None,) * len(names))
    if settings.pairs == "across modality" and (None in modality or len(set(modality)) < 2):
        raise InputError(
            "pairs='across modality' needs the modality of every model, of two kinds or more: give Layers of encoders, "
            f"or attributes={{'modality': …}}. Found {', '.join(map(str, dict.fromkeys(modality)))}."
        )

    def asked(i: int, j: int) -> bool:
        if settings.pairs == "to reference":
            return i in references or j in references
        return settings.pairs == "all" or modality[i] != modality[j]

    found = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names)) if asked(i, j)]
    if not found:
        raise InputError("No two models are to be compared; name other references.")
    for k, twin in enumerate(twins, start=len(names)):
        own = names.index(twin.removeprefix(TWIN))
        found += [(j, k) for j in range(len(names)) if j != own and asked(min(own, j), max(own, j))]
    return found


def _every(
    plan: Plan, names: Sequence[str], label: str, show: Show
) -> tuple[dict[str, ModelAlignment], dict[str, str]]:
    """What each metric gives, and why those that are not defined here are not.

    Raises:
        InputError: if none is defined.
    """
    metrics = plan.settings.metrics
    total = sum(steps(metric, plan) for metric in metrics)
    found: dict[str, ModelAlignment] = {}
    undefined: dict[str, str] = {}
    with progress(total, label, unit="steps", show=show) as advance:
        told = dataclasses.replace(plan, advance=advance)
        for metric in metrics:
            try:
                found[metric.spec] = _aligned(metric, compare(metric, told), plan, names)
            except InputError as error:
                if len(metrics) == 1:
                    raise
                undefined[metric.spec] = str(error)
                notice(f"{metric.spec} is not defined here, and is left out. {error}")
    if not found:
        raise InputError(f"None of the {len(metrics)} metrics is defined here. {next(iter(undefined.values()))}")
    return found, undefined


def _aligned(metric: Metric[Any], found: Found, plan: Plan, names: Sequence[str]) -> ModelAlignment:
    pairs = np.array(directed(plan.pairs, metric), dtype=np.int64)
    end = metric.range[0] if metric.distance else metric.range[1]
    alpha = plan.settings.alpha
    scaled = calibrate(found.values, found.null, alpha=alpha, s_max=end, distance=metric.distance, any_count=True)
    p = sampled_p(found.values, found.null, distance=metric.distance)
    rates = np.full(len(pairs), np.nan)
    inner = pairs.max(axis=1) < plan.models
    rates[inner] = benjamini_hochberg(p[inner])
    single = plan.settings.layers not in ("row maxima", "matching")
    return ModelAlignment(
        metric=metric.spec,
        variant=metric.variant,
        models=tuple(names),
        n_models=plan.models,
        layer_names=tuple(tuple(side.layers) for side in plan.sides),
        n=plan.sides[0].n,
        pairs=pairs,
        symmetric=metric.symmetric,
        scores=found.values,
        chances=found.null.mean(axis=0),
        p_values=p,
        excess=scaled.calibrated,
        thresholds=scaled.threshold,
        halves=found.held_out,
        halves_chance=found.held_chance,
        chosen=found.chosen,
        chosen_on_halves=found.held_layers,
        deviations=_short(found.deviations),
        degrees=None if math.isinf(found.degrees) else float(found.degrees),
        profiles=found.profiles,
        own=found.own,
        rates=rates,
        permutations=len(found.null),
        alpha=alpha,
        end=None if math.isinf(end) else float(end),
        identity=metric.identity if single else None,
        **about(metric),
    )


def _short(values: Any) -> Any:
    """Numbers to four digits: more would only make files longer."""
    size = np.abs(values)
    unit = 10.0 ** (np.floor(np.log10(np.where(size > 0, size, 1.0))) - 3)
    return np.round(values / unit) * unit

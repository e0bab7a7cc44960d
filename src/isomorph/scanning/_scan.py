"""Scan: several metrics over every pair of layers, each score with its chance level, each maximum with its p."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import checked_once
from .._core.memory import limited
from .._core.parallel import spread, workers
from .._core.progress import notice, progress
from .._core.provenance import fingerprint, provenance
from ..conditions import BASELINE, CEILING, Comparison, as_side, check_shifts, comparisons, design_of, joined, on_device
from ..datasets import PairedItems
from ..errors import InputError
from ..metrics import DEFAULT_METRICS, Metric
from ..results import Scan
from ..significance import Design, best_of_each, family, gallery_subsets, orders_at_once, orders_for, split_rows
from ._align import Floats, Found, Plan, align_all, permuted
from ._neighborhoods import neighborhoods
from ._notes import notes
from .settings import ScanSettings


@checked_once()
def scan(
    x: Any,
    y: Any,
    metrics: Sequence[str | Metric[Any]] | str = DEFAULT_METRICS,
    *,
    permutations: int = 200,
    seed: int = 0,
    alpha: float = 0.05,
    x_baselines: Mapping[str, Any] | None = None,
    y_baselines: Mapping[str, Any] | None = None,
    x_ceilings: Mapping[str, Any] | None = None,
    y_ceilings: Mapping[str, Any] | None = None,
    items: PairedItems | None = None,
    groups: Sequence[Any] | str | None = None,
    strata: Sequence[Any] | str | None = None,
    circular: bool = False,
    within: bool = True,
    selection: str = "all",
    intervals: bool = True,
    gallery: bool | Sequence[int] = False,
    budget: float | None = None,
    memory: str | int | None = None,
    x_name: str | None = None,
    y_name: str | None = None,
    neighbors: int = 10,
    equivalence: float | None = None,
    device: str | None = None,
) -> Scan:
    """Compare every layer of `x` with every layer of `y`, by every metric.

    Args:
        x: `Layers` of a store, a mapping from layer name to features (n_items, d), a list of features, one array, or
            the path of a file with features; or `RDMs`, which metrics that compare RDMs take.
        y: The same for the other side; `Layers` and `RDMs` are joined by item id, arrays row by row.
        metrics: Specs such as ``"mutual_knn(k=10)"``, or metrics.
        permutations: Random re-pairings of the items, shared by all metrics and layers; they give the p of the
            maximum and the calibrated scores. 0 samples none: then the p of the maximum is a Bonferroni bound from the
            exact p-values, and metrics without an exact null are refused.
        seed: Seed of the permutations and of the split.
        alpha: Level of the calibrated score's threshold; intervals cover 1 - alpha.
        x_baselines: Name (such as ``"untrained"``) -> layers that take the place of `x` in a scan of their own.
        y_baselines: The same for `y`.
        x_ceilings: Name -> layers that `x` is compared with in place of `y`, to say how alike two of its kind are: the
            same model from another seed, another model of the modality. The result says which share of the way from
            chance to the ceiling the scan goes.
        y_ceilings: The same for `y`: layers that take the place of `x`.
        items: Where labels and groups come from, by id, if they are given by name; groups of the items are used if none
            are given.
        groups: One group an item (captions of one image), or the name of a label set of `items`: whole groups change
            places with others of their size, and intervals are over groups.
        strata: One label an item, or the name of a label set of `items`, or ``"groups"`` for their groups: items change
            places only within their label, so that alike means alike beyond the labels.
        circular: Whether the items are one time series in the order of `x` (with groups, one series a group), which is
            shifted in a circle instead of shuffled. Of n items there are n - 1 shifts, which `permutations` cannot
            exceed. Over one series there are no intervals.
        within: Whether items inside a group are shuffled as well; False if their order in the group has a meaning.
        selection: ``"all"`` looks for the best pair of layers among all items (its p is that of the maximum);
            ``"split"`` also chooses the pair on one half of the items and scores it on the other (`held_out`).
        intervals: Whether to give confidence intervals over items, where the metric has influence functions.
        gallery: Whether to score the best pair, and those of the ceilings, against the number of items as well; or the
            numbers of items.
        budget: Seconds that the permutations of one metric may take, or None. A metric that would take longer is
            sampled sequentially: each score only until it is settled (Besag and Clifford 1991), without calibrated
            scores. As many as a p of alpha needs (19 for 0.05) are drawn in any case.
        memory: Working memory that the metrics may take, such as ``"4GB"`` or bytes; blocks shrink to fit, and what
            cannot fit says so before it starts. None takes what the machine has.
        x_name: What to call `x` in results, instead of the encoder's name.
        y_name: What to call `y`.
        neighbors: Neighbours listed for the items that both sides see most and least alike by the first metric, at the
            most: its own if it is a neighbor metric, else by cosine; 0 lists none.
        equivalence: Margin on the score, above 0, within which a difference from a baseline counts as none: such a
            baseline is called equivalent where two one-sided tests at alpha place the difference inside it (by its
            interval at 1 - 2 alpha, for all pairs of layers at once). None makes no such claim: what is not significant
            is "not shown to be more".
        device: Device of torch on which metrics compute, such as ``"cuda"``: layers are moved there one after the
            other, prepared layers stay there, and blocks of products are made there. Scores are those of NumPy up to
            rounding in the features' precision: 1e-4 of the score in single, 1e-9 in double. None computes where the
            features are.

    Returns:
        A `Scan`: a mapping from metric to `Alignment`.

    Raises:
        InputError: if the two sides do not fit each other or a metric, or an argument is out of range.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, untrained, noise = np.random.default_rng(0).normal(size=(3, 60, 8))
        >>> scan = iso.scan({"early": noise, "late": x}, 2 * x + noise, "cka", x_baselines={"untrained": untrained})
        >>> best = scan["cka"].best()
        >>> best.x_layer, round(best.value, 2), round(best.chance, 2), round(best.p_maximum, 3)
        ('late', 0.79, 0.0, 0.005)
        >>> round(scan["cka"].against["untrained x"]["difference"], 2)  # above the baseline
        0.82
    """
    settings = ScanSettings(
        metrics=metrics,
        permutations=permutations,
        seed=seed,
        alpha=alpha,
        groups=groups if isinstance(groups, str) else None,
        strata=strata if isinstance(strata, str) else None,
        circular=circular,
        within=within,
        selection=selection,
        intervals=intervals,
        gallery=gallery,  # type: ignore[arg-type]  # the value makes a tuple of any sequence
        budget=budget,
        memory=memory,
        neighbors=neighbors,
        equivalence=equivalence,
        device=device,
    )
    settings.check_design(strata=strata is not None)
    given = as_side(x, "x", x_name), as_side(y, "y", y_name)
    left, right = joined(*given)
    design = design_of(items, left.ids, left.n, groups=groups, strata=strata, circular=circular, within=within)
    _check_items(settings, design, left.n)
    conditions = comparisons(
        left, right, x_baselines=x_baselines, y_baselines=y_baselines, x_ceilings=x_ceilings, y_ceilings=y_ceilings
    )
    conditions = on_device(conditions, settings.device)
    with limited(memory):
        result = _scanned(settings, conditions, design)
    return dataclasses.replace(
        result,
        notes=notes(given, left, right, design, alpha, settings.metrics),
        design="" if design.free else str(design),
        dataset=items.name if items is not None else result.dataset,
    )


def _scanned(settings: ScanSettings, conditions: Sequence[Comparison], design: Design) -> Scan:
    """The scan and those beside it, but for what is known of the items."""
    left, right = conditions[0].left, conditions[0].right
    orders = orders_for(design, left.n, settings.permutations, settings.seed)
    what, total = f"scan {left.name} × {right.name}", len(conditions) * len(settings.metrics) * (len(orders) + 1)
    with progress(total, what, unit="permutations") as advance:
        seen = 0

        def count(done: int) -> None:
            nonlocal seen
            seen += done
            advance(done)

        def ended(share: float) -> None:  # what workers did, and what a metric with known chance did not need
            count(max(0, round(total * share) - seen))

        found, undefined = _every(settings.metrics, conditions, Plan(settings, orders, design, count), ended)
    facts = settings.facts() | {"design": _facts(design)}
    for data in ("groups", "strata", "circular", "within", "memory"):  # said by the design, and nothing of the scores
        facts.pop(data)
    scans = [_assembled(c, {s: per[k] for s, per in found.items()}, facts) for k, c in enumerate(conditions)]
    main, pairs = scans[0], list(zip(conditions, scans, strict=True))
    assert main is not None  # a metric that is not defined on the scan itself is not among those found
    first, listed = next(iter(main.values())), settings.neighbors
    metric = next(m for m in settings.metrics if m.spec == first.metric)
    shown = listed and left.ids and not (left.rdms or right.rdms)  # an RDM has no cosines to list neighbors by
    return dataclasses.replace(
        main,
        undefined=undefined,
        baselines={c.label: s for c, s in pairs if c.role == BASELINE and s is not None},
        ceilings={c.label: s for c, s in pairs if c.role == CEILING and s is not None},
        conditions=tuple(c.condition for c in conditions[1:]),
        neighborhoods=neighborhoods(left, right, metric, first, listed) if shown else None,
    )


def _check_items(settings: ScanSettings, design: Design, n: int) -> None:
    """Check what settings ask of the items, before the permutations.

    Raises:
        InputError: if there are too few items, or they cannot change places as asked for.
    """
    check_shifts(design, n, settings.alpha)
    if not settings.permutations and not design.free:
        raise InputError(f"permutations=0: exact nulls are not known for items {design}; sample some, such as 199.")
    for metric in settings.metrics:
        if settings.selection == "split":
            split_rows(metric, n, design, seed=settings.seed)
        if not isinstance(settings.gallery, bool):
            if settings.gallery[0] < metric.min_items or settings.gallery[-1] > n:
                raise InputError(
                    f"gallery={list(settings.gallery)} must be True, False or a list of numbers of items between "
                    f"{metric.min_items}, which {metric.spec} needs, and {n}."
                )
            gallery_subsets(metric, n, settings.gallery, design, seed=settings.seed)


def _every(
    metrics: Sequence[Metric[Any]], conditions: Sequence[Comparison], plan: Plan, ended: Callable[[float], None]
) -> tuple[dict[str, list[Found | str]], dict[str, str]]:
    """What each metric gives on every condition, and why those that are not defined here are not.

    Raises:
        InputError: if none is defined.
    """
    given: dict[int, list[Found | str] | InputError] = {}
    parts = _parts(len(metrics), plan)
    nulls = _nulls(metrics, conditions, plan, parts, lambda share: ended(share / 2))
    before = 0.5 if parts else 0.0
    for k, result in spread(_one_metric, (tuple(conditions), plan), list(zip(metrics, nulls, strict=True))):
        given[k] = result
        ended(before + (1 - before) * len(given) / len(metrics))
    found: dict[str, list[Found | str]] = {}
    undefined: dict[str, str] = {}
    for k, metric in enumerate(metrics):
        result = given[k]
        if not isinstance(result, InputError):
            found[metric.spec] = result
            continue
        if len(metrics) == 1:
            raise result
        undefined[metric.spec] = str(result)
        notice(f"{metric.spec} is not defined here, and is left out. {result}")
    if not found:
        raise InputError(f"None of the {len(metrics)} metrics is defined here. {next(iter(undefined.values()))}")
    return found, undefined


def _parts(metrics: int, plan: Plan) -> list[slice]:
    """Parts of the re-pairings of each metric, so that more workers than metrics have work; none if there are not.

    Each part is prepared for anew, so there are no more than workers. They end where one process begins a new block,
    so that scores are the same bytes.
    """
    count = len(plan.orders)
    share = workers() // metrics
    if share < 2 or not count or plan.settings.budget is not None:  # a budget may need few of them
        return []
    step = orders_at_once(plan.orders.shape[1])
    step *= math.ceil(count / step / share)
    return [slice(start, start + step) for start in range(0, count, step)]


def _nulls(
    metrics: Sequence[Metric[Any]],
    conditions: Sequence[Comparison],
    plan: Plan,
    parts: Sequence[slice],
    ended: Callable[[float], None],
) -> list[list[Floats | None]]:
    """Of every metric its scores on every condition under all re-pairings, made in parts; None where there are none."""
    pieces = [(metric, part) for metric in metrics for part in parts]
    made: dict[int, list[Floats | None]] = {}
    for p, scores in spread(_one_part, (tuple(conditions), plan), pieces):
        made[p] = scores
        ended(len(made) / len(pieces))
    out: list[list[Floats | None]] = []
    for m in range(len(metrics)):
        columns = zip(*(made[m * len(parts) + k] for k in range(len(parts))), strict=True)
        joined = [None if any(s is None for s in column) else np.concatenate(column) for column in columns]
        out.append(joined or [None] * len(conditions))
    return out


def _one_part(shared: tuple[Sequence[Comparison], Plan], piece: tuple[Metric[Any], slice]) -> list[Floats | None]:
    """The scores of one metric on every condition under a part of the re-pairings."""
    with limited(shared[1].settings.memory):  # on a worker nothing is limited yet
        return permuted(piece[0], *shared, piece[1])


def _one_metric(
    shared: tuple[Sequence[Comparison], Plan], piece: tuple[Metric[Any], Sequence[Floats | None]]
) -> list[Found | str] | InputError:
    """What one metric gives on every condition, or why it is not defined on the scan itself."""
    try:
        with limited(shared[1].settings.memory):
            return align_all(piece[0], *shared, piece[1])
    except InputError as error:
        return error


def _facts(design: Design) -> dict[str, Any]:
    """How the items were permuted, with fingerprints of the labels that say where they may go."""
    facts: dict[str, Any] = {"items": str(design)}
    for name, labels in (("groups", design.groups), ("strata", design.strata)):
        if labels is not None:
            facts[name] = fingerprint([str(v) for v in labels])
    return facts


def _assembled(condition: Comparison, per: Mapping[str, Found | str], facts: dict[str, Any]) -> Scan | None:
    """One scan out of its alignments and their sampled nulls, for the p over all metrics; None if there are none."""
    left, right = condition.left, condition.right
    found = {spec: f for spec, f in per.items() if isinstance(f, Found)}
    if not found:
        return None
    made = provenance(call="scan", x=dict(left.facts), y=dict(right.facts), **facts)
    # whether torch happens to be loaded says nothing about numbers that it did not compute
    made["versions"] = {k: v for k, v in made["versions"].items() if k in ("python", "isomorph", "numpy", "scipy")}
    stamp = {"call": "scan", "fingerprint": fingerprint(made)}
    alignments = {spec: dataclasses.replace(f.alignment, provenance=stamp) for spec, f in found.items()}
    nulls = {
        spec: (f.alignment.values, f.null, f.alignment.distance) for spec, f in found.items() if f.null is not None
    }
    return Scan(
        x_name=left.name,
        y_name=right.name,
        alignments=alignments,
        n=left.n,
        seed=int(facts["seed"]),
        x_view=str(left.facts.get("view", "")),
        y_view=str(right.facts.get("view", "")),
        dataset=str(left.facts.get("dataset", "")),
        p_maximum=family(nulls).p_maximum if len(nulls) == len(found) else None,
        p_by_metric=best_of_each(nulls) if len(nulls) == len(found) else {},
        undefined={spec: f for spec, f in per.items() if isinstance(f, str)},
        provenance=made,
    )

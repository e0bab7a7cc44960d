"""Diagnose: look for every failure signature that what was given allows to look for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.arrays import checked_once
from .._core.memory import limited, require_copies
from .._core.provenance import fingerprint, provenance
from ..conditions import Comparison, as_side, comparisons, joined
from ..design import coded
from ..errors import InputError
from ..results import Diagnosis, Finding, Fusion, Scan, Stitch
from ._base import REGISTRY, Case, function, geometry
from ._guide import advice
from .settings import DiagnoseSettings


@checked_once()
def diagnose(
    x: Any = None,
    y: Any = None,
    *,
    scan: Scan | None = None,
    stitch: Stitch | None = None,
    fusion: Fusion | None = None,
    labels: Sequence[Any] | None = None,
    x_baselines: Mapping[str, Any] | None = None,
    y_baselines: Mapping[str, Any] | None = None,
    signatures: Sequence[str] | None = None,
    purposes: Sequence[str] | None = None,
    seed: int = 0,
    memory: str | int | None = None,
) -> Diagnosis:
    """Look for known ways in which similarity misleads.

    Args:
        x: `Layers`, a mapping from layer name to features (n_items, d), a list of features, or one array; may be left
            out where results are given.
        y: The other side, joined with `x` by item id or row by row.
        scan: A scan of the two: geometry.
        stitch: A stitch of the two: function.
        fusion: A fusion of them, or of other spaces: whether one does all the work.
        labels: One class an item, in the order of the items of both sides joined.
        x_baselines: Name (such as ``"untrained"``) -> layers that take the place of `x`, where no scan with baselines
            is given.
        y_baselines: The same for `y`.
        signatures: Names of signatures to look for; by default all.
        purposes: Names of criteria of leagues (`isomorph list criteria`), such as ``"stitching"``, for which to say
            which metric to trust; by default those that what was given, and what was found in it, make a question.
        seed: Seed of what is drawn.
        memory: Working memory, such as ``"4GB"`` or bytes; None takes what the machine has.

    Returns:
        A `Diagnosis`: what is there, what is not, what could not be looked for and why, and which metric to trust.

    Raises:
        InputError: if nothing was given, or what was given does not fit together.
        UnknownNameError: if there is no such signature.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.diagnose(x, np.hstack([x[:, :4], 50 * noise[:, :1]]))
        >>> [(finding.signature, finding.where) for finding in found.present]
        [('outlier_dimensions', 'y, y'), ('rank_collapse', 'y, y')]
    """
    settings = DiagnoseSettings(signatures, seed, memory, purposes)  # type: ignore[arg-type]  # makes tuples of any sequences
    if x is None and y is not None:
        raise InputError("y was given without x; give one side as x, or both.")
    given_results = (("scan", scan, Scan), ("stitch", stitch, Stitch), ("fusion", fusion, Fusion))
    if x is None and all(given is None for _, given, _ in given_results):
        raise InputError("Nothing to diagnose: give features (x, or x and y), a scan, a stitch or a fusion.")
    for name, given, kind in given_results:
        if given is not None and not isinstance(given, kind):
            raise InputError(f"{name} is a {type(given).__name__}; a {kind.__name__} is needed (iso.load_result).")
    case = _case(x, y, labels, x_baselines, y_baselines)
    case = dataclasses.replace(case, scan=scan, stitch=stitch, fusion=fusion, seed=settings.seed)
    findings: list[Finding] = []
    unchecked: dict[str, str] = {}
    chosen = [
        REGISTRY.make(name) for name in (REGISTRY.classes if settings.signatures is None else settings.signatures)
    ]
    with limited(memory):
        widths = [max(map(side.width, side.layers)) for side in (case.x, case.y) if side is not None]
        if case.x is not None:
            require_copies(8, (case.x.n, sum(widths)), "diagnose")
        for signature in chosen:
            reason = signature.missing(case)
            if reason:
                unchecked[signature.name] = reason
            else:
                findings += signature.look(case)
    x_side, y_side = case.x, case.y
    names = _names(case)
    return Diagnosis(
        x_name=names[0],
        y_name=names[1],
        findings=tuple(findings),
        unchecked=dict(sorted(unchecked.items())),
        quadrant=_quadrant(case),
        n=next(given.n for given in (x_side, scan, stitch, fusion) if given is not None),
        provenance=provenance(
            call="diagnose",
            x=None if x_side is None else dict(x_side.facts),
            y=None if y_side is None else dict(y_side.facts),
            scan=None if scan is None else fingerprint(scan.provenance),
            stitch=None if stitch is None else fingerprint(stitch.provenance),
            **({} if fusion is None else {"fusion": fingerprint(fusion.provenance)}),
            baselines=sorted(case.baselines),
            labels=labels is not None,
            signatures=[s.name for s in chosen],
            seed=seed,
            **({} if settings.purposes is None else {"purposes": list(settings.purposes)}),
        ),
        guide=advice(case, [s for s in chosen if any(f.present for f in findings if f.signature == s.name)], settings),
    )


def _case(x: Any, y: Any, labels: Any, x_baselines: Any, y_baselines: Any) -> Case:
    left = None if x is None else as_side(x, "x", None)
    right = None if y is None else as_side(y, "y", None)
    if left is not None and right is not None:
        left, right = joined(left, right)
    code = None
    if labels is not None:
        if left is None:
            raise InputError(
                "labels= are those of the items of x and y, which were not given. Give x and y, or no labels."
            )
        code = coded(labels, left.n, "labels", "text", left.ids)
    beside: list[Comparison] = []
    if x_baselines is not None or y_baselines is not None:
        if left is None or right is None:
            raise InputError("Baselines take the place of a side: give both x and y.")
        beside = comparisons(left, right, x_baselines=x_baselines, y_baselines=y_baselines, verb="diagnosis")[1:]
    baselines = {c.label: c for c in beside}
    return Case(left, right, code, baselines=baselines)


def _names(case: Case) -> tuple[str, str]:
    for result in (case.scan, case.stitch):
        if result is not None:
            return result.x_name, result.y_name
    if case.x is None and case.fusion is not None:
        first, *others = (case.fusion.models.get(space) or space for space in case.fusion.singles)
        return first, " + ".join(others)
    return (case.x.name if case.x else ""), (case.y.name if case.y else "")


def _quadrant(case: Case) -> dict[str, Any]:
    scan = case.scan
    if scan is None or case.stitch is None:
        return {}
    shares, uses = geometry(scan), function(case)
    if not shares or not uses:
        return {}
    by_metric, by_use = max(shares, key=lambda k: shares[k]), max(uses, key=lambda k: uses[k])
    return {
        "geometry": shares[by_metric],
        "function": uses[by_use],
        "metric": by_metric,
        "use": by_use,
        "metrics": shares,
        "uses": uses,
    }

"""Fit encoding models and say, unit by unit, what they predict of held-out responses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import checked_once
from .._core.memory import block_bytes, limited
from .._core.progress import progress
from .._core.provenance import provenance
from ..conditions import Side, lost_items
from ..design import Codes, coded
from ..errors import InputError
from ..results import Encoding
from ..results._encoding import CHOSEN
from ..significance import maximum_p
from ._blocks import Block, Choice
from ._chance import explained
from ._plan import Plan, banded, methods, planned
from ._readouts import Method
from ._repeats import by_blocks
from ._search import predicted
from ._sources import Units, band_features, layer_names, read_bands, read_features, read_responses, together
from ._tally import Tally
from .settings import ALPHAS, BANDED, COMPONENTS, PLS, PREDICTIONS, EncodingSettings

Matrix = np.ndarray[Any, Any]
_REST = "\0"
"""What stands before the name of a band that a model is without: no layer has it in its name."""
_EDGE = 0.1
"""Share of predicted units above which penalties at an end of the grid are told."""


@checked_once()
def fit_encoding(
    x: Any,
    responses: Any,
    method: str = "ridge",
    *,
    layers: Sequence[str] | str | None = None,
    bands: Mapping[str, Sequence[str] | str] | Sequence[str] | None = None,
    runs: Sequence[Any] | None = None,
    repeats: Any = None,
    alphas: Sequence[float] | float = ALPHAS,
    components: Sequence[int] | int = COMPONENTS,
    searches: int = 60,
    partition: bool = True,
    folds: int | None = None,
    inner_folds: int | None = None,
    scaling: str = "center",
    permutations: int = 999,
    null: str = "auto",
    circular: bool | None = None,
    ceiling: str = "signal_power",
    alpha: float = 0.05,
    seed: int = 0,
    memory: str | int | None = None,
    x_name: str | None = None,
    responses_name: str | None = None,
    responses_layer: str | None = None,
) -> Encoding:
    """Predict the responses of units (voxels, neurons, sensors) from a model's layers, on items that no fit saw.

    Whole runs are held out in turn. The penalty (or number of components) of each unit and, among several layers, its
    layer are chosen in inner folds of the other runs, so that the scores of what was chosen are honest. Any number of
    units share one factorisation a fold.

    Args:
        x: Features of the items: `Layers`, a mapping or list of arrays (n, d), one array, a file; or a mapping from
            names of models to `Layers`, whose layers are then called ``"model/layer"``.
        responses: Responses (n, units), or (repeats, n, units) or a list of arrays, whose mean over repeats is
            predicted; also `Layers` (joined with `x` by id), or a file. A ``.npy`` file stays on disk.
        method: ``"ridge"``: a model of each layer; ``"banded_ridge"``: one model of all bands, with weights per unit;
            ``"pls"``: partial least squares of each layer, fitted to all units together.
        layers: Layers to use; by default all.
        bands: Layers that go together: a band's name -> its layers. By default each layer is a band.
        runs: One run (session, story, scan) a row of `responses`: what is held out whole, and inside which responses
            change places for p. Rows in time need it: neighbours in time are alike.
        repeats: Responses to repeated items (repeats, m, units), for the ceiling, where `responses` has no repeats. Its
            ceiling is that of the mean over these repeats.
        alphas: As in `EncodingSettings`, as is all that follows.
        components: Numbers of PLS components to choose from.
        searches: Random weightings of the bands.
        partition: Whether to fit without each band as well.
        folds: Outer folds.
        inner_folds: Inner folds.
        scaling: ``"center"`` or ``"zscore"``, learned from the rows that are fitted on.
        permutations: Permutations of the responses; 0 for no p.
        null: ``"auto"``, ``"refit"`` or ``"predictions"``.
        circular: Whether responses are shifted in a circle or shuffled inside their run.
        ceiling: ``"signal_power"`` or ``"split_half"``.
        alpha: Rate of false discoveries under which a unit is called predicted.
        seed: Seed of folds, searches and permutations.
        memory: Working memory, such as ``"4GB"`` or bytes; by default blocks of units that take 1 GB.
        x_name: What to call `x` in results.
        responses_name: What to call `responses`.
        responses_layer: Which layer of `responses`, if it has several.

    Returns:
        An `Encoding`: scores per unit and layer with p, the layer that each unit prefers, ceilings, weights of bands
        and what each explains alone. Chance of r is 0.

    Raises:
        InputError: if the sides do not fit each other, responses hold NaN, no unit varies, there are too few runs or
            rows, or a setting is out of range.
        UnknownNameError: if there is no such layer.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> layers = {name: rng.normal(size=(120, 6)) for name in ("early", "middle", "late")}
        >>> voxels = layers["middle"] @ rng.normal(size=(6, 20)) + 2 * rng.normal(size=(120, 20))
        >>> found = iso.fit_encoding(layers, voxels, permutations=99)
        >>> found.best, round(found.chosen.mean_r, 2), found.p_maximum, found.preferred()["middle"]
        ('middle', 0.72, 0.01, 20)
    """
    settings = EncodingSettings(
        method=method, alphas=alphas, components=components, searches=searches, partition=partition, folds=folds,
        inner_folds=inner_folds, scaling=scaling, permutations=permutations, null=null, circular=circular,
        ceiling=ceiling, alpha=alpha, seed=seed, memory=memory,
    )  # fmt: skip
    name, given = read_features(x, x_name)
    target = read_responses(responses, "responses", responses_name, responses_layer)
    sides, units = together(given, target)
    names = layer_names(sides)
    inside = read_bands(layers, bands, list(names))
    order = _places(target, units)
    run = None if runs is None else _runs(runs, target, order)
    again = _repeated(repeats, units)

    def features(band: str) -> Matrix:
        return band_features(sides, names, inside[band])

    with limited(settings.memory):
        varies = units.varying("responses")
        dims = {b: sum(sides[m].width(layer) for m, layer in (names[v] for v in inside[b])) for b in inside}
        plan = planned(settings, units, run, order, dims)
        found = _fitted(plan, units, varies, list(inside), features)
        reliability, reliability_p = _ceilings(again, settings)
    said = lost_items([*((k or "x", s) for k, s in given.items()), *_side(target)], units.n)
    result = Encoding(
        x_name=name,
        responses_name=units.name,
        method=settings.method,
        bands=tuple(inside),
        dims=tuple(dims.values()),
        reliability=reliability,
        reliability_p=reliability_p,
        ceiling_kind=settings.ceiling,
        repeats=0 if again is None else len(again.arrays),
        n=units.n,
        folds=len(plan.folds),
        inner_folds=len(plan.folds[0].inner),
        options=tuple(map(float, settings.components if settings.method == PLS else settings.alphas)),
        permutations=settings.permutations,
        null=plan.null,
        design=plan.design,
        alpha=settings.alpha,
        seed=settings.seed,
        provenance=provenance(
            call="fit_encoding",
            x={k: dict(s.facts) for k, s in sides.items()},
            responses=dict(units.facts),
            bands={k: list(v) for k, v in inside.items()},
            runs=None if run is None else int(run.max()) + 1,
            **settings.facts(),
        ),
        **found,
    )
    return dataclasses.replace(result, notes=(*said, *_notes(result, varies)))


# ---- fitting -----------------------------------------------------------------------------------------------


def _fitted(
    plan: Plan, units: Units, varies: Matrix, bands: list[str], features: Callable[[str], Matrix]
) -> dict[str, Any]:
    """Scores of all models, by the fields of the result."""
    settings = plan.settings
    made = methods(settings, units, bands, features)
    parted = settings.method == BANDED and settings.partition and len(bands) > 1
    made |= {_rest(b): _without(settings, b, bands, features) for b in bands if parted}
    tallies = {name: Tally(varies, len(plan.folds), settings.permutations) for name in (*made, CHOSEN)}
    main = [name for name in made if name[0] != _REST]
    choice = Choice(len(main), units.width) if len(main) > 1 else None
    weights = np.full((len(bands), units.width), np.nan, np.float32) if settings.method == BANDED else None
    kept: dict[str, Method] = {}
    blocks = range(0, units.width, plan.step)
    with progress(len(blocks) * len(made) * len(plan.folds), "encoding", unit="fits") as advance:
        for start in blocks:
            part = slice(start, min(start + plan.step, units.width))
            block = Block(plan, units.block(part.start, part.stop))
            for name, make in made.items():
                method = kept.pop(name, None) or make()
                if len(blocks) > 1:
                    kept[name] = method
                if name not in main:  # its R² is all that is asked for
                    found = predicted(block.y, method, plan.folds, advance)
                    r2 = explained(block.y, found.rows, plan.folds)
                    tallies[name].add(part, r2, r2, found.option, None)
                    continue
                found = predicted(block.columns, method, plan.folds, advance)
                option = np.asarray(method.options)[found.option[:, : block.units]]
                r, r2, null = block.scored(found)
                tallies[name].add(part, r, r2, option, null)
                if weights is not None:
                    weights[:, part] = method.weights[found.weighting[:, : block.units]].mean(axis=0).T
                if choice is not None:  # from here on the predictions are its own
                    choice.look(main.index(name), found, option, plan, part)
            if choice is not None and choice.found is not None:
                r, r2, null = block.scored(choice.found)
                tallies[CHOSEN].add(part, r, r2, choice.option, null)
    preference, agreement = (None, None) if choice is None else choice.preference(varies)
    if weights is not None:
        weights[:, ~varies] = np.nan
    unique = np.stack([tallies[main[0]].r2 - tallies[_rest(b)].r2 for b in bands]) if parted else None
    return {
        "scores": {name: tallies[name].scores() for name in main},
        "chosen": None if choice is None else tallies[CHOSEN].scores(),
        "preference": preference,
        "agreement": agreement,
        "weights": weights,
        "unique": unique,
        "shared": None if unique is None else tallies[main[0]].r2 - unique.sum(axis=0),
        "p_maximum": _best_p([tallies[name] for name in main]) if settings.permutations else None,
    }


def _best_p(tallies: Sequence[Tally]) -> float:
    """The p of the highest mean r of all layers."""
    return maximum_p(np.array([t.mean for t in tallies]), np.stack([t.null_means for t in tallies], axis=1))


def _rest(band: str) -> str:
    return _REST + band


def _without(
    settings: EncodingSettings, band: str, bands: Sequence[str], features: Callable[[str], Matrix]
) -> Callable[[], Method]:
    others = [b for b in bands if b != band]
    return lambda: banded(settings, others, features)


# ---- rows --------------------------------------------------------------------------------------------------


def _places(given: Side | Units, joined: Units) -> Codes:
    """Where each row stands among the rows of the responses as they were given."""
    if isinstance(given, Units) or given.ids is None or joined.ids is None:
        return np.arange(joined.n)
    where = {id_: i for i, id_ in enumerate(given.ids)}
    return np.array([where[id_] for id_ in joined.ids], dtype=np.int64)


def _runs(runs: Any, given: Side | Units, places: Codes) -> Codes:
    """The run of each row that is left, numbered from 0."""
    code = coded(runs, given.n, "runs", "value", given.ids)[places]
    return np.unique(code, return_inverse=True)[1].reshape(-1)


def _repeated(repeats: Any, units: Units) -> Units | None:
    """Responses to repeated items, or None if there are none.

    Raises:
        InputError: if they are no repeats, or not of the same units.
    """
    if repeats is None:
        return units if len(units.arrays) > 1 else None
    found = read_responses(repeats, "repeats", None)
    if not isinstance(found, Units) or len(found.arrays) < 2:
        raise InputError(
            "repeats must be responses to items that were repeated, (repeats, n_items, n_units), 2 repeats or more; "
            "found one array (n_items, n_units). Labels of repeated rows are not read: stack the rows of each item."
        )
    if found.width != units.width or found.n < 3:
        raise InputError(
            f"repeats has {found.n} items and {found.width:,} units; responses has {units.width:,} units. Both must be "
            "of the same units, and repeats of at least 3 items."
        )
    found.varying("repeats")
    return found


def _ceilings(repeats: Units | None, settings: EncodingSettings) -> tuple[Matrix | None, Matrix | None]:
    """Reliability of each unit and its p, or None without repeats."""
    if repeats is None:
        return None, None
    shape = (len(repeats.arrays), repeats.n, repeats.width)
    return by_blocks(repeats.repeats, shape, settings.ceiling, settings.seed, block_bytes(1 << 28))


def _side(given: Side | Units) -> list[tuple[str, Side]]:
    return [("responses", given)] if isinstance(given, Side) else []


# ---- notes -------------------------------------------------------------------------------------------------


def _notes(found: Encoding, varies: Matrix) -> list[str]:
    said = []
    flat = int((~varies).sum())
    if flat:
        said.append(f"{flat:,} of {len(varies):,} units do not vary and have no score.")
    if found.null == PREDICTIONS:
        said.append(
            "p permutes held-out responses against fixed predictions, with deviations widened by √2 for what the folds "
            "share; null='refit' fits anew, which takes as many times longer as there are permutations."
        )
    told = found.predicted
    chosen = found.main.option[:, told]
    if found.method != PLS and len(found.options) > 1 and chosen.size:
        for at, words, fix in ((0, "least", "smaller"), (-1, "greatest", "greater")):
            share = float(np.mean(np.isclose(chosen, found.options[at], rtol=1e-5)))
            if share > _EDGE:
                said.append(
                    f"{share:.0%} of the penalties of predicted units are the {words} that was tried, "
                    f"{found.options[at]:g} of the total variance; try {fix} ones too (alphas=)."
                )
    if found.method == PLS:
        said.append("The components of PLS are those of all units together: fewer or other units give other scores.")
    return said

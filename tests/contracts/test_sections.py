"""The contract of every registered section of the report; the laws are in `section_laws.py`.

A new section is one file of `isomorph/reporting/sections/`. Its result is its own `example`, or made here by the verb.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable

import numpy as np
import pytest

import isomorph
from isomorph.atlases import atlas
from isomorph.concept_maps import concepts
from isomorph.diagnosis import diagnose
from isomorph.leagues import Family, Network
from isomorph.reporting._section import Section
from isomorph.reporting.sections import sections
from isomorph.results import Result
from isomorph.scanning import scan
from isomorph.stitching import stitch
from isomorph.store import Layers

from .laws import Law
from .section_laws import SECTIONS


@functools.cache
def sides(text: str) -> tuple[Layers, Layers, Layers]:
    """Two related sides and an untrained twin, whose models, layers and items are called `text`."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((60, 4))
    ids = [f"{text}{i}".replace("\0", "") for i in range(60)]  # which ids may not hold
    x = {f"{text}x{i}": z @ rng.standard_normal((4, 6)) + 0.5 * rng.standard_normal((60, 6)) for i in range(2)}
    y = {f"{text}y{i}": z @ rng.standard_normal((4, 5)) + 0.5 * rng.standard_normal((60, 5)) for i in range(2)}
    twin = {k: rng.standard_normal(v.shape) for k, v in x.items()}
    return tuple(  # type: ignore[return-value]  # there are three
        Layers.from_arrays(arrays, ids, encoder=f"{text}{name}", view=text)
        for name, arrays in (("x", x), ("y", y), ("twin", twin))
    )


@functools.cache
def _scan(text: str) -> Result:
    x, y, twin = sides(text)
    found = scan(x, y, ["cka", "mutual_knn(k=5)"], permutations=50, x_baselines={text: twin}, neighbors=2)
    return typing.cast("Result", found)


@functools.cache
def _stitch(text: str) -> Result:
    x, y, twin = sides(text)
    labels = np.arange(60) % 3
    quick = {"repeats": 2, "permutations": 9, "draws": 100}
    return stitch(x, y, "ridge", labels=[f"{text}{i}" for i in labels], x_baselines={text: twin}, **quick)


@functools.cache
def _diagnosis(text: str) -> Result:
    x, y, twin = sides(text)
    return diagnose(x, y, scan=_scan(text), stitch=_stitch(text), x_baselines={text: twin})  # type: ignore[arg-type]


@functools.cache
def _atlas(text: str) -> Result:
    """Five models in two families, with twins, and every question; one metric leaves nothing out, one is a distance."""
    rng = np.random.default_rng(0)
    x, y, twin = sides(text)
    more = {f"{text}{k}": {n: v + k * rng.standard_normal(v.shape) for n, v in y.items()} for k in range(1, 4)}
    models = {f"{text}x": x, f"{text}y": y} | {
        name: Layers.from_arrays(arrays, x.ids, encoder=name, view=text) for name, arrays in more.items()
    }
    first, second, *rest = models
    size = {name: 2.0**k for k, name in enumerate(models)}
    attributes = {"size": size, text: dict.fromkeys(models, text), "family": dict.fromkeys(rest, text)}
    return atlas(
        models,
        ["cka", "procrustes_distance"],
        attributes=attributes,
        baselines=dict.fromkeys(models, twin),
        questions=[
            {"ask": "trend", "attribute": "size", "reference": first},
            {"ask": "trend", "attribute": text},
            {"ask": "threshold", "attribute": "size", "reference": {text: text}},
            {"ask": "divergence", "specialists": [second], "pool": rest},
            {"ask": "domain_divergence", "specialists": [second], "pool": rest},
            {"ask": "factors", "factors": ["size", "width"]},
        ],
        domains=[text, "other"] * (x.n // 2),
        consensus=2,
        permutations=19,
        splits=2,
    )


@functools.cache
def _concepts(text: str) -> Result:
    """A map with ceilings on both sides and two label sets, one of which has a concept of a single item."""
    x, y, twin = sides(text)
    rng = np.random.default_rng(1)
    again = {n: v + 0.3 * rng.standard_normal(v.shape) for n, v in x.items()}
    ceilings = {text: Layers.from_arrays(again, x.ids, encoder=text, view=text)}
    kinds = [f"{text}{i % 5}" for i in range(59)] + [f"{text}alone"]
    return concepts(
        x,
        y,
        labels={text: kinds, "half": ["a", "b"] * 30},
        metric="mutual_knn(k=5)",
        x_ceilings=ceilings,
        y_ceilings={text: y, "twin": twin},
        permutations=39,
        folds=2,
    )


@functools.cache
def _migration(text: str) -> Result:
    """A map between two widths of the same items, with a control."""
    old = np.random.default_rng(0).normal(size=(60, 4))
    return isomorph.fit_map(old, old[:, ::-1], permutations=19, old_name=text, new_name=text)


@functools.cache
def _encoding(text: str) -> Result:
    """Two layers, repeats, and a unit that does not vary."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    units = np.stack([x + k + 0.5 * rng.normal(size=(60, 4)) for k in range(3)])
    units[:, :, 3] = 1.0
    layers = {f"{text}x0": rng.normal(size=(60, 4)), f"{text}x1": x}
    return isomorph.fit_encoding(layers, units, permutations=19, x_name=text, responses_name=text)


@functools.cache
def _odd_one_out(text: str) -> Result:
    """Two layers, and triplets some of which were judged twice."""
    rng = np.random.default_rng(0)
    judged = np.stack([rng.permutation(12)[:3] for _ in range(80)])
    layers = {f"{text}x{k}": rng.normal(size=(12, 4)) for k in range(2)}
    return isomorph.odd_one_out(layers, np.concatenate([judged, judged[:20, ::-1]]), permutations=19, x_name=text)


@functools.cache
def _outputs(text: str) -> Result:
    """Three models with labels, one of which always answers the same."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    rows = {f"{text}{k}": rng.dirichlet(np.ones(3), size=60) for k in range(2)} | {f"{text}0 ": np.eye(3)[[0] * 60]}
    names = [f"{text}{k}" for k in range(3)]
    found = isomorph.outputs(rows, [names[k] for k in labels], classes=names, permutations=39, draws=50)
    return typing.cast("Result", found)


@functools.cache
def _model_comparison(text: str) -> Result:
    """Two regions of two subjects each and two models; scores whose chance is not 0 have no share of the ceiling."""
    x, y, _ = sides(text)
    rng = np.random.default_rng(0)
    seen = [x[next(iter(x))] + k * rng.standard_normal((60, 6)) for k in (0.3, 0.5)]
    rdms = isomorph.RDMs.from_arrays([1 - np.corrcoef(v) for v in seen], x.ids, subjects=[f"{text}1", f"{text}2"])
    regions = {text: rdms, f"{text}again": rdms}
    return isomorph.compare_models(regions, {text: x, f"{text}y": y}, "cosine", bootstraps=30, permutations=19)


@functools.cache
def _rdm_explanation(text: str) -> Result:
    """Two subjects and two models, one of which adds nothing."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 14, 4))
    measured = isomorph.RDMs.from_patterns([x, x + 0.3 * rng.normal(size=x.shape)], subjects=["a", "b"])
    models = {f"{text}{k}": isomorph.RDMs.from_patterns(v) for k, v in enumerate((x, y))}
    return isomorph.explain_rdms(measured, models, permutations=19, name=text)


@functools.cache
def _searchlight(text: str) -> Result:
    """A line of channels and two models; some centers have too few."""
    rng = np.random.default_rng(0)
    models = {f"{text}{k}": isomorph.RDMs.from_patterns(rng.normal(size=(10, 4))) for k in range(2)}
    responses = rng.normal(size=(10, 25))
    return isomorph.searchlight(responses, np.arange(25), models, radius=3, permutations=19, name=text)


@functools.cache
def _league(text: str) -> Result:
    """Two kinds of networks, a metric without a score in one criterion, and criteria that could not be asked."""
    rng = np.random.default_rng(0)
    kinds = [rng.normal(size=(30, 4)) for _ in range(2)]
    seen = [kinds[k % 2] + 0.3 * rng.normal(size=(30, 4)) for k in range(6)]
    told = [{"label_noise": f"{text}{k % 2}"} for k in range(6)]
    networks = [Network(f"{text}{k}", {text: seen[k]}, attributes=told[k]) for k in range(6)]
    return isomorph.league(Family(text, networks), ["cka", "cca"], permutations=19, draws=100)


MAKERS: dict[str, Callable[[str], Result]] = {
    "scan": _scan,
    "stitch": _stitch,
    "diagnosis": _diagnosis,
    "atlas": _atlas,
    "concept_map": _concepts,
    "migration": _migration,
    "rdm_explanation": _rdm_explanation,
    "searchlight": _searchlight,
    "model_comparison": _model_comparison,
    "encoding": _encoding,
    "odd_one_out": _odd_one_out,
    "outputs": _outputs,
    "league": _league,
}
"""Results of a verb with all names given."""
AWAITED: set[str] = set()
"""Kinds whose section is being written."""


def maker(kind: type[Section]) -> Callable[[str], Result]:
    def make(text: str) -> Result:
        found = kind.example(text) or MAKERS.get(kind.name, lambda _: None)(text)
        assert found is not None, f"the section {kind.name} has no result to draw: implement Section.example"
        return found

    return make


@pytest.mark.parametrize(("kind", "law"), list(SECTIONS.cases(sections.classes)))
def test_a_section_keeps_the_law(kind: type[Section], law: Law) -> None:
    law(kind, maker(kind))


def test_the_result_of_every_verb_has_a_section() -> None:
    functions = [f for f in (getattr(isomorph, name) for name in isomorph.__all__) if inspect.isfunction(f)]
    answers = {typing.get_type_hints(f).get("return") for f in functions}
    kinds = {cls.kind for cls in answers if isinstance(cls, type) and issubclass(cls, Result)}
    assert {"scan", "stitch", "diagnosis"} <= kinds
    missing = kinds - set(sections.classes) - AWAITED
    assert not missing, f"no section shows {', '.join(missing)}"


def test_no_maker_outlives_its_section() -> None:
    assert set(MAKERS) <= set(sections.classes)

"""The laws of a failure signature. Each takes the class; its own planted data say what it is there for."""

from __future__ import annotations

import functools
import inspect
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isomorph.diagnosis import Signature, diagnose
from isomorph.errors import InputError
from isomorph.fusion import fuse
from isomorph.results import Diagnosis, Finding, load_result
from isomorph.scanning import scan
from isomorph.stitching import stitch

from .laws import Laws

SIGNATURES = Laws()
law = SIGNATURES.law

Kind = type[Signature]
Data = Mapping[str, Any]
FEATURES = ("x", "y", "labels", "x_baselines", "y_baselines")


def healthy() -> Data:
    """Two views of one latent that share a basis, with layers, classes and an untrained twin that knows nothing."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((400, 16))
    x = {f"x{i}": z + s * rng.standard_normal(z.shape) for i, s in enumerate((0.7, 0.5))}
    y = {"y0": z + 0.7 * rng.standard_normal(z.shape)}
    twin = {name: rng.standard_normal(z.shape) for name in x}
    return {"x": x, "y": y, "labels": np.argmax(z[:, :4], axis=1), "x_baselines": {"untrained": twin}}


def with_results(data: Data) -> list[Data]:
    """What to diagnose: the features alone, the scan and the stitch of them, and the features beside the stitch."""
    if "y" not in data:
        return [data]
    pair = {k: data[k] for k in ("x", "y", "x_baselines", "y_baselines") if k in data}
    scanned = scan(**pair, metrics="cka", permutations=99)
    stitched = stitch(
        **pair, maps="ridge", labels=data.get("labels"), repeats=3, permutations=99, draws=100, curves=False
    )
    return [data, {"scan": scanned, "stitch": stitched}, {**data, "stitch": stitched}]


@functools.cache
def healthy_cases() -> list[Data]:
    data = healthy()
    fused = fuse({"x": data["x"], "y": data["y"]}, data["labels"], heads=["concat", "late"], repeats=3, controls=False)
    return [*with_results(data), {"fusion": fused}]


@functools.cache
def planted_cases(kind: Kind) -> list[Data]:
    try:
        data = kind.planted(np.random.default_rng(0))
    except NotImplementedError as error:
        raise AssertionError(f"{error}: implement Signature.planted") from error
    assert set(data) <= set(FEATURES), f"planted data hold {set(data) - set(FEATURES)}, which diagnose does not take"
    return with_results(data)


@functools.cache
def findings(kind: Kind, planted: bool) -> list[tuple[Finding, ...]]:
    """What was found in each of the cases, planted or healthy, in which the signature could be looked for."""
    cases = planted_cases(kind) if planted else healthy_cases()
    found = [diagnose(**case, signatures=[kind.name]) for case in cases]
    looked = [d.findings for d in found if kind.name not in d.unchecked]
    assert looked, f"it could be looked for in none: {found[0].unchecked}"
    assert all(looked), "it was looked for and nothing came of it"
    assert all(f.signature == kind.name for each in looked for f in each)
    return looked


@law()
def it_is_absent_where_nothing_is_wrong(kind: Kind) -> None:
    for found in findings(kind, planted=False):
        for finding in found:
            assert not finding.present, f"present in healthy data: {finding.summary} {dict(finding.evidence)}"


@law()
def it_is_present_where_it_was_planted(kind: Kind) -> None:
    for found in findings(kind, planted=True):
        assert any(f.present for f in found), f"absent where planted: {found[0].summary} {dict(found[0].evidence)}"


@law()
def it_follows_its_items_and_not_their_order(kind: Kind) -> None:
    data = kind.planted(np.random.default_rng(0))
    order = np.random.default_rng(1).permutation(len(next(iter(_arrays(data["x"])))))
    shuffled = {k: _in_order(v, order) for k, v in data.items()}
    here, there = (diagnose(**d, signatures=[kind.name]) for d in (data, shuffled))
    assert [f.present for f in here.findings] == [f.present for f in there.findings]


def _arrays(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else [value]


def _in_order(value: Any, order: Any) -> Any:
    return {k: _in_order(v, order) for k, v in value.items()} if isinstance(value, Mapping) else value[order]


@law()
def every_finding_has_evidence_in_finite_numbers_words_and_advice(kind: Kind) -> None:
    for found in [*findings(kind, planted=False), *findings(kind, planted=True)]:
        for finding in found:
            assert finding.where
            assert finding.summary.endswith(".")
            assert (finding.advice == kind.advice) if finding.present else not finding.advice
            assert finding.evidence
            for name, value in finding.evidence.items():
                assert isinstance(value, (int, float, str)), f"{name} is a {type(value).__name__}"
                assert isinstance(value, str) or math.isfinite(value), f"{name} is {value}"


@law()
def a_diagnosis_with_it_comes_back_whole_and_the_same_again(kind: Kind) -> None:
    first, second = (diagnose(**planted_cases(kind)[-1], signatures=[kind.name]) for _ in range(2))
    assert first.to_json() == second.to_json()
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_result(first.save(Path(folder) / "d.json"))
    assert isinstance(loaded, Diagnosis)
    assert loaded.to_json() == first.to_json()
    assert loaded.to_records() == first.to_records()


@law()
def what_it_needs_is_said_where_that_was_not_given(kind: Kind) -> None:
    for too_little in (np.eye(2, 3), np.random.default_rng(0).standard_normal((40, 5))):
        found = diagnose(too_little, signatures=[kind.name])
        if kind.name in found.unchecked:
            assert found.unchecked[kind.name].startswith("needs ")
        else:
            assert found.findings
    with pytest.raises(InputError, match="Nothing to diagnose"):
        diagnose(signatures=[kind.name])


@law()
def its_question_advice_and_meaning_are_stated(kind: Kind) -> None:
    assert kind.asks.endswith("?")
    assert kind.advice.endswith(".")
    first = (inspect.getdoc(kind) or "").partition("\n")[0]
    assert first.endswith("."), "the docstring begins with no sentence"

"""What an editor and a type checker see of the verbs: `make check` runs mypy over this file; nothing in it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from matplotlib.axes import Axes

import isomorph as iso

Matrix = np.ndarray[Any, Any]


def the_verbs_say_what_they_give(x: Matrix, y: Matrix, items: iso.PairedItems, encoder: iso.Encoder) -> None:
    scan = assert_type(iso.scan(x, y, ["cka"], permutations=99), iso.Scan)
    assert_type(scan["cka"], iso.Alignment)
    assert_type(scan["cka"].best().value, float)
    assert_type(scan["cka"].values, Matrix)
    assert_type(iso.stitch(x, y, "ridge"), iso.Stitch)
    assert_type(iso.fuse({"x": x, "y": y}, target="group", items=items), iso.Fusion)
    assert_type(iso.concepts(x, y, labels="group", items=items), iso.ConceptMap)
    assert_type(iso.diagnose(x, y, scan=scan), iso.Diagnosis)
    assert_type(iso.fit_encoding(x, y), iso.Encoding)
    assert_type(iso.fit_map(x, y), iso.Migration)
    assert_type(iso.blind_match(x, y), iso.BlindMatch)
    assert_type(iso.league("digits", ["cka"]), iso.League)
    assert_type(iso.outputs({"a": x, "b": y}), iso.Outputs)
    assert_type(iso.extract(encoder, items, view="image"), iso.Layers)
    assert_type(iso.report([scan], to="report.html"), Path)


def models_have_trends(models: dict[str, Matrix]) -> None:
    atlas = assert_type(iso.atlas(models, "cka", attributes="models.csv"), iso.Atlas)
    assert_type(atlas.trend("parameters"), iso.Trend)
    assert_type(atlas.threshold("parameters"), iso.Threshold)


def metrics_give_numbers(x: Matrix, y: Matrix) -> None:
    assert_type(iso.metric("cka")(x, y), float)
    assert_type(iso.metric("cka").null(x, y), iso.Null)


def results_keep_their_class(scan: iso.Scan) -> None:
    assert_type(iso.Scan.load("scan.json"), iso.Scan)
    assert_type(iso.Stitch.load(scan.save("scan.json")), iso.Stitch)
    assert_type(scan.plot("cka"), Axes)
    assert_type(list(scan), list[str])


def files_are_read_by_kind() -> None:
    assert_type(iso.load_dataset("emoji(n=10)"), iso.PairedItems)
    assert_type(iso.load_encoder("bundled:dinov2-small"), iso.Encoder)

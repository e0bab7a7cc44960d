"""The guide says what the cells of its table say, and reads back what it keeps."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import isomorph as iso
from isomorph.errors import InputError, UnknownNameError
from isomorph.leagues import REGISTRY, Family, Network
from isomorph.metrics import metric
from isomorph.results import CRITERION_KINDS, GUIDE_TABLE, Guide


def a_league(**settings):
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(3, 40, 5))
    made = [
        Network(f"{k}-{i}", {"last": kinds[k] + 0.5 * rng.normal(size=(40, 5))}, attributes={"label_noise": k})
        for k in range(3)
        for i in range(4)
    ]
    criteria = ["label_noise", "translation(trials=12)", "width(trials=4)"]
    return iso.league(Family("kinds", made), ["cka", "cca"], criteria=criteria, permutations=99, draws=100, **settings)


def test_a_guide_is_read_back_as_it_was_kept(tmp_path):
    kept = Guide.of(a_league(above_chance=True), "isomorph league kinds")
    again = Guide.read(kept.write(tmp_path / "guide.json"))
    assert again.sentences() == kept.sentences()
    assert again.metrics == kept.metrics
    assert (again.command, again.alpha, again.permutations) == ("isomorph league kinds", 0.05, 99)
    for name in kept:
        assert again[name].rows.keys() == kept[name].rows.keys()
        for spec, cell in kept[name].rows.items():
            held = again[name].rows[spec]
            assert held.best is cell.best
            assert held.value == pytest.approx(cell.value, rel=1e-3)
            assert held.q_value == pytest.approx(cell.q_value, rel=1e-3)
    written = (tmp_path / "guide.json").read_text()
    assert Guide.read(tmp_path / "guide.json").write(tmp_path / "again.json").read_text() == written


def test_a_league_and_its_guide_say_the_same_and_every_name_is_in_its_cell():
    league = a_league()
    guide = Guide.of(league, "")
    assert guide.sentences() == league.guide()
    for row in guide.standings:
        for spec in row.trusted(guide.alpha):
            assert row.rows[spec].best
            assert row.rows[spec].q_value <= guide.alpha
        assert set(row.blind(guide.alpha)) == {k for k, v in row.rows.items() if v.q_value > guide.alpha}
        said = row.sentence(guide.alpha)
        for spec in row.blind(guide.alpha):
            assert row.short(spec) in said.partition("not shown to tell it")[2] or "none of these" in said


def test_advice_tells_how_the_metrics_that_were_used_stand():
    guide = Guide.of(a_league(), "")
    found = guide.advice("translation", ["unbiased_cka", "cca", "mutual_knn(k=3)"])
    assert found.trusted == ("cca",)
    assert dict(found.given) == {
        "unbiased_cka": "not shown to tell it",
        "cca": "best or not told apart from it",
        "mutual_knn(k=3)": "not in the league",
    }
    assert "Used here, not shown to tell it: unbiased_cka." in found.sentence
    assert found.value == guide["translation"]["cca"].value


def test_what_a_metric_is_blind_to_are_the_cells_above_alpha_and_a_stranger_is_named():
    guide = Guide.of(a_league(), "")
    assert "translation" in guide.blind("cka")
    assert "translation" not in guide.blind("cca")
    assert "width" not in guide.blind("cca")  # it has no score there
    with pytest.raises(KeyError, match="rsa was not in the league over kinds"):
        guide.blind("rsa")
    with pytest.raises(UnknownNameError, match="Did you mean 'translation'"):
        guide["translaton"]


def test_the_packaged_guide_is_of_criteria_and_metrics_that_are_there():
    guide = Guide.packaged()
    assert len(guide) >= 20
    for row in guide.standings:
        assert row.name in REGISTRY.classes
        assert row.kind in CRITERION_KINDS
        assert row.kind == REGISTRY.classes[row.name].kind
        for cell in row.rows.values():
            assert metric(cell.variant).variant == cell.variant
            assert cell.low <= cell.value <= cell.high
    assert guide.command.startswith("isomorph league digits")


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held.pop("metrics"),
        lambda held: held["criteria"][0]["cells"].update({"cka": [1.0]}),
        lambda held: held["criteria"].append(3),
    ],
)
def test_a_damaged_table_is_refused_by_name(tmp_path, change):
    held = json.loads(GUIDE_TABLE.read_text())
    change(held)
    path = tmp_path / "guide.json"
    path.write_text(json.dumps(held))
    with pytest.raises(InputError, match=r"guide\.json is no table of a guide"):
        Guide.read(path)


def test_a_file_of_a_version_that_kept_no_errors_still_loads_and_has_differences_without_intervals(tmp_path):
    league = a_league(above_chance=True)
    old = dataclasses.replace(league, difference_errors=None)
    held = json.loads(old.to_json())
    del held["difference_errors"]
    (tmp_path / "old.json").write_text(json.dumps(held))
    again = iso.load_result(tmp_path / "old.json")
    new = league.contrasts()
    for before, now in zip(again.contrasts(), new, strict=True):
        assert (before.low, before.high) == (None, None)
        assert dataclasses.replace(before, low=now.low, high=now.high) == now
    assert iso.report(again, to=tmp_path / "page.html").exists()

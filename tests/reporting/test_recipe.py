import tomllib

import numpy as np
import pytest

import isomorph as iso
from isomorph.reporting import report
from isomorph.reporting._recipe import recipe
from isomorph.reporting.sections.fusion import FusionSection
from isomorph.scanning import ScanSettings
from isomorph.stitching import StitchSettings


@pytest.fixture(scope="module")
def sides():
    x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
    return x, x + noise


def test_a_scan_is_made_again_by_its_own_call(sides):
    x, y = sides
    made = iso.scan(x, y, ["cka", "mutual_knn(k=5)"], permutations=39, seed=3, neighbors=2, x_name="a 'b' \"c\"")
    told = recipe(made)
    again = eval(told.python.splitlines()[-1], {"iso": iso, "x": x, "y": y})
    for metric, alignment in made.items():
        assert again[metric].values.tolist() == alignment.values.tolist()
        assert again[metric].p_maximum == alignment.p_maximum
    table = tomllib.loads(told.toml)["scans"][0]
    assert (table.pop("x"), table.pop("y")) == ("a 'b' \"c\"", "y")
    assert table == {"metrics": list(made), "permutations": 39, "seed": 3, "neighbors": 2}
    assert ScanSettings.read(table, "scans").permutations == 39
    assert told.python.splitlines()[0] == """# x: "a 'b' \\"c\\"\""""


def test_a_stitch_says_what_differs_from_the_settings_of_the_verb(sides):
    made = iso.stitch(*sides, "ridge(penalties=(0.1, 1.0))", repeats=2, permutations=5, draws=100, curves=False)
    told = recipe(made)
    table = tomllib.loads(told.toml)["stitches"][0]
    settings = StitchSettings.read({k: v for k, v in table.items() if k not in ("x", "y")}, "stitches")
    assert settings.curves is False
    assert settings.repeats == 2
    assert "by" not in table
    again = eval(told.python.splitlines()[-1], {"iso": iso, "x": sides[0], "y": sides[1]})
    assert again.best().value == made.best().value


def test_baselines_and_designs_are_said_beside_the_settings(sides):
    x, y = sides
    strata = np.arange(60) % 3
    made = iso.scan(x, y, "cka", permutations=39, strata=strata, x_baselines={"untrained": y})
    told = recipe(made)
    assert "# beside untrained x" in told.toml
    assert told.toml.splitlines()[0].startswith("# items were permuted within")
    assert tomllib.loads(told.toml)["scans"][0]["metrics"] == list(made)


def test_every_kind_that_a_study_makes_has_one_and_others_none(sides, tmp_path):
    x, y = sides
    kinds = [f"k{k % 3}" for k in range(60)]
    made = [
        FusionSection.example("vision"),
        iso.concepts(
            x, y, labels={"kind": [f"k{k}" for k in kinds]}, metric="mutual_knn(k=5)", permutations=19, limits=False
        ),
        iso.atlas({"a": x, "b": y, "c": x + y}, "cka", permutations=39, splits=2),
    ]
    for result, table in zip(made, ("fusions", "concepts", "atlases"), strict=True):
        told = recipe(result)
        assert list(tomllib.loads(told.toml)) == [table]
        compile(told.python, "page", "eval" if told.python.count("\n") == 0 else "exec")
    assert recipe(next(iter(iso.scan(x, y, "cka", permutations=39).values()))) is None
    html = report(made, tmp_path / "r.html", figures=False).read_text(encoding="utf-8")
    assert html.count('class="recipe"') == 3

"""`isomorph concepts`: labels of items or of a table, ceilings by name, a map that is printed, saved and drawn."""

import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import app

N = 160
KINDS = ("both see it", "x alone")
QUICK = ("-m", "mutual_knn(k=5)", "--permutations", 39)
ITEMS = "table(path='items.csv', label=['kind', 'half'])"


def run(*args):
    return CliRunner(env={"ISOMORPH_PROGRESS": "0", "COLUMNS": "300"}).invoke(app, ["concepts", *map(str, args)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two modalities with two models each, in other orders: half of the items is seen alike, half by x alone."""
    folder = tmp_path_factory.mktemp("concepts")
    rng = np.random.default_rng(0)
    ids, kinds = [f"i{k}" for k in range(N)], [KINDS[k % 2] for k in range(N)]
    common, own = rng.normal(size=(2, N, 5))
    shared = (np.array(kinds) == KINDS[0])[:, None]
    for name in ("x", "x2", "y", "y2"):
        z = np.where(shared, common, own if name[0] == "x" else rng.normal(size=(N, 5)))
        order = rng.permutation(N)
        layers = {"early": rng.normal(size=(N, 5)), "late": (z + 0.1 * rng.normal(size=(N, 5)))[order]}
        modality = {"x": "image", "y": "text"}[name[0]]
        iso.Layers.from_arrays(layers, [ids[i] for i in order], encoder=name, modality=modality).save(
            folder / f"{name}.npz"
        )
    iso.Layers.from_arrays({"late": common[:90]}, ids[:90]).save(folder / "few.npz")
    np.save(folder / "bare.npy", common)
    rows = [f"{i},a {k} thing,{k},{'ab'[n // 80]}" for n, (i, k) in enumerate(zip(ids, kinds, strict=True))]
    (folder / "items.csv").write_text("\n".join(["id,text,kind,half", *rows]))
    tags = [f"{i},{k},{n % 3}" for n, (i, k) in enumerate(zip(ids, kinds, strict=True)) if n % 10]
    (folder / "tags.csv").write_text("\n".join(["id,kind,third", *tags]))
    (folder / "foreign.csv").write_text("id,kind\nq1,a\nq2,b\n")
    (folder / "lonely.csv").write_text("id\ni0\n")
    ages = [f"{i},{k * k % 97}" for k, i in enumerate(ids)]
    (folder / "norms.csv").write_text("\n".join(["id,age", *ages]))
    (folder / "gaps.csv").write_text("\n".join(["id,age", *ages[:100]]))
    return folder


@pytest.fixture
def folder(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def test_a_map_is_printed_saved_and_drawn(folder, tmp_path):
    page = tmp_path / "page.html"
    got = run("x.npz", "y.npz", "--items", ITEMS, "--labels", "kind", "--labels", "half", "--x-ceiling", "other=x2.npz",
              "--y-ceiling", "second=y2.npz", *QUICK, "--folds", 2, "--to", tmp_path / "m.json",
              "--report", page)  # fmt: skip
    assert got.exit_code == 0, got.output
    found = iso.load_result(tmp_path / "m.json")
    assert str(found) in got.output
    assert [*found.label_sets] == ["kind", "half"]
    assert found.verdicts("kind") == {"shared": (KINDS[0],), "bound to x": (KINDS[1],)}
    assert (found.x_name, found.y_name) == ("x", "y")
    assert (found.x_ceilings, found.y_ceilings) == (("other",), ("second",))
    assert (found.metric, found.permutations, found.x_layers) == ("mutual_knn(k=5)", 39, ("late", "late"))
    assert f"isomorph report {tmp_path / 'm.json'}" in got.output
    assert str(page) in got.output
    text = page.read_text()
    assert "Which concepts do x and y see alike?" in text
    assert "bound to image" in text


def test_the_first_label_set_is_taken_where_none_is_named_and_out_is_to(folder, tmp_path):
    got = run("x.npz", "y.npz", "--items", ITEMS, *QUICK, "--out", tmp_path / "m.json")
    assert got.exit_code == 0, got.output
    assert [*iso.load_result(tmp_path / "m.json").label_sets] == ["kind"]


def test_every_column_of_a_table_is_a_label_set_and_items_may_lack_a_label(folder, tmp_path):
    got = run("x.npz", "y.npz", "--labels", "tags.csv", *QUICK, "--x-layer", "late", "--y-layer", "late", "--to",
              tmp_path / "m.json")  # fmt: skip
    assert got.exit_code == 0, got.output
    found = iso.load_result(tmp_path / "m.json")
    assert [*found.label_sets] == ["kind", "third"]
    assert found.of("third").names == ("0", "1", "2") or set(found.of("third").names) == {"0", "1", "2"}
    assert int(found.labels.counts.sum()) == N - N // 10
    both = found.labels[KINDS[0]]
    rows = found.labels.members[found.labels.names.index(KINDS[0])]
    assert both["score"] == pytest.approx(float(np.mean(found.items.scores[list(rows)])))
    assert {found.items.ids[k] for k in rows} == {f"i{k}" for k in range(0, N, 2) if k % 10}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--labels", "knid", "--items", ITEMS), "--labels 'knid': items has no such labels; it has kind, half"),
        (("--labels", "kind"), "--labels 'kind' names a label set of items=, which were not given"),
        (("--labels", "words"), "give items= with a view of texts"),
        (("--labels", "tags.csv", "--labels", "kind", "--items", ITEMS), "the label set 'kind' is given twice"),
        (("--labels", "foreign.csv"), "column 'kind' has nothing for any of the 160 items"),
        (("--labels", "lonely.csv"), "has no column beside its ids"),
        (("--labels", "none.csv"), "none.csv"),
        (("--covariate", "agee", "--items", ITEMS), "Unknown covariate 'agee'"),
        (("--covariate", "norms.csv", "--covariate", "norms.csv"), "'age' is given twice"),
        (("--covariate", "gaps.csv"), "age"),
        (("--other", "a=few.npz"), "lacks 70 of the 160 items"),
        (("--other", "a=x2.npz", "--other", "b=y2.npz"), "one further modality"),
        (("--x-ceiling", "x2.npz"), "NAME=FILE"),
        (("--x-ceiling", "a=few.npz"), "x_ceilings['a'] lacks 70 of the 160 items"),
        (("--x-ceiling", "a=none.npz"), "none.npz"),
        (("-m", "unit_matching"), "has no score per item"),
        (("-m", "mutual_nkn"), "Unknown metric 'mutual_nkn'. Did you mean"),
        (("--x-layer", "lat"), "Did you mean 'late'"),
        (("--permutations", 3), "--permutations 3 cannot give a p of alpha=0.05"),
        (("--shared", 1.5), "--shared 1.5"),
        (("--folds", 1), "folds"),
    ],
)
def test_what_cannot_be_is_one_paragraph_and_nothing_is_written(folder, tmp_path, args, says):
    got = run("x.npz", "y.npz", "--permutations", 39, *args, "--to", tmp_path / "m.json")
    assert isinstance(got.exception, iso.InputError), got.output
    assert says in str(got.exception)
    assert "\n" not in str(got.exception)
    assert not (tmp_path / "m.json").exists()


def test_a_metric_without_scores_per_item_is_told_with_those_that_have_them(folder, tmp_path):
    got = run("x.npz", "y.npz", "-m", "soft_matching", "--to", tmp_path / "m.json")
    for able in ("mutual_knn", "cka", "rsa"):
        assert able in str(got.exception)
    assert "unit_matching" not in str(got.exception)


def test_covariates_and_a_third_modality_have_their_doors(folder, tmp_path):
    got = run("x.npz", "y.npz", "--items", ITEMS, "--covariate", "half", "--covariate", "hubness", "--covariate",
              "norms.csv", "--other", "again=x2.npz", "--map", "ridge", "--folds", 2, *QUICK, "--to",
              tmp_path / "m.json")  # fmt: skip
    assert got.exit_code == 0, got.output
    found = iso.load_result(tmp_path / "m.json")
    assert [*found.covariates] == ["half", "hubness in x", "hubness in y", "age"]
    assert found.modalities.names == ("x", "y", "again")
    assert {p.spaces for p in found.transfer.direct} >= {("x", "y"), ("x", "again")}
    assert found.maps.n == N


def test_a_table_of_labels_needs_features_with_ids(folder, tmp_path):
    got = run("bare.npy", "bare.npy", "--labels", "tags.csv", "--to", tmp_path / "m.json")
    assert isinstance(got.exception, iso.InputError)
    assert "the features have none" in str(got.exception)


def test_a_target_that_cannot_be_written_is_told_before_anything_is_computed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("isomorph.cli.concepts.concepts", None)  # calling it would fail
    for option in ("--to", "--report"):
        got = run("x.npz", "y.npz", option, tmp_path)
        assert isinstance(got.exception, iso.InputError), option


def test_the_program_ends_with_status_2_and_says_one_paragraph(folder):
    words = ["concepts", "x.npz", "y.npz", "-m", "unit_matching"]
    done = subprocess.run(
        [sys.executable, "-m", "isomorph", *words],
        capture_output=True, text=True, check=False, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("isomorph: -m 'unit_matching")
    assert "Traceback" not in done.stderr
    assert not (folder / "concepts.json").exists()


def test_a_study_of_concepts_alone_is_planned_printed_and_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    z, noise = rng.normal(size=(2, 80, 5))
    np.savez("views.npz", image=z, caption=z + 0.2 * noise)
    (tmp_path / "s.toml").write_text("""
items = "arrays(paths='views.npz')"
output = "out"
encoders.vision = {model = "statistics:features", view = "image"}
encoders.text = {model = "statistics:features", view = "caption"}
concepts = [{x = "vision", y = "text", metric = "cka", permutations = 39, covariates = "hubness(k=5)"}]
""")
    console = CliRunner(env={"ISOMORPH_PROGRESS": "0", "COLUMNS": "300"})
    planned = console.invoke(app, ["run", "s.toml", "--dry-run"])
    assert planned.exit_code == 0, planned.output
    assert "concepts vision × text" in planned.output
    assert "39 permutations, 0 ceilings" in planned.output
    ran = console.invoke(app, ["run", "s.toml", "--full"])
    assert ran.exit_code == 0, ran.output
    found = iso.load_result("out/concepts-vision-text.json")
    assert str(found) in ran.output
    assert found.label_sets == {}
    assert [name.split()[-1] for name in found.covariates] == ["x", "y"]
    assert all(name.startswith("hubness") for name in found.covariates)
    assert "see alike?" in (tmp_path / "out" / "report.html").read_text()

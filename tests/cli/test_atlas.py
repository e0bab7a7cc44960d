"""`isomorph atlas`: models by name, attributes from a table, questions as options; every answer is printed."""

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import app
from isomorph.encoders import known_models

N = 80
NOISE = {"small": 4.0, "medium": 2.0, "large": 1.0, "huge": 0.5, "text": 0.1, "odd": 50.0}
QUICK = ("-m", "cka", "--permutations", 39, "--splits", 2)


def run(*args):
    return CliRunner(env={"ISOMORPH_PROGRESS": "0", "COLUMNS": "300"}).invoke(app, ["atlas", *map(str, args)])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Models that share more the larger they are, in other orders, with twins that share nothing."""
    folder = tmp_path_factory.mktemp("atlas")
    rng = np.random.default_rng(0)
    z, ids = rng.normal(size=(N, 5)), [f"i{k}" for k in range(N)]
    for name, noise in NOISE.items():
        order = rng.permutation(N)
        rows = (z + noise * rng.normal(size=z.shape))[order]
        layers = {"early": rng.normal(size=(N, 5)), "late": rows}
        iso.Layers.from_arrays(layers, [ids[i] for i in order], encoder=name).save(folder / f"{name}.npz")
        iso.Layers.from_arrays({"late": rng.normal(size=(N, 5))}, ids).save(folder / f"{name}-twin.npz")
    sizes = {"small": 1, "medium": 2, "large": 4, "huge": 8, "text": 3, "odd": 3}
    kinds = {name: "odd" if name == "odd" else "plain" for name in NOISE}
    (folder / "models.csv").write_text(
        "\n".join(["model,millions,role,kin", *(f"{n},{sizes[n]},{kinds[n]},{n[0] > 'm'}" for n in NOISE)])
    )
    return folder


@pytest.fixture
def files(made, monkeypatch):
    monkeypatch.chdir(made)
    return [f"{name}={name}.npz" for name in NOISE]


def test_pairs_and_all_that_is_asked_are_printed_saved_and_drawn(files, tmp_path):
    grown = ("small", "medium", "large", "huge")
    twins = [word for name in grown for word in ("--baseline", f"{name}={name}-twin.npz")]
    got = run(*files, *QUICK, "--attributes", "models.csv", *twins, "--trend", "millions", "--trend-reference", "text",
              "--threshold", "millions", "--specialist", "odd", "--pool", "plain", "--factor", "log millions",
              "--to", tmp_path / "a.json")  # fmt: skip
    assert got.exit_code == 0, got.output
    found = iso.load_result(tmp_path / "a.json")
    assert found.verdict in got.output
    assert [q["ask"] for q in found.questions] == ["trend", "threshold", "divergence", "factors"]
    for answer in found.answers:
        assert answer.found is not None, answer.lacking
        assert answer.told in got.output
    trend = found.trend("millions", reference="text", models=grown)
    assert trend.rises
    assert found.answers[0].found.references == ("text",)
    assert found.answers[2].found.names[0] == "odd"  # the pool is the models of role plain
    lines = [line.split() for line in got.output.splitlines()]
    best = max(found.to_records(), key=lambda r: r["value"])
    first = next(k for k, line in enumerate(lines) if line[:2] == ["x", "y"]) + 1
    assert lines[first][:4] == [best["x"], best["y"], f"{best['value']:.3f}", f"{best['chance']:.3f}"]
    assert f"isomorph report {tmp_path / 'a.json'}" in got.output


def test_a_reference_may_be_all_models_of_a_value_and_trends_keep_to_families(files, tmp_path):
    got = run(*files, *QUICK, "--attributes", "models.csv", "--trend", "millions", "--within", "kin",
              "--trend-reference", "role=odd", "--to", tmp_path / "a.json")  # fmt: skip
    assert got.exit_code == 0, got.output
    (answer,) = iso.load_result(tmp_path / "a.json").answers
    assert (answer.found.references, answer.found.within) == (("odd",), "kin")


def test_a_question_that_these_models_cannot_answer_says_why_and_the_atlas_is_kept(files, tmp_path):
    got = run(*files[:3], *QUICK, "--factor", "width", "--to", tmp_path / "a.json")
    assert got.exit_code == 0, got.output
    assert "at least 5 are needed" in got.output
    assert (tmp_path / "a.json").exists()


def test_kinds_of_items_a_space_and_the_scores_of_all_layers_have_their_doors(files, made, tmp_path):
    table = tmp_path / "items.csv"
    table.write_text("id,text,label\n" + "".join(f"i{k},word {k},{'ab'[k % 2]}\n" for k in range(N)))
    got = run(*files, *QUICK, "--attributes", "models.csv", "--items", f"table(path={str(table)!r})",
              "--domains", "label=b", "--specialist", "odd", "--pool", "plain", "--consensus", 3,
              "--keep", tmp_path / "kept", "--to", tmp_path / "a.json")  # fmt: skip
    assert got.exit_code == 0, got.output
    found = iso.load_result(tmp_path / "a.json")
    assert {name: part.n for name, part in found.domains.items()} == {"b": 40, "not b": 40}
    assert [q["ask"] for q in found.questions] == ["divergence", "domain_divergence"]
    assert found.answers[1].found.domains == ("b", "not b")
    assert found.answers[1].told in got.output
    assert found.consensus().axes == 3
    assert found.consensus().told in got.output
    kept = np.load(tmp_path / "kept" / "cka-estimator=-unbiased.npy")
    assert kept.shape == (2 * len(NOISE), 2 * len(NOISE))
    assert kept[1, 3] == pytest.approx(found["cka"].values[0, 1])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--domains", "label"), "names a label set of items="),
        (("--consensus", "-1"), "consensus"),
        (("--baseline", "tiny=small-twin.npz"), "Unknown model in baselines 'tiny'"),
        (("--trend", "milions", "--attributes", "models.csv"), "Did you mean 'millions'"),
        (("--trend", "width", "--trend-reference", "txt"), "Did you mean 'text'"),
        (("--trend", "width", "--trend-reference", "text", "--trend-reference", "kin=1"), "ATTRIBUTE=VALUE"),
        (("--trend-reference", "text"), "--trend"),
        (("--within", "kin"), "--within"),
        (("--specialist", "odd"), "--pool"),
        (("--pool", "odd"), "--specialist"),
        (("--specialist", "odd", "--pool", "role=plain"), "Unknown attribute"),
        (("--attributes", "none.csv"), "none.csv"),
        (("--layers", "first"), "--layers 'first'"),
        (("--pairs", "to reference"), "needs reference"),
    ],
)
def test_what_cannot_be_is_one_paragraph_and_nothing_is_written(files, tmp_path, args, says):
    refused((*files, *args), says, tmp_path)


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (("small=small.npz",), "at least two"),
        (("small.npz", "text=text.npz"), "NAME=FILE"),
        (("a=small.npz", "a=text.npz"), "Two files are called 'a'"),
        (("a=small.npz", "b=missing.npz"), "missing.npz"),
    ],
)
def test_models_that_cannot_be_are_one_paragraph(files, tmp_path, models, says):
    refused(models, says, tmp_path)


def refused(args, says, tmp_path):
    got = run(*args, *QUICK, "--to", tmp_path / "a.json")
    assert isinstance(got.exception, iso.InputError), got.output
    assert says in str(got.exception)
    assert "\n" not in str(got.exception)
    assert not (tmp_path / "a.json").exists()


def test_the_demo_of_many_models_is_of_every_bundled_one_in_three_modalities(monkeypatch, tmp_path):
    ran = []

    def keep(study, *, force):
        ran.append(study)

    monkeypatch.setattr("isomorph.cli.demo.run_study", keep)
    got = CliRunner().invoke(app, ["demo", "--atlas", "--output", str(tmp_path / "out")])
    assert got.exit_code == 0, got.output
    (study,) = ran
    assert study.output == tmp_path / "out"
    facts = {f.spec: f for f in known_models() if f.spec.startswith("bundled:")}
    assert sorted(e.model for e in study.encoders.values()) == sorted(facts)
    assert {f.modality for f in facts.values()} == {"image", "text", "audio"}
    (entry,) = study.atlases
    assert set(entry.models) == set(study.encoders)
    ladders = [q["models"] for q in entry.questions if q["ask"] == "trend" and "within" not in q]
    of = {name: facts[study.encoders[name].model] for name in study.encoders}
    for models in ladders:  # each of one family, by rising size, to a model of another modality
        assert len({of[m].family for m in models}) == 1
        sizes = [of[m].parameters for m in models]
        assert sizes == sorted(sizes)
    assert len(ladders) >= 3
    for question in entry.questions:
        if question["ask"] in ("trend", "threshold"):
            assert of[question["reference"]].modality not in {of[m].modality for m in question["models"]}
    roles = {name: e.attributes["role"] for name, e in study.encoders.items()}
    for question in entry.questions:
        if question["ask"] == "divergence":
            assert {roles[m] for m in question["specialists"]} == {"specialist"}
            assert {roles[m] for m in question["pool"]} == {"generalist"}

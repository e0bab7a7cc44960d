"""A study file is checked before anything is computed, and a second run computes nothing."""

import csv
import errno
import hashlib
import shutil
import weakref
from typing import ClassVar

import numpy as np
import pytest

from isomorph.diagnosis import diagnose
from isomorph.encoders import Encoder
from isomorph.errors import InputError
from isomorph.results import load_result
from isomorph.study import _steps as study_module
from isomorph.study import load_study, plan, run
from isomorph.study._encoders import Run as Asked
from isomorph.study._encoders import extractions
from isomorph.study._items import items_of
from isomorph.study._pieces import features_of

WORDS = ["red apple", "green pear", "blue car", "fast train", "small bird", "big dog", "old cat", "new house"] * 5


class LetterEncoder(Encoder):
    """Counts letters: enough of an encoder for a study, and it counts its own work."""

    provider = "fake"
    encoded = 0

    def __init__(self, name="letters", init="pretrained", seed=0, store=None):
        self._name = name if init == "pretrained" else f"{name}?init=random"
        self._mix = np.random.default_rng(len(self._name) + seed).normal(size=(26, 12))

    name = property(lambda self: self._name)
    revision = "1"
    modality = "text"
    layers = ("one", "two")
    n_parameters = 312

    @property
    def identity(self):
        return {"name": self._name, "weights": hashlib.sha256(self._mix.tobytes()).hexdigest()}

    def encode(self, batch):
        type(self).encoded += len(batch)
        counts = np.array([[t.count(chr(97 + i)) for i in range(26)] for t in batch], dtype=np.float32)
        return {"one": counts, "two": (counts @ self._mix).astype(np.float32)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a table of texts, a study of it, and fake encoders behind the real door."""
    with open(tmp_path / "items.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows((f"i{k}", f"{w} {k}") for k, w in enumerate(WORDS))
    monkeypatch.setattr("isomorph.study._encoders.load_encoder", LetterEncoder)
    LetterEncoder.encoded = 0
    return tmp_path


def write(folder, **changes):
    settings = {
        "items": f"table(path={str(folder / 'items.csv')!r})",
        "metrics": '["cka", "mutual_knn(k=3)"]',
    } | changes
    text = f'''
    title = "Letters"
    output = "out"
    items = """{settings["items"]}"""
    {settings.get("top", "")}
    [encoders.a]
    model = "letters-a"
    untrained = true
    {settings.get("encoder", "")}
    [encoders.b]
    model = "letters-b"
    [[scans]]
    x = "a"
    y = "{settings.get("y", "b")}"
    metrics = {settings["metrics"]}
    permutations = 20
    {settings.get("scan", "")}
    '''
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_a_run_gives_a_page_scans_with_the_untrained_twin_and_a_second_run_encodes_and_scans_nothing(
    folder, monkeypatch
):
    outcome = run(load_study(write(folder)), say=lambda text: None)
    assert outcome.page == folder / "out" / "report.html"
    assert outcome.page.stat().st_size > 10_000
    (scan,) = outcome.scans
    assert list(scan.baselines) == ["untrained x"]
    assert LetterEncoder.encoded == 3 * len(WORDS)
    monkeypatch.setattr(study_module, "scan", None)  # calling it would fail
    said = []
    again = run(load_study(write(folder)), say=said.append)
    assert LetterEncoder.encoded == 3 * len(WORDS)
    assert again.scans[0].to_json() == scan.to_json()
    assert any("there and current" in line for line in said)


def labelled(folder):
    """The same items with a label, in a table of its own."""
    with open(folder / "labelled.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        writer.writerows((f"i{k}", f"{w} {k}", f"kind-{k % 4}") for k, w in enumerate(WORDS))
    return f"table(path={str(folder / 'labelled.csv')!r})"


def test_designs_ceilings_and_the_gallery_reach_the_scan_and_its_result(folder):
    extra = "[encoders.c]\nmodel = 'letters-c'"
    scan = "strata = 'label'\ny_ceilings = ['c']\ngallery = [20, 40]"
    study = load_study(write(folder, items=labelled(folder), encoder=extra, scan=scan))
    outcome = run(study, say=lambda text: None)
    (found,) = outcome.scans
    assert found.design == "permuted within labels (4 labels)"
    assert list(found.ceilings) == ["c y"]
    assert found["cka"].gallery["n"].tolist() == [20, 40]
    assert (folder / "out" / "scan-a-b-within-label.json").exists()
    page = outcome.page.read_text(encoding="utf-8")
    assert "permuted within labels (4 labels)" in page
    said = []
    run(study, say=said.append)
    assert any("there and current" in line for line in said)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("strata = 'sort'", "a × b: strata='sort': items has no such labels; it has label"),
        ("strata = 'groups'", "no such labels"),
        ("circular = true\npermutations = 40", "has 39 circular shifts only"),
    ],
)
def test_a_design_that_the_items_do_not_have_is_named_before_anything_is_encoded(folder, line, message):
    path = write(folder, items=labelled(folder), scan=line)
    path.write_text(path.read_text().replace("permutations = 20", "") if "permutations" in line else path.read_text())
    for step in (plan, run):
        with pytest.raises(InputError, match=message):
            step(load_study(path))
    assert LetterEncoder.encoded == 0


def test_one_pair_under_two_designs_is_two_results_and_the_same_twice_is_refused(folder):
    path = write(folder)
    once = path.read_text()
    more = "\n[[scans]]\nx = 'a'\ny = 'b'\npermutations = 20\n"
    path.write_text(once + more + "circular = true\n")
    assert [s.file for s in load_study(path).scans] == ["scan-a-b.json", "scan-a-b-circular.json"]
    path.write_text(once + more)
    with pytest.raises(InputError, match=r"two tables would write scan-a-b\.json"):
        load_study(path)


def test_a_changed_setting_scans_again_and_encodes_nothing(folder):
    run(load_study(write(folder)), say=lambda text: None)
    before = LetterEncoder.encoded
    outcome = run(load_study(write(folder, metrics='["mutual_knn(k=5)"]')), say=lambda text: None)
    assert list(outcome.scans[0]) == ["mutual_knn(k=5)"]
    assert LetterEncoder.encoded == before


def test_a_damaged_result_is_made_again(folder):
    run(load_study(write(folder)), say=lambda text: None)
    (folder / "out" / "scan-a-b.json").write_text("{")
    assert run(load_study(write(folder)), say=lambda text: None).scans[0].n == len(WORDS)


def test_the_plan_computes_nothing_and_says_what_is_to_do(folder):
    loaded = load_study(write(folder))
    before = plan(loaded)
    assert LetterEncoder.encoded == 0
    assert [s.state for s in before if s.name.startswith("extract")] == ["to do"] * 3
    run(loaded, say=lambda text: None)
    assert [s.state for s in plan(loaded) if s.name.startswith("extract")] == ["done"] * 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": '["ckaa"]'}, "Unknown metric 'ckaa'. Did you mean 'cka'"),
        ({"y": "c"}, "Unknown encoder"),
        ({"items": "emojis(n=3)"}, "Unknown dataset 'emojis'. Did you mean 'emoji'"),
        ({"top": "sed = 3"}, "Did you mean 'seed'"),
        ({"top": "title ="}, "not a TOML file"),
        ({"encoder": "pooling = 3\nnonsense = 1"}, "encoders.a"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_computed(folder, changes, message):
    with pytest.raises(InputError, match=message):
        plan(load_study(write(folder, **changes)))
    assert LetterEncoder.encoded == 0
    assert not (folder / "out").exists()


def test_a_study_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="Cannot read the study"):
        load_study(tmp_path / "none.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(InputError, match="has no 'items'"):
        load_study(tmp_path / "empty.toml")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("seed = 'x'", "seed must be a whole number"),
        ("seed = -1", "at least 0"),
        ("skip_bad = 'no'", "skip_bad must be true or false"),
        ("output = 3", "output must be a text"),
    ],
)
def test_a_setting_of_the_wrong_type_is_named_before_anything_is_computed(tmp_path, line, word):
    _refused(tmp_path, word, top=line)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("metrics = 3", "metrics must be specs such as"),
        ("metrics = []", "metrics is empty"),
        ("metrics = ['cka(bandwidth=2)']", r"toml, \[\[scans\]\]: cka: bandwidth=2 does nothing"),
        ("permutations = 'many'", "permutations must be a whole number"),
        ("permutations = true", "permutations must be a whole number"),
        ("permutations = 5", "at least 19"),
        ("alpha = 7", "between 0 and 1"),
        ("selection = 'half'", "'all', 'split'"),
        ("budget = -1.0", "budget="),
        ("strata = 3", "strata must be a text"),
        ("circular = 1", "circular must be true or false"),
        ("circular = true\nstrata = 'group'", "exclude each other"),
        ("circular = true\npermutations = 0", "permutations=0"),
        ("gallery = 3", "gallery"),
        ("gallery = []", "gallery"),
        ("x_ceilings = 3", "x_ceilings must be a text or a list"),
        ("x_ceilings = ['b']", "Unknown encoder"),
        ("x_ceilings = ['a']", "names 'a' itself"),
    ],
)
def test_a_scan_that_could_not_run_is_refused_before_anything_is_computed(tmp_path, line, word):
    _refused(tmp_path, word, scan=line)


@pytest.mark.parametrize("name", ["", "a/b", "../b", "..", "a\\\\b"])
def test_names_of_encoders_cannot_lead_files_out_of_the_output_folder(tmp_path, name):
    _refused(tmp_path, "part of file names", name=name)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[scans]\nx = 'a'\ny = 'a'\n[encoders.a]\nmodel = 'm'\n", r"write \[\[scans\]\] in place of \[scans\]"),
        ("scans = [1]\n[encoders.a]\nmodel = 'm'\n", r"scans\[0\] must be a table, found 1"),
        ("encoders = {a = 5}\n[[scans]]\nx = 'a'\ny = 'a'\n", r"encoders\.a must be a table \(\[encoders\.a\]\)"),
        ("encoders = 5\n[[scans]]\nx = 'a'\ny = 'a'\n", "encoders must be a table, found 5"),
    ],
)
def test_a_table_of_another_shape_is_named_with_how_to_write_it(tmp_path, text, word):
    path = tmp_path / "s.toml"
    path.write_text(f"items = 'emoji(n=20)'\n{text}")
    with pytest.raises(InputError, match=word):
        load_study(path)


@pytest.mark.parametrize("line", ["batch_size = 'x'", "model = 3", "untrained = 'x'"])
def test_a_setting_of_an_encoder_of_the_wrong_type_is_named(tmp_path, line):
    _refused(tmp_path, line.split()[0] + " must be", encoder=line)


def _refused(tmp_path, word, *, top="", scan="", encoder="", name="a"):
    model = "" if encoder.startswith("model") else "model = 'bundled:minilm-l6'"
    path = tmp_path / "s.toml"
    path.write_text(
        f"items = 'emoji(n=40)'\n{top}\n[encoders.\"{name}\"]\n{model}\n{encoder}\n"
        f'[[scans]]\nx = "{name}"\ny = "{name}"\n{scan}\n'
    )
    with pytest.raises(InputError, match=word):
        load_study(path)
    assert list(tmp_path.iterdir()) == [path]


def test_matches_and_networks_of_a_study_are_made_once(folder, monkeypatch):
    (folder / "nets.py").write_text(
        "import torch\n"
        "def net():\n"
        "    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))\n"
        "def data():\n"
        "    z = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))\n"
        "    return {'data': z, 'labels': net()(z).argmax(1)}\n"
    )
    top = """
    [[matches]]
    x = "a"
    y = "b"
    by = "label"
    restarts = 5
    [[networks]]
    bottom = "nets.py:net"
    top = "nets.py:net"
    data = "nets.py:data"
    cuts = ["1", ["1", "1"]]
    name = "same"
    """
    text = write(folder, items=labelled(folder)).read_text() + top.replace("    ", "")
    (folder / "study.toml").write_text(text)
    outcome = run(load_study(folder / "study.toml"), say=lambda text: None)
    assert outcome.matches[0].n == 4
    assert outcome.matches[0].settings["restarts"] == 5
    assert outcome.networks[0].cuts[0].accuracy == 1.0
    assert {"match-a-b-by-label.json", "networks-same.json"} <= {p.name for p in (folder / "out").iterdir()}
    page = outcome.page.read_text()
    assert "Blind match of" in page
    assert "can the bottom of one network stand in" in page
    monkeypatch.setattr(study_module, "blind_match", None)  # calling either would fail
    monkeypatch.setattr(study_module, "stitch_networks", None)
    again = run(load_study(folder / "study.toml"), say=lambda text: None)
    assert again.networks[0].to_json() == outcome.networks[0].to_json()
    (folder / "study.toml").write_text(text.replace("restarts = 5", "restarts = 6"))
    with pytest.raises(TypeError):  # another setting is another key
        run(load_study(folder / "study.toml"), say=lambda text: None)


FUSION = """
[[fusions]]
spaces = {letters = "a", others = "b"}
target = "label"
seconds = {others = "c"}
heads = ["concat"]
repeats = 2
draws = 100
[[fusions]]
spaces = ["a", "b"]
target = "c"
heads = ["concat"]
repeats = 2
draws = 100
"""


def test_a_diagnosis_of_a_study_looks_at_the_first_fusion_of_the_pair(folder):
    extra = "[encoders.c]\nmodel = 'letters-c'"
    text = write(folder, items=labelled(folder), encoder=extra).read_text() + FUSION
    (folder / "study.toml").write_text(text + "[diagnose]\nsignatures = ['modality_collapse']\n")
    outcome = run(load_study(folder / "study.toml"), say=lambda text: None)
    alone = diagnose(fusion=outcome.fusions[0], signatures=["modality_collapse"])
    assert outcome.diagnoses[0].findings[0].to_json() == alone.findings[0].to_json()
    assert alone.findings[0].where == "concat, letters + others for label"


def test_fusions_of_a_study_are_made_once(folder, monkeypatch):
    extra = "[encoders.c]\nmodel = 'letters-c'"
    text = write(folder, items=labelled(folder), encoder=extra).read_text() + FUSION
    (folder / "study.toml").write_text(text)
    steps = [s.name for s in plan(load_study(folder / "study.toml"))]
    assert "fuse letters + others for label" in steps
    outcome = run(load_study(folder / "study.toml"), say=lambda text: None)
    classes, found = outcome.fusions
    assert (classes.target, classes.target_kind, [*classes]) == ("label", "classes", ["concat"])
    assert classes.models == {"letters": "letters-a", "others": "letters-b"}
    assert {"letters untrained", "others + second others"} <= set(classes["concat"].controls)
    assert "others untrained" not in classes["concat"].controls  # the study has no twin of b
    assert (found.target, found.target_kind, [*found.singles]) == ("c", "rows", ["a", "b"])
    assert {"fusion-letters-others-label-by-item.json", "fusion-a-b-c-by-item.json"} <= {
        p.name for p in (folder / "out").iterdir()
    }
    page = outcome.page.read_text()
    assert "letters + others for label" in page
    assert "do several spaces together tell more" in page
    monkeypatch.setattr(study_module, "fuse", None)  # calling it would fail
    again = run(load_study(folder / "study.toml"), say=lambda text: None)
    assert [f.to_json() for f in again.fusions] == [f.to_json() for f in outcome.fusions]
    for old, new in (
        ("repeats = 2", "repeats = 3"),  # another setting
        ('others = "b"}', 'others = "c"}'),  # another encoder under the same name
        ('seconds = {others = "c"}', 'seconds = {letters = "c"}'),  # other controls
        ("untrained = true", "untrained = false"),
        ('target = "c"', 'target = "c"\ntarget_layer = "one"'),
    ):
        (folder / "study.toml").write_text(text.replace(old, new, 1))
        with pytest.raises(TypeError):
            run(load_study(folder / "study.toml"), say=lambda text: None)
    (folder / "study.toml").write_text(text)
    table = folder / "labelled.csv"
    table.write_text(table.read_text().replace("kind-3", "kind-2"))  # other labels of the same items
    with pytest.raises(TypeError):
        run(load_study(folder / "study.toml"), say=lambda text: None)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("target = 'label'", "no 'spaces'"),
        ("spaces = ['a', 'b']", "no 'target'"),
        ("spaces = ['a']\ntarget = 'label'", "two or more are fused"),
        ("spaces = 3\ntarget = 'label'", "spaces"),
        ("spaces = ['a', 'd']\ntarget = 'label'", "Unknown encoder .* 'd'"),
        ("spaces = ['a', 'b']\ntarget = 'label'\nseconds = {c = 'a'}", "Unknown space .* 'c'"),
        ("spaces = ['a', 'b']\ntarget = 'label'\nseconds = {a = 'd'}", "Unknown encoder .* 'd'"),
        ("spaces = ['a', 'b']\ntarget = []", "must name a label set"),
        ("spaces = ['a', 'b']\ntarget = 'label'\nhaeds = ['concat']", "Did you mean 'heads'"),
        ("spaces = ['a', 'b']\ntarget = 'label'\nheads = ['concatt']", "Did you mean 'concat'"),
        ("spaces = ['a', 'b']\ntarget = 'label'\n[[fusions]]\nspaces = ['a', 'b']\ntarget = 'label'", "two tables"),
    ],
)
def test_a_wrong_table_of_fusions_is_answered_before_anything_runs(folder, table, says):
    path = write(folder, items=labelled(folder))
    path.write_text(path.read_text() + "\n[[fusions]]\n" + table)
    with pytest.raises(InputError, match=says):
        load_study(path)


def test_a_target_that_the_items_do_not_have_is_answered_before_anything_is_encoded(folder):
    path = write(folder, items=labelled(folder))
    path.write_text(path.read_text() + "\n[[fusions]]\nspaces = ['a', 'b']\ntarget = 'labl'\n")
    for act in (run, plan):
        with pytest.raises(InputError, match=r"Unknown target of the fusion of a \+ b 'labl'.*'label'"):
            act(load_study(path))
    assert LetterEncoder.encoded == 0


ATLAS = """
[encoders.rung]
model = "letters-{c,dd,eee,ffff}"
untrained = true
attributes = {family = "rungs", size = [1, 2, 4, 8]}
[[atlases]]
models = ["*"]
exclude = "b"
metrics = ["cka"]
permutations = 39
splits = 2
layers = "last"
trends = [{attribute = "size", reference = "a", models = ["rung-*"]}]
thresholds = [{attribute = "size", models = ["rung-*"], reference = "a"}]
divergence = {specialists = ["a"], pool = "rung-*"}
factors = ["size"]
"""


def with_atlas(folder, text=ATLAS):
    path = write(folder)
    path.write_text(path.read_text() + text)
    return path


def test_braces_make_one_encoder_for_each_thing_that_they_hold(folder):
    study = load_study(with_atlas(folder))
    assert [*study.encoders] == ["a", "b", "rung-c", "rung-dd", "rung-eee", "rung-ffff"]
    assert [e.model for e in study.encoders.values()][2:] == [f"letters-{k}" for k in ("c", "dd", "eee", "ffff")]
    assert study.encoders["rung-eee"].attributes == {"family": "rungs", "size": 4.0}
    assert all(study.encoders[name].untrained for name in study.encoders if name != "b")
    product = load_study(with_atlas(folder, "[encoders.p]\nmodel = '{x/y,z}-{1,2}'\nattributes = {k = [1, 2, 3, 4]}\n"))
    assert {n: (e.model, e.attributes["k"]) for n, e in product.encoders.items() if n.startswith("p")} == {
        "p-x-y-1": ("x/y-1", 1), "p-x-y-2": ("x/y-2", 2), "p-z-1": ("z-1", 3), "p-z-2": ("z-2", 4),
    }  # fmt: skip


def test_an_atlas_of_a_study_is_made_once_and_asked_anew_without_computing(folder, monkeypatch):
    path = with_atlas(folder)
    steps = {s.name: s for s in plan(load_study(path))}
    assert "5 models of 10 layers and their untrained twins of 10, cka" in steps["atlas"].size
    outcome = run(load_study(path), say=lambda text: None)
    (found,) = outcome.atlases
    assert found.models == ("a", "rung-c", "rung-dd", "rung-eee", "rung-ffff")
    assert set(found.twins) == set(found.models)
    assert found.attributes["size"] == (None, 1.0, 2.0, 4.0, 8.0)
    assert found.attributes["parameters"] == (312.0,) * 5  # what the encoder says itself
    assert [q["ask"] for q in found.questions] == ["trend", "threshold", "divergence", "factors"]
    assert found.questions[0]["models"] == found.questions[2]["pool"] == found.models[1:]
    trend = found.answers[0].found
    assert [r.attribute for r in trend.rungs] == [1.0, 2.0, 4.0, 8.0]
    assert "is missing for a" in found.answers[3].lacking
    page = outcome.page.read_text()
    assert "How alike are 5 models?" in page
    monkeypatch.setattr(study_module, "atlas", None)  # calling it would fail
    said = []
    again = run(load_study(path), say=said.append)
    assert again.atlases[0].to_json() == found.to_json()
    assert any("atlas" in line and "there and current" in line for line in said)
    text = path.read_text()
    path.write_text(text.replace('factors = ["size"]', 'factors = ["width", "parameters"]'))
    asked = run(load_study(path), say=lambda text: None).atlases[0]
    assert asked.questions[3]["factors"] == ("width", "parameters")
    assert load_result(folder / "out" / "atlas.json").questions == asked.questions
    assert asked.answers[0].found.to_json() == found.answers[0].found.to_json()
    path.write_text(text.replace('factors = ["size"]', 'factors = ["widht"]'))
    with pytest.raises(InputError, match="Did you mean 'width'"):
        run(load_study(path), say=lambda text: None)
    plain = text.split("trends = ")[0]
    path.write_text(plain)
    assert run(load_study(path), say=lambda text: None).atlases[0].questions == ()
    for old, new in (
        ("splits = 2", "splits = 3"),
        ('exclude = "b"', 'exclude = "a"'),
        ("size = [1, 2, 4, 8]", "size = [1, 2, 4, 9]"),
        ('models = ["*"]', 'models = ["*"]\nbaselines = false'),
    ):
        path.write_text(plain.replace(old, new, 1))
        with pytest.raises(TypeError):  # another setting is another key
            run(load_study(path), say=lambda text: None)


DOORS = ATLAS.replace(
    'factors = ["size"]',
    """factors = ["made"]
attributes = "models.csv"
keep = "layers/kept"
domains = "label=kind-1"
domain_divergence = {specialists = "a", pool = "rung-*"}
consensus = 2""",
)


def with_doors(folder, text=DOORS):
    """A study of an atlas with labels of items and a table of models beside it."""
    (folder / "models.csv").write_text("model,size,made\na,3,2019\nrung-c,16,2020\nrung-dd,,2021\nelsewhere,1,1\n")
    path = write(folder, items=labelled(folder))
    path.write_text(path.read_text() + text)
    return path


def test_an_atlas_of_a_study_has_a_table_of_models_kinds_of_items_a_space_and_a_folder_of_scores(folder, monkeypatch):
    path = with_doors(folder)
    monkeypatch.chdir("/")  # the table lies beside the study, the folder in its output
    (found,) = run(load_study(path), say=lambda text: None).atlases
    assert found.attributes["made"] == (2019.0, 2020.0, 2021.0, None, None)
    assert found.attributes["size"] == (3.0, 16.0, None, 4.0, 8.0)  # the table goes first, and says of rung-dd: nothing
    assert found.attributes["family"] == (None, *["rungs"] * 4)
    assert {name: part.n for name, part in found.domains.items()} == {"kind-1": 10, "not kind-1": 30}
    assert [q["ask"] for q in found.questions] == ["trend", "threshold", "divergence", "domain_divergence", "factors"]
    assert found.answers[3].question["pool"] == found.models[1:]
    assert found.answers[3].found.domains == ("kind-1", "not kind-1")
    assert found.consensus().axes == 2
    assert {p.name for p in (folder / "out" / "layers" / "kept").iterdir()} == {
        "layers.json", "cka-estimator=-unbiased.npy",
    }  # fmt: skip
    said = []
    run(load_study(path), say=said.append)
    assert any("atlas" in line and "there and current" in line for line in said)
    shutil.rmtree(folder / "out" / "layers")
    again = run(load_study(path), say=lambda text: None).atlases[0]
    assert (folder / "out" / "layers" / "kept" / "layers.json").exists()
    assert again.to_json() == found.to_json()
    text = (folder / "models.csv").read_text()
    (folder / "models.csv").write_text(text.replace("2020", "2022"))
    assert run(load_study(path), say=lambda text: None).atlases[0].attributes["made"][1] == 2022.0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"models.csv"', '"none.csv"', r"attributes='none\.csv'.*none\.csv"),
        ('"models.csv"', "3", "attributes must be a text"),
        ('"layers/kept"', "true", "keep must be a text"),
        ("consensus = 2", 'consensus = "2"', "consensus"),
        ('specialists = "a"', 'specialists = "b"', "Unknown model .*specialists 'b'"),
        ('pool = "rung-*"}\nconsensus', 'pool = "rung-*", insde = "kind-1"}\nconsensus', "Did you mean 'inside'"),
    ],
)
def test_a_wrong_table_of_such_an_atlas_is_answered_before_anything_runs(folder, old, new, says):
    assert old in DOORS
    with pytest.raises(InputError, match=says):
        load_study(with_doors(folder, DOORS.replace(old, new, 1)))
    assert LetterEncoder.encoded == 0


def test_two_atlases_do_not_keep_their_layers_in_one_folder(folder):
    second = '[[atlases]]\nname = "second"\nkeep = "layers/kept"\n'
    with pytest.raises(InputError, match=r"two \[\[atlases\]\] would keep .* 'layers/kept'"):
        load_study(with_doors(folder, DOORS + second))
    load_study(with_doors(folder, DOORS + second.replace("kept", "others")))


def test_kinds_of_items_that_there_are_not_are_answered_before_anything_is_encoded(folder):
    for domains, says in (("labl", "labl"), ("label=q", "Unknown value of label in domains 'q'")):
        path = with_doors(folder, DOORS.replace("label=kind-1", domains))
        for act in (run, plan):
            with pytest.raises(InputError, match=f"The atlas: .*{says}"):
                act(load_study(path))
    assert LetterEncoder.encoded == 0


def test_a_study_of_an_atlas_alone_needs_no_scans(folder):
    path = write(folder)
    path.write_text(path.read_text().split("[[scans]]")[0] + ATLAS)
    outcome = run(load_study(path), say=lambda text: None)
    assert outcome.scans == ()
    assert outcome.page.exists()
    path.write_text(path.read_text().split("[[atlases]]")[0])
    with pytest.raises(InputError, match=r"has no 'scans'; .* \(or atlases, concepts or migrations\)"):
        load_study(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{c,dd,eee,ffff}", "{c}", "braces hold two different texts"),
        ("{c,dd,eee,ffff}", "{c,,d}", "braces hold two different texts"),
        ("{c,dd,eee,ffff}", "{c,c}", "braces hold two different texts"),
        ("[1, 2, 4, 8]", "[1, 2, 4]", "size has 3 values for 4 encoders"),
        ("[1, 2, 4, 8]", "[1, 2, 4, true]", "size=True must be a text or a number"),
        ('{family = "rungs", size = [1, 2, 4, 8]}', "3", "attributes=3 must be a table"),
        ("[encoders.rung]", "[encoders.rung-c]\nmodel = 'x'\n[encoders.rung]", "two encoders would be called 'rung-c'"),
        ('models = ["*"]', 'models = ["a", "d"]', "Unknown encoder .* 'd'"),
        ('models = ["*"]', 'models = ["a", "q*"]', r"no encoder fits 'q\*'"),
        ('models = ["*"]', "models = 3", "models"),
        ('models = ["*"]', 'models = ["a"]', "two encoders or more"),
        ('exclude = "b"', 'exclude = ["c"]', "Unknown encoder"),
        ("splits = 2", "split = 2", "Did you mean 'splits'"),
        ("splits = 2", "splits = 0", "splits"),
        ("permutations = 39", "permutations = 3", "permutations=3"),
        ('metrics = ["cka"]', 'metrics = ["ckaa"]', "cka"),
        ('{attribute = "size", reference = "a", models = ["rung-*"]}', '{reference = "a"}', "needs 'attribute'"),
        ('reference = "a", models', 'reference = "b", models', "Unknown model .*reference 'b'"),
        ('reference = "a", models', 'refrence = "a", models', "Did you mean 'reference'"),
        ('pool = "rung-*"', 'pol = "rung-*"', "'pool'"),
        ('divergence = {specialists = ["a"], pool = "rung-*"}', "divergence = 3", "divergence"),
        ('factors = ["size"]', "factors = 3", "factors"),
        ("[[atlases]]", "[atlases]", r"\[\[atlases\]\]"),
        ('factors = ["size"]', "[[atlases]]", "give each a name"),
    ],
)
def test_a_wrong_table_of_atlases_is_answered_before_anything_runs(folder, old, new, says):
    assert old in ATLAS
    with pytest.raises(InputError, match=says):
        load_study(with_atlas(folder, ATLAS.replace(old, new, 1)))
    assert LetterEncoder.encoded == 0


CONCEPTS = """
[encoders.c]
model = "letters-c"
[encoders.dd]
model = "letters-dd"
[encoders.eee]
model = "letters-eee"
[[concepts]]
x = "a"
y = "dd"
x_layer = "two"
y_layer = "two"
x_ceilings = "c"
y_ceilings = ["eee"]
labels = ["label", "words"]
covariates = ["character_count", "hubness", "norms.csv"]
metric = "cka"
permutations = 39
folds = 2
"""


def with_concepts(folder, text=CONCEPTS, scans=False):
    path = write(folder, items=labelled(folder))
    ages = "".join(f"i{k},{k * k % 17}\n" for k in range(len(WORDS)))
    (folder / "norms.csv").write_text("id,age\n" + ages)  # beside the study
    told = path.read_text()
    path.write_text((told if scans else told.split("[[scans]]")[0]) + text)
    return path


def test_a_map_of_concepts_of_a_study_is_made_once_and_is_on_the_page(folder, monkeypatch):
    path = with_concepts(folder)  # and needs no scans beside it
    (step,) = (s for s in plan(load_study(path)) if s.name.startswith("concepts"))
    assert step.name == "concepts a × dd"
    assert "4 layer pairs, cka(estimator='unbiased'), 39 permutations, 2 ceilings" in step.size
    assert step.seconds > 0
    outcome = run(load_study(path), say=lambda text: None)
    (found,) = outcome.concepts
    assert [*found.label_sets] == ["label", "words"]
    assert found.labels.names == tuple(f"kind-{k}" for k in range(4))
    assert found.of("words")["apple"]["n"] == 5
    assert (found.x_ceilings, found.y_ceilings) == (("c",), ("eee",))
    assert (found.x_layers, found.seed, found.permutations) == (("two", "two"), 0, 39)
    assert found.items.ids[:2] == ("i0", "i1")
    assert [*found.covariates] == ["character_count", "hubness in x", "hubness in y", "age"]
    assert (folder / "out" / "concepts-a-dd.json").exists()
    assert "kind-3" in outcome.page.read_text()
    monkeypatch.setattr(study_module, "concepts", None)  # calling it would fail
    said = []
    again = run(load_study(path), say=said.append)
    assert again.concepts[0].to_json() == found.to_json()
    assert any(line.startswith("concepts") and "there and current" in line for line in said)
    text = path.read_text()
    for old, new in (
        ("folds = 2", "folds = 3"),
        ('"label", "words"', '"label"'),
        ('x_ceilings = "c"', 'x_ceilings = ["c", "eee"]'),
        ("permutations = 39", "permutations = 39\nshared = 0.4"),
        ('"character_count", ', ""),
        ("permutations = 39", 'permutations = 39\nothers = "c"'),
    ):
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(TypeError):  # another setting is another key
            run(load_study(path), say=lambda text: None)


def test_a_map_is_made_anew_where_labels_changed_and_the_features_did_not(folder):
    path = with_concepts(folder)
    first = run(load_study(path), say=lambda text: None).concepts[0]
    encoded = LetterEncoder.encoded
    table = folder / "labelled.csv"
    table.write_text(table.read_text().replace("kind-3", "kind-2"))
    second = run(load_study(path), say=lambda text: None).concepts[0]
    assert (len(first.labels), len(second.labels)) == (4, 3)
    norms = folder / "norms.csv"
    norms.write_text(norms.read_text().replace("i3,9", "i3,90"))
    third = run(load_study(path), say=lambda text: None).concepts[0]
    assert third.covariates["age"].mean > second.covariates["age"].mean
    assert LetterEncoder.encoded == encoded


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('x = "a"', "", "no 'x'; it needs x and y"),
        ('x = "a"', 'x = "dd"', "x and y are both 'dd'"),
        ('x = "a"', 'x = "d"', "Unknown encoder .*: x 'd'"),
        ('x_ceilings = "c"', 'x_ceilings = "q"', "Unknown encoder .*: x_ceilings 'q'"),
        ('x_ceilings = "c"', 'x_ceilings = "a"', "x_ceilings names 'a', which is compared itself.*modality of x"),
        ('y_ceilings = ["eee"]', 'y_ceilings = ["eee", "a"]', "y_ceilings names 'a'"),
        ('metric = "cka"', 'metrics = ["cka"]', "Did you mean 'metric'"),
        ('metric = "cka"', 'metric = "ckaa"', "Did you mean 'cka'"),
        ("permutations = 39", "permutations = 3", "permutations=3 cannot give a p"),
        ("folds = 2", "folds = 1", "folds"),
        ("folds = 2", "shared = 2", "shared=2"),
        ("folds = 2", 'others = "a"', "others='a' is x or y already"),
        ("folds = 2", 'others = "q"', "Unknown encoder .*: others 'q'"),
        ('"norms.csv"', '"nroms.csv"', r"covariates: .*nroms\.csv"),
        ('"norms.csv"', '"hubness"', "covariates: 'hubness' is given twice"),
        ('labels = ["label", "words"]', "labels = 3", "labels must be"),
        ("[[concepts]]", "[concepts]", r"\[\[concepts\]\]"),
        ("folds = 2", 'folds = 2\n[[concepts]]\nx = "a"\ny = "dd"', "give each a name"),
    ],
)
def test_a_wrong_table_of_concepts_is_answered_before_anything_runs(folder, old, new, says):
    assert old in CONCEPTS
    with pytest.raises(InputError, match=says):
        load_study(with_concepts(folder, CONCEPTS.replace(old, new, 1)))
    assert LetterEncoder.encoded == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"label", "words"', '"labl"', "map of concepts a × dd: labels='labl': items has no such labels; it has label"),
        ("folds = 2", 'groups = "labl"', "map of concepts a × dd: groups='labl'"),
        ('"label", "words"', '"text"', "map of concepts a × dd"),
        ('"character_count"', '"word_cuont"', "a × dd: Unknown covariate 'word_cuont'. Did you mean 'word_count'"),
        ('"character_count"', '"word_count"', "a × dd: covariate 'word_count' is constant: all 40 items have 3"),
    ],
)
def test_labels_that_the_items_lack_are_answered_before_anything_is_encoded(folder, old, new, says):
    path = with_concepts(folder, CONCEPTS.replace(old, new, 1))
    for act in (run, plan):
        with pytest.raises(InputError, match=says):
            act(load_study(path))
    assert LetterEncoder.encoded == 0


def test_a_view_is_spelled_with_its_change_in_a_study(folder):
    """A perturbed view gives features of its own, over the same items."""
    extra = '[encoders.c]\n    model = "letters-a"\n    view = "text | first_words(n=1)"'
    study = load_study(write(folder, encoder=extra, y="c"))
    assert any("'text | first_words(n=1)'" in step.name for step in plan(study))
    run(study, say=lambda text: None)
    scan = load_result(study.output / "scan-a-c.json")
    assert (scan.provenance["x"]["view"], scan.provenance["y"]["view"]) == ("text", "text | first_words(n=1)")
    assert scan["cka"].values[0, 0] < 0.999  # the same encoder, and not the same features


ITEMS = [f"i{k}" for k in range(len(WORDS))]


def rdms_file(folder, name="it.csv", ids=ITEMS):
    """A square RDM of the items with their names, as a table."""
    points = np.random.default_rng(3).normal(size=(len(ids), 4))
    square = np.linalg.norm(points[:, None] - points[None], axis=2)
    rows = [["", *ids], *([i, *map(repr, row.tolist())] for i, row in zip(ids, square, strict=True))]
    (folder / name).write_text("\n".join(",".join(row) for row in rows))
    return square


def sides_study(folder, sides, tables='[[scans]]\nx = "it"\ny = "a"\nmetrics = ["rsa"]\npermutations = 19', top=""):
    path = folder / "sides.toml"
    path.write_text(f"""
    output = "sides"
    items = "table(path={str(folder / "items.csv")!r})"
    {top}
    [encoders.a]
    model = "letters-a"
    untrained = true
    {sides}
    {tables}
    """)
    return path


def test_rdms_of_a_file_are_a_side_of_a_study_and_a_second_run_computes_nothing(folder, monkeypatch):
    square = rdms_file(folder)
    path = sides_study(folder, '[sides.it]\nrdms = "it.csv"', top="diagnose = true")
    said = []
    (found,) = run(load_study(path), say=said.append).scans
    (alignment,) = found.values()
    assert (found.x_name, found.n) == ("it", len(WORDS))
    features = LetterEncoder().encode([f"{w} {k}" for k, w in enumerate(WORDS)])["one"]
    from isomorph.metrics.rdm import compare_rdms, compute_rdm

    condensed = square[np.triu_indices(len(WORDS), 1)]
    np.testing.assert_allclose(
        alignment.values[0, 0], compare_rdms(condensed, compute_rdm(features), "spearman"), atol=1e-6
    )
    assert list(found.baselines) == ["untrained y"]
    assert any("failure signatures are of features" in line for line in said)
    assert [step.state for step in plan(load_study(path)) if step.name.startswith("scan")] == ["done if unchanged"]
    monkeypatch.setattr(study_module, "scan", None)  # calling it would fail
    assert run(load_study(path), say=said.append).scans[0].to_json() == found.to_json()
    monkeypatch.undo()
    monkeypatch.setattr("isomorph.study._encoders.load_encoder", LetterEncoder)
    rdms_file(folder, ids=ITEMS[:-5])  # other RDMs: the result is not current
    assert run(load_study(path), say=said.append).scans[0].n == len(WORDS) - 5


def test_rdms_without_names_stand_in_the_order_of_the_items_only_where_that_is_said(folder):
    points = np.random.default_rng(3).normal(size=(3, len(WORDS), 4))
    np.save(folder / "it.npy", np.linalg.norm(points[:, :, None] - points[:, None], axis=3))
    with pytest.raises(InputError, match=r"sides\.it: the file names none of its 40 items\. .* in_order = true"):
        run(load_study(sides_study(folder, '[sides.it]\nrdms = "it.npy"')), say=lambda text: None)
    assert LetterEncoder.encoded == 0  # before any item is encoded
    side = '[sides.it]\nrdms = "it.npy"\nin_order = true\nsubjects = ["s1", "s2", "s3"]\nonly = "s[13]"'
    (found,) = run(load_study(sides_study(folder, side)), say=lambda text: None).scans
    (alignment,) = found.values()
    assert alignment.x_layers == ("s1", "s3")
    assert "x" in alignment.noise_ceilings
    mean = sides_study(folder, side.replace("only", 'average_by = "all"\nonly'))
    (pooled,) = run(load_study(mean), say=lambda text: None).scans
    assert next(iter(pooled.values())).shape == (1, 2)


def test_features_of_a_file_stand_wherever_an_encoder_may(folder):
    x = np.random.default_rng(1).normal(size=(len(WORDS), 6))
    np.savez(folder / "old.npz", last=x, ids=ITEMS)
    tables = """
    [[scans]]
    x = "old"
    y = "a"
    metrics = ["cka"]
    permutations = 19
    [[migrations]]
    old = "a"
    new = "old"
    permutations = 19
    [[atlases]]
    models = ["a", "old"]
    metrics = ["cka"]
    permutations = 19
    """
    path = sides_study(folder, '[sides.old]\nfeatures = "old.npz"\nattributes = {kind = "kept"}', tables)
    outcome = run(load_study(path), say=lambda text: None)
    assert outcome.scans[0].x_name == "old"
    drawn = outcome.atlases[0]
    assert drawn.attributes["kind"][drawn.models.index("old")] == "kept"
    (fitted,) = outcome.migrations
    assert (fitted.old_name, fitted.new_name) == (outcome.scans[0].y_name, "old")
    assert "retrieval" in fitted.warnings  # noise is no image of the letters
    said = []
    run(load_study(path), say=said.append)
    assert [line for line in said if "fit_map" in line] == ["fit_map a → old: ridge: there and current"]


@pytest.mark.parametrize(
    ("side", "tables", "said"),
    [
        ("[sides.it]", None, r"sides\.it needs one file: rdms = .* or features = "),
        ('[sides.a]\nrdms = "it.csv"', None, "an encoder is called 'a' too; rename"),
        ('[sides.it]\nrdms = "it.csv"\nsubject = ["a"]', None, r"setting in .*sides\.it .*subject.*subjects"),
        ('[sides.it]\nfeatures = "it.npz"\nvariable = "x"', None, "variable is of RDMs, and the file is one of"),
        ('[sides.it]\nrdms = "it.csv"', '[[stitches]]\nx = "it"\ny = "a"\n[[scans]]\nx = "it"\ny = "a"',
         r"\[\[stitches\]\]: 'it' is RDMs, and stitches read features"),
        ('[sides.it]\nrdms = "it.csv"', '[[atlases]]\nmodels = ["a", "it"]\nmetrics = ["rsa", "cka"]',
         r"\[\[atlases\]\]: 'it' is RDMs, which cka.* does not read. Leave it out"),
        ('[sides.it]\nrdms = "it.csv"', '[[migrations]]\nold = "a"\nnew = "itt"', r"encoder in .*migrations.*'it'"),
    ],
)  # fmt: skip
def test_sides_that_do_not_fit_are_refused_in_words_before_anything_is_read(folder, side, tables, said):
    with pytest.raises(InputError, match=said):
        load_study(sides_study(folder, side, **({"tables": tables} if tables else {})))


@pytest.mark.parametrize(
    ("side", "said"),
    [
        ('rdms = "no.csv"', r"sides\.it: .*no\.csv"),
        ('rdms = "it.csv"\nonly = "human*"', r"sides\.it: only='human\*' fits none of \['rdm_00'\]"),
        ('rdms = "other.csv"', "the file's items .* are none of the study's"),
        ('rdms = "few.npy"\nin_order = true', "in_order: the file has 5 items and the study 40"),
    ],
)
def test_files_of_sides_that_cannot_be_used_are_named_before_any_item_is_encoded(folder, side, said):
    rdms_file(folder)
    rdms_file(folder, "other.csv", [f"o{k}" for k in range(9)])
    np.save(folder / "few.npy", 1 - np.eye(5))
    with pytest.raises(InputError, match=said):
        run(load_study(sides_study(folder, f"[sides.it]\n{side}")), say=lambda text: None)
    assert LetterEncoder.encoded == 0


def test_paths_of_items_are_relative_to_the_study_wherever_it_is_run_from(folder, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = write(folder, items="table(path='items.csv')")
    monkeypatch.chdir(folder)
    here = run(load_study(path, output=elsewhere / "here"), say=lambda _: None)
    monkeypatch.chdir(elsewhere)
    (elsewhere / "items.csv").write_text("id,text\n" + "".join(f"i{k},other {k}\n" for k in range(40)))
    there = run(load_study(path, output=elsewhere / "there"), say=lambda _: None)  # not the file of this folder
    assert [s.to_json() for s in there.scans] == [s.to_json() for s in here.scans]
    (folder / "items.csv").unlink()
    with pytest.raises(InputError, match=r"items: 'items.csv' is not in the study's folder, .*if that is meant, write"):
        run(load_study(path, output=elsewhere / "none"), say=lambda _: None)


def test_a_finished_study_is_read_where_nothing_can_be_written(folder, monkeypatch):
    study = load_study(write(folder))
    first, said = run(study, say=lambda _: None), []

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(study.page))

    monkeypatch.setattr("isomorph.study._run.write_report", refuse)
    again = run(study, say=said.append)
    assert [s.to_json() for s in again.scans] == [s.to_json() for s in first.scans]
    assert said[-1].endswith("report.html stays as it is: Read-only file system.")
    study.page.unlink()
    with pytest.raises(OSError, match="Read-only"):
        run(study, say=lambda _: None)


# ---- when models are loaded ------------------------------------------------------------------------------------


class Watched(LetterEncoder):
    """Says which models were loaded, and how many of them were there at once."""

    loads: ClassVar[list[str]] = []
    alive: ClassVar[weakref.WeakSet] = weakref.WeakSet()
    most = 0
    weights = "first"
    refuses = None

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        Watched.loads.append(self.name)
        Watched.alive.add(self)
        Watched.most = max(Watched.most, len(Watched.alive))
        self._weights = Watched.weights

    @property
    def identity(self):
        return super().identity | {"file": self._weights}

    def encode(self, batch):
        if self.refuses in batch:
            raise InputError("refused")
        return super().encode(batch)


MODELS = ["letters-a", "letters-a?init=random", "letters-b"]


@pytest.fixture
def watched(folder, monkeypatch):
    monkeypatch.setattr("isomorph.study._encoders.load_encoder", Watched)
    for name, value in (("loads", []), ("alive", weakref.WeakSet()), ("most", 0), ("weights", "first")):
        monkeypatch.setattr(Watched, name, value)
    return folder


def quiet(folder, share=None, **changes):
    return run(load_study(write(folder, **changes)), share=share, say=lambda text: None)


def test_a_model_is_loaded_to_ask_and_to_compute_one_at_a_time_and_of_a_finished_study_only_to_ask(watched):
    quiet(watched)
    assert sorted(Watched.loads) == sorted(MODELS * 2)
    assert Watched.most == 1
    Watched.loads.clear()
    quiet(watched)
    quiet(watched, share=(0, 2))
    assert sorted(Watched.loads) == sorted(MODELS * 2)  # once a run


def test_items_that_were_left_out_are_not_asked_for_again_by_a_run_or_by_shares(watched, monkeypatch):
    monkeypatch.setattr(Watched, "refuses", "red apple 0")
    (scan,) = quiet(watched, top="skip_bad = true").scans
    assert scan.n == len(WORDS) - 1
    Watched.loads.clear()
    quiet(watched, top="skip_bad = true")
    assert sorted(Watched.loads) == sorted(MODELS)
    shutil.rmtree(watched / "out")
    shares = [quiet(watched, share=(k, 2), top="skip_bad = true") for k in (0, 1, 0, 1)]
    assert {outcome.scans[0].n for outcome in shares if outcome.scans} == {len(WORDS) - 1}


def test_features_of_a_model_that_changed_since_it_was_asked_are_not_kept_under_its_name(watched, monkeypatch):
    quiet(watched)
    study = load_study(write(watched))
    items = items_of(study)
    asked = Asked.missing

    def missing(self, items):
        found = asked(self, items)
        monkeypatch.setattr(Watched, "weights", "second")
        shutil.rmtree(watched / "out" / "features", ignore_errors=True)
        return found

    monkeypatch.setattr(Asked, "missing", missing)
    with pytest.raises(InputError, match=r"encoders\.a: its model changed while the study ran; run it again"):
        features_of(study, items, extractions(study))

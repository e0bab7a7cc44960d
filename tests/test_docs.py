"""The docs say what the code says, and every link in them leads somewhere."""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from isomorph.cli import app, init
from isomorph.metrics import REGISTRY, metric
from isomorph.results import Guide
from isomorph.store import Layers

ROOT = Path(__file__).parents[1]
PAGES = sorted(p for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("isomorph_docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "`code`", without_blocks(text))


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    return [a or b for a, b in LINK.findall(without_code(page.read_text(encoding="utf-8")))]


def anchors(page: Path) -> set[str]:
    """Headings as GitHub turns them into anchors: lower case, spaces to hyphens, other punctuation dropped."""
    text = without_blocks(page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("name", sorted(REGISTRY.classes))
def test_every_metric_tells_its_formula_its_cost_and_when_it_misleads(name: str) -> None:
    told = GENERATOR.docstring_sections(REGISTRY.classes[name].__doc__)
    assert told[""].splitlines()[0].endswith((".", "?"))
    for section in GENERATOR.REQUIRED:
        assert len(told.get(section, "").split()) >= 3, f"the docstring of {name} has nothing to say under {section}:"


@pytest.mark.parametrize("name", sorted(REGISTRY.classes))
def test_every_metric_has_an_entry_on_a_page_that_gives_all_that_is_promised(name: str) -> None:
    family = REGISTRY.classes[name].__module__.rsplit(".", 1)[-1].strip("_")
    page = (ROOT / "docs" / "metrics" / f"{family}.md").read_text(encoding="utf-8")
    entry = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    for part in (
        "```text\n",
        "| range |",
        "| chance |",
        "| unchanged by |",
        "**Cost.**",
        "**Misleads.**",
        "**Source.**",
    ):
        assert part in entry
    for alias in REGISTRY.classes[name].aliases:
        assert f"`{alias}`" in entry


def test_the_figure_of_the_guide_marks_every_cell_as_the_table_says() -> None:
    guide = Guide.packaged()
    figure = GENERATOR.guide_svg(guide)
    marks = re.findall(r"<title>([^,<]+(?:\([^)]*\))?), (\w+): ([^<]+)</title>", figure)
    assert len(marks) == sum(len(row.rows) for row in guide.standings) > 300
    crossed = sum(state == "not shown to tell it" for _, _, state in marks)
    assert crossed == sum(len(row.blind(guide.alpha)) for row in guide.standings) > 20


def test_the_committed_pages_equal_what_the_generator_gives() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in GENERATOR.pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, f"not what the code says: {stale}; run `make docs`"


def test_the_check_of_the_generator_passes() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_check_of_the_generator_names_a_stale_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "metrics" / "kernels.md"
    page.parent.mkdir()
    page.write_text("old", encoding="utf-8")
    (page.parent / "gone.md").write_text("no family has this page", encoding="utf-8")
    monkeypatch.setattr(GENERATOR, "HERE", tmp_path)
    monkeypatch.setattr(GENERATOR, "pages", lambda: {page: "new"})
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit, match=r"metrics/kernels\.md, metrics/gone\.md") as refused:
        GENERATOR.main()
    assert refused.value.code != 0
    assert page.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        to = (page.parent / file).resolve() if file else page
        if not to.exists() or (anchor and to.suffix == ".md" and anchor not in anchors(to)):
            broken.append(target)
    assert not broken


def test_the_index_of_the_docs_leads_to_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    reached = {(index.parent / t).resolve() for t in links(index)}
    families = ROOT / "docs" / "metrics" / "README.md"
    reached |= {(families.parent / t.partition("#")[0]).resolve() for t in links(families)}
    missing = [str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md") if p != index and p.resolve() not in reached]
    assert not missing


@pytest.mark.parametrize(
    ("spec", "n", "d", "figure", "give"),
    [
        ("cka(estimator='biased')", 1024, 768, "0.43", 0.01),
        ("distance_correlation(estimator='biased')", 1024, 768, "0.87", 0.01),
        ("distance_correlation(estimator='biased_squared')", 1024, 768, "0.75", 0.01),
        ("cca", 1024, 768, "0.81", 0.01),
        ("decoding", 1024, 768, "0.47", 0.01),
        ("procrustes", 1024, 768, "0.67", 0.01),
        ("procrustes", 256, 768, "0.92", 0.01),
        ("procrustes_distance", 1024, 768, "0.83", 0.01),
        ("linear_predictivity", 1024, 768, "-15", 3),
        ("unit_matching", 1000, 500, "0.09", 0.01),
    ],
)
def test_noise_scores_what_the_docs_say_that_it_scores(spec: str, n: int, d: int, figure: str, give: float) -> None:
    cls = type(metric(spec))
    told = " ".join((cls.__doc__ or "").split()) + " " + metric(spec).chance
    assert figure in told
    assert f"n = {n}" in told
    assert f"d = {d}" in told
    rng = np.random.default_rng(11)
    assert metric(spec)(rng.standard_normal((n, d)), rng.standard_normal((n, d))) == pytest.approx(
        float(figure), abs=give
    )


def test_the_code_of_the_page_on_concepts_runs_and_gives_the_verdicts_it_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    pytest.importorskip("pandas")
    space: dict[str, object] = {}
    exec(block, space)
    verdicts = {
        "shared": ("shared",),
        "bound to x": ("seen by x",),
        "bound to y": ("seen by y",),
        "unstable": ("noise",),
    }
    assert capsys.readouterr().out.startswith(f"{verdicts}\n")


def test_the_page_on_concepts_names_every_setting_that_asks_for_more_and_its_tables_are_read(tmp_path: Path) -> None:
    from isomorph.concept_maps import ConceptSettings
    from isomorph.results import VERDICTS
    from isomorph.study import load_study

    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    for verdict in VERDICTS:
        assert f"**{verdict}**" in page
    for name in ("limits", "redundancy", "map", "missing", "shared", "stable", "folds", "permutations"):
        assert name in ConceptSettings.names()
        assert f"`{name}" in page
        assert f"{name}=" in page or f"`{name}`" in page
    (table,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "norms.csv").write_text("id,age\n1,2\n")
    encoders = "".join(f"[encoders.{n}]\nmodel = 'm'\n" for n in ("vision", "text", "lite", "language-model", "speech"))
    (tmp_path / "study.toml").write_text(f"items = 'emoji(n=30)'\n{encoders}{table}")
    (entry,) = load_study(tmp_path / "study.toml").concepts
    assert entry.file == "concepts-vision-text-fine.json"
    assert [*entry.covariates] == ["word_count", "hubness", "age"]


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("brains.md", 11),
        ("stores.md", 10),
        ("plotting.md", 20),
        ("start.md", 13),
        ("reading.md", 8),
        ("troubleshooting.md", 3),
    ],
)
def test_the_examples_of_a_page_give_what_it_shows(
    name: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # they write files
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    examples = doctest.DocTestParser().get_doctest(page, {}, name, f"docs/{name}", 0)
    told: list[str] = []
    found = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(examples, out=told.append)
    assert found.attempted >= least
    assert found.failed == 0, "".join(told)


def commands(page: Path) -> tuple[list[list[str]], list[list[str]]]:
    """The calls of `isomorph` that a page shows in blocks and names in sentences, as a shell splits them."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = [block for kind, block in re.findall(FENCED, text) if kind in ("", "console")]
    shown = [line for block in blocks for line in re.findall(r"^(?:\$ )?(isomorph .*)$", block, re.MULTILINE)]
    named = re.findall(r"`(isomorph [^`]+)`", without_blocks(text))
    return ([shlex.split(line, comments=True) for line in shown], [shlex.split(line) for line in named])


def refusal(command: list[str]) -> str:
    """What is said of a command by what reads its arguments; nothing if they are right."""
    import typer

    top = typer.main.get_command(app)
    try:
        context = top.make_context(command[0], command[1:])
        name, found, rest = top.resolve_command(context, [*context._protected_args, *context.args])
        found.make_context(name, list(rest), parent=context)
    except SystemExit as end:  # --version and --help end so
        return "" if not end.code else f"it ends with {end.code}"
    except typer.Exit as end:
        return "" if not end.exit_code else f"it ends with {end.exit_code}"
    except Exception as error:  # typer's, click's or ours: what it says is what the tests look at
        return str(error) or repr(error)
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_that_a_page_shows_can_be_typed(page: Path) -> None:
    shown, named = commands(page)
    assert {shlex.join(command): said for command in shown if (said := refusal(command))} == {}
    for command in named:  # a sentence may name a command without all that it needs
        said = refusal(command)
        assert not said or "Missing parameter" in said or "requires an argument" in said, f"{command}: {said}"


def test_python_on_every_page_is_executed_by_a_test() -> None:
    """By a test that names the page, or as the example of the docstring that the page is written from."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    generated = {ROOT / "docs" / path for path in GENERATOR.pages()}
    for page in (ROOT / "docs").rglob("*.md"):
        if any(kind == "python" for kind, _ in re.findall(FENCED, page.read_text(encoding="utf-8"))):
            assert page in generated or f'"{page.name}"' in tests, page.name


def called(command: list[str]) -> str:
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, command[1:])
    assert done.exit_code == 0, f"{shlex.join(command)}: {done.output}\n{done.exception}"
    return done.output


def test_a_folder_of_pictures_with_captions_becomes_a_page_by_the_commands_of_start_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pets").mkdir()
    for i in range(24):
        Path("pets", f"{i}.ppm").write_bytes(b"P6 1 1 255 " + bytes([9 * i, 255 - 9 * i, 90]))
        Path("pets", f"{i}.txt").write_text("red " * i + "green")
    monkeypatch.setattr(init, "BY_MODALITY", {"image": ("statistics:image",), "text": ("statistics:text",)})
    found = commands(ROOT / "docs" / "start.md")[0]
    assert [command[1] for command in found] == ["run", "init", "run"]
    for command in found:  # counts of pixels and words stand for the models, which are fetched
        offline = [a.replace("bundled:dinov2-small", "statistics:image") for a in command]
        called([a.replace("bundled:minilm-l6", "statistics:text") for a in offline])
    pages = sorted(map(str, Path().rglob("report.html")))
    assert pages == ["runs/mine/report.html", "runs/pets/report.html"]
    assert all("statistics:image" in Path(page).read_text(encoding="utf-8") for page in pages)


def test_the_commands_of_the_survey_s_experiments_run_as_they_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(3), 16)
    base = 2 * np.eye(3)[kinds] @ rng.normal(size=(3, 8)) + rng.normal(size=(48, 8))
    ids = [f"item {i}" for i in range(48)]
    for name in ("x", "y", "z", "twin", "s", "m", "l", "xl", "s0", "m0", "l0", "xl0"):
        layers = {"last": base @ rng.normal(size=(8, 6)) + rng.normal(size=(48, 6))}
        Layers.from_arrays(layers, ids=ids).save(f"{name}.npz")
    Path("labels.csv").write_text("id,kind\n" + "".join(f"item {i},{'abc'[k]}\n" for i, k in enumerate(kinds)))
    Path("models.csv").write_text("model,parameters\ns,1e6\nm,1e7\nl,1e8\nxl,1e9\ntext,1e7\n")
    found = commands(ROOT / "docs" / "experiments.md")[1]
    assert [c[1] for c in found] == ["scan", "stitch", "atlas", "fuse", "concepts", "diagnose"]
    for command in found:
        assert called(command).strip()

"""Every public function, class, kind and command shows an example, and every example is run as it stands.

What the façade and the kinds show runs by itself. What a room shows runs in its own module, with NumPy as `np` and the
façade as `iso`. An example that begins with "# after the example of `name`" goes on where that one ends. Each runs in a
folder of its own, without a network; those that fetch data are marked `real`.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import io
import pkgutil
import re
import shlex
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph import datasets, diagnosis, encoders, heads, maps, metrics
from isomorph.cli import COMMANDS, app
from isomorph.errors import FetchError
from isomorph.reporting.sections import sections

from .encoders.conftest import checkpoint  # noqa: F401  # fixtures that make tiny models
from .encoders.test_providers import (  # noqa: F401
    MAKERS,
    diffusers_folders,
    library,
    open_clip,
    open_clip_folder,
    sentence_folder,
    server,
    timm,
    timm_folder,
)

SOURCE = Path(iso.__file__).parent
NOT_RUN = {
    "demo": "runs for minutes; tests/end_to_end runs it on the real checkpoints",
    "open": "would open a browser; tests/cli/test_init_open.py catches it",
}
"""Commands whose example is not run, each with the reason."""
FETCHED = {"isomorph.datasets.emoji.Emoji", "extract"}
"""What fetches real data or weights."""
MODELS = {
    "transformers": "bert", "timm": "vit", "open_clip": "clip", "sentence-transformers": "sentences",
    "gguf": "tiny.gguf", "onnx": "net.onnx", "tflite": "net.tflite", "diffusers": "unet",
}  # fmt: skip
"""Provider -> what its example calls the tiny model that is made for it."""
SERVER = "http://localhost:8080/v1"  # what the example of `api` calls the server that is started for it
CONTINUES = re.compile(r"^\s*>>> # after the example of `(\w+)`", re.MULTILINE)


def name_of(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def kinds() -> Iterator[type[Any]]:
    """Everything registered in the rooms of kinds, but plug-ins."""
    rooms = (metrics, maps, heads, datasets, diagnosis)
    for registry in (*(room.REGISTRY for room in rooms), encoders.providers, sections):
        yield from (kind for kind in registry.classes.values() if kind.__module__.startswith("isomorph."))


def rooms() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules([str(SOURCE)]):
        if found.ispkg and not found.name.startswith("_"):
            yield importlib.import_module(f"isomorph.{found.name}")


def by_itself() -> dict[str, Any]:
    """The façade's functions and classes, and the kinds."""
    found = [getattr(iso, name) for name in iso.__all__]
    return {name_of(thing): thing for thing in [*found, *kinds()] if hasattr(thing, "__qualname__")}


def public() -> dict[str, Any]:
    """The same, with what the rooms offer each other."""
    found = [getattr(room, name) for room in rooms() for name in getattr(room, "__all__", ())]
    named = [thing for thing in found if hasattr(thing, "__qualname__") and thing.__module__.startswith("isomorph.")]
    return by_itself() | {name_of(thing): thing for thing in named}


def others() -> dict[str, Any]:
    """Whatever else has an example."""
    found: dict[str, Any] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if ">>> " not in path.read_text(encoding="utf-8"):
            continue
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__):
            if test.examples:
                found[test.name] = SimpleNamespace(__doc__=test.docstring, __module__=module.__name__)
    return found


ALONE = by_itself()
PUBLIC = public()
ALL = others() | PUBLIC


def text_of(thing: Any) -> str:
    """The part of a documentation that is run; classes do not pass on that of their base."""
    return inspect.cleandoc(thing.__dict__.get("__doc__") or "" if inspect.isclass(thing) else thing.__doc__ or "")


def run_example(name: str, thing: Any, change: Callable[[str], str] = str) -> None:
    """Run the example of one thing, and fail with what it gives in place of what it shows."""
    text, names = text_of(thing), {"__name__": "example"}
    assert ">>> " in text, f"{name} shows no example: give its docstring an `Example:` of a few lines"
    if name not in ALONE:
        names |= {**vars(importlib.import_module(thing.__module__)), "np": np, "iso": iso}
    before = CONTINUES.search(text)
    texts = [text_of(getattr(iso, before[1])), text] if before else [text]
    runner, told = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS), io.StringIO()
    failed = 0
    for one in texts:
        test = doctest.DocTestParser().get_doctest(change(one), names, name, None, 0)
        failed += runner.run(test, out=told.write, clear_globs=False).failed
        names = test.globs
    assert failed == 0, told.getvalue()


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A folder and a cache of its own, no bars, and no way out to other machines."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("ISOMORPH_PROGRESS", "0")
    if request.node.get_closest_marker("real"):
        return
    monkeypatch.setenv("ISOMORPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # packages are fetched by a process of their own
    connect = socket.socket.connect

    def here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"an example asks for {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", here)


def cases(names: Any, run: Callable[[str], bool]) -> list[Any]:
    return [pytest.param(n, marks=[pytest.mark.real] if n in FETCHED else [], id=n) for n in names if run(n)]


PROVIDERS = {name_of(kind): kind for kind in encoders.providers.classes.values()}


@pytest.mark.parametrize("name", cases(sorted(ALL), lambda n: n not in PROVIDERS))
def test_the_example_gives_what_it_shows(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        run_example(name, ALL[name])
    except AssertionError:
        if name in FETCHED:
            _skip_if_it_cannot_be_had()
        raise
    assert capfd.readouterr() == ("", ""), "the example prints past what it shows"


def _skip_if_it_cannot_be_had() -> None:
    try:
        iso.load_dataset("emoji(n=3)")
    except FetchError as error:
        pytest.skip(str(error))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's older exporter of ONNX files
@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_the_example_of_a_provider_loads_a_tiny_model(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kind = PROVIDERS[name]
    if kind.name in MODELS:
        spec, _ = MAKERS[kind.name](request, tmp_path)
        Path(MODELS[kind.name]).symlink_to(spec.partition(":")[2])
    address = request.getfixturevalue("server").url if kind.name == "api" else SERVER
    run_example(name, kind, lambda text: text.replace(SERVER, address))


def lines_of(command: str) -> str:
    """The example of a command, as its help shows it."""
    module = importlib.import_module(f"isomorph.cli.{command.replace('-', '_')}")
    found = re.search(r"^Example: isomorph (.+)$", inspect.cleandoc(module.command.__doc__ or ""), re.MULTILINE)
    assert found, f"the help of {command} shows no example: end its docstring with `Example: isomorph {command} …`"
    return found[1]


def make_files() -> None:
    """The features, networks and study that the examples of commands name."""
    rng = np.random.default_rng(0)
    x, noise, other = rng.normal(size=(3, 60, 8))
    ids = [f"item-{i}" for i in range(60)]
    for name, rows in {"vision": x, "text": x + noise, "twin": other}.items():
        iso.Layers.from_arrays({"early": other, "late": rows}, ids=ids).save(f"{name}.npz")
    iso.Layers.from_arrays({"last": x[:8]}).save("classes-vision.npz")
    for name, rows in {"old": x, "new": x[:, ::-1]}.items():
        iso.Layers.from_arrays({"last": rows}, ids=ids).save(f"{name}.npz")
    iso.Layers.from_arrays({"last": x[7::-1]}).save("classes-text.npz")
    Path("m.csv").write_text("model,size\na,4\nb,1\nt,2\n", encoding="utf-8")
    Path("nets.py").write_text(NETS, encoding="utf-8")
    inputs = rng.normal(size=(200, 4)).astype(np.float32)
    Path("labels.csv").write_text(
        "\n".join(["id,kind", *(f"{i},{'left' if v > 0 else 'right'}" for i, v in zip(ids, x[:, 0], strict=True))]),
        encoding="utf-8",
    )
    np.savez("digits.npz", data=inputs, labels=(inputs[:, 0] > 0).astype(np.int64))
    Path("study.toml").write_text(
        "items = \"arrays(paths='features.npz')\"\n"
        "encoders.a = {model = 'statistics:features', view = 'x'}\n"
        "encoders.b = {model = 'statistics:features', view = 'y'}\n"
        "scans = [{x = 'a', y = 'b', metrics = ['cka'], permutations = 20}]\n",
        encoding="utf-8",
    )
    np.savez("features.npz", x=x, y=x + noise)
    for name, rows in {"a": x, "b": x + noise}.items():
        sure = 1 / (1 + np.exp(rows[:, :1]))  # of "right"
        iso.Layers.from_arrays({"p": np.hstack([1 - sure, sure])}, ids=ids).save(f"answers-{name}.npz")
    Path("classes.txt").write_text("left\nright\n", encoding="utf-8")
    np.save("rdms.npy", [np.sqrt(((v[:, None] - v) ** 2).sum(2)) for v in (x, x + noise, x - noise)])
    np.save("voxels.npy", x @ rng.normal(size=(8, 12)))
    np.save("places.npy", np.arange(12.0)[:, None])
    for name, rows in {"shape": x, "color": other}.items():
        np.save(f"{name}.npy", iso.RDMs.from_patterns(rows).dissimilarities)
    Path("runs.txt").write_text("\n".join(str(k // 10) for k in range(60)), encoding="utf-8")
    asked = [rng.permutation(60)[:3] for _ in range(90)]
    Path("triplets.csv").write_text("\n".join(",".join(ids[i] for i in row) for row in asked), encoding="utf-8")


NETS = """
import collections

import torch


def make(seed):
    torch.manual_seed(seed)
    parts = {"in": torch.nn.Linear(4, 8), "act1": torch.nn.Tanh(), "mid": torch.nn.Linear(8, 8)}
    parts |= {"act2": torch.nn.Tanh(), "more": torch.nn.Linear(8, 8), "act3": torch.nn.Tanh()}
    net = torch.nn.Sequential(collections.OrderedDict(parts | {"out": torch.nn.Linear(8, 2)}))
    x = torch.randn(500, 4)
    adam = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(100):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(net(x), (x[:, 0] > 0).long()).backward()
        adam.step()
    return net


def small():
    return make(0)


def large():
    return make(1)
"""
BEFORE = {"report": ("scan", "stitch"), "diagnose": ("scan",), "apply": ("fit-map",)}
"""Command -> those whose results its example reads."""


def invoke(line: str) -> str:
    done = CliRunner().invoke(app, shlex.split(line))
    if isinstance(done.exception, FetchError):
        pytest.skip(str(done.exception))
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


@pytest.mark.parametrize("command", cases(COMMANDS, lambda c: c not in NOT_RUN))
def test_the_example_of_a_command_runs_on_files_that_it_names(command: str) -> None:
    make_files()
    for other in BEFORE.get(command, ()):
        invoke(lines_of(other))
    there = {*Path().iterdir()}
    shown = invoke(lines_of(command))
    assert shown.strip() or {*Path().iterdir()} - there


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_its_example(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
    assert f"isomorph {lines_of(command)}" in " ".join(shown.split())


def test_what_is_not_run_is_a_command() -> None:
    assert set(NOT_RUN) <= set(COMMANDS)


# ---- the README ------------------------------------------------------------------------------------------------

BLOCKS = re.findall(
    r"^```(\w*)\n(.*?)^```", (SOURCE.parents[1] / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)
LEFT_OUT = {"make demo": "sets up an environment and runs for minutes", "pip install": "sets up an environment"}
"""First words of the README's blocks that are not run, each with the reason."""


def python_blocks(*, models: bool) -> list[str]:
    return [text for kind, text in BLOCKS if kind == "python" and ("load_encoder" in text) == models]


def test_the_readmes_examples_on_arrays_run() -> None:
    for block in python_blocks(models=False):
        exec(compile(block, "README.md", "exec"), {})
    assert {p.name for p in Path().iterdir()} == {"page.html", "classes-a.npz", "classes-b.npz"}


@pytest.mark.real
@pytest.mark.slow
def test_the_readmes_blocks_run_in_their_order_on_files_that_it_shows_how_to_make() -> None:
    """With half as many emoji, and a smaller model of pictures; nothing else is changed."""

    def smaller(text: str) -> str:
        fewer = re.sub(r"n=300|power 300", lambda found: found[0].replace("300", "150"), text)
        return fewer.replace("bundled:dinov2-small", "bundled:mobilenet-v2-0.35")

    (study,) = (text for kind, text in BLOCKS if kind == "toml")
    Path("study.toml").write_text(smaller(study), encoding="utf-8")
    try:
        for block in python_blocks(models=False) + python_blocks(models=True):
            exec(compile(smaller(block), "README.md", "exec"), {})
    except FetchError as error:
        pytest.skip(str(error))
    (commands,) = (text for kind, text in BLOCKS if not kind and text.startswith("isomorph "))
    for line in smaller(commands).splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "isomorph"
        invoke(shlex.join(arguments))
    assert {"report.html", "scan.json", "match.json", "features", "image.npz"} <= {p.name for p in Path().iterdir()}


def test_every_block_of_the_readme_is_run_or_left_out_by_name() -> None:
    others = [text for kind, text in BLOCKS if kind not in ("python", "toml") and not text.startswith("isomorph ")]
    assert {start for text in others for start in LEFT_OUT if text.startswith(start)} == set(LEFT_OUT)
    assert len(others) == len(LEFT_OUT), others


# ---- the suite itself ------------------------------------------------------------------------------------------


def test_a_wrong_example_and_a_missing_one_fail() -> None:
    def wrong() -> None:
        """Nothing.

        Example:
            >>> 1 + 1
            3
        """

    def missing() -> None:
        """Nothing."""

    with pytest.raises(AssertionError, match=r"Expected:\s+3\s+Got:\s+2"):
        run_example("wrong", wrong)
    with pytest.raises(AssertionError, match="missing shows no example"):
        run_example("missing", missing)


def test_an_example_that_raises_or_needs_what_it_does_not_import_fails() -> None:
    def raising() -> None:
        """Nothing.

        Example:
            >>> iso.metric("no such metric")
        """

    with pytest.raises(AssertionError, match="UnknownNameError"):
        run_example("raising", raising)
    ALONE["raising"] = raising
    try:
        with pytest.raises(AssertionError, match="name 'iso' is not defined"):
            run_example("raising", raising)
    finally:
        del ALONE["raising"]


def test_no_example_reaches_another_machine() -> None:
    with pytest.raises(OSError, match="an example asks for"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


def test_everything_of_the_facade_and_every_kind_is_among_them() -> None:
    assert {"isomorph.scanning._scan.scan", "isomorph.metrics.kernels.Cka", "isomorph.design.orders.Design"} <= set(
        PUBLIC
    )
    assert len(PUBLIC) > 200

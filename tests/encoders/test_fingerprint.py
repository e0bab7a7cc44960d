"""What an encoder's key must cover: two functions or networks that compute otherwise never share facts."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import io
import json
import logging
import os
import pathlib
import random
import re
import subprocess
import sys
import textwrap
import threading
import types

import numpy as np
import pytest
import torch
from PIL import Image

from isomorph.encoders import _fingerprint, _state
from isomorph.encoders._fingerprint import WeightsWatch, checksum, describe
from isomorph.encoders._inputs import ImagePreprocessing
from isomorph.encoders._state import state_fingerprint
from isomorph.errors import InputError


def text(function):
    return json.dumps(describe(function), sort_keys=True)


def closing_over(value):
    def prep(items):
        return [value, items]

    return prep


def from_source(source, **names):
    space = {"__name__": "users_module", **names}
    exec(textwrap.dedent(source), space)
    return space["prep"]


def network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Dropout(0.5))


class Color(enum.Enum):
    RED = 1
    BLUE = 2


@dataclasses.dataclass
class Settings:
    size: int
    names: list[str] = dataclasses.field(default_factory=list)


class Slotted:
    __slots__ = ("__hidden", "size")

    def __init__(self, size, hidden=0):
        self.size, self.__hidden = size, hidden


class Scaler:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, items):
        return [i * self.factor for i in items]

    def half(self, items):
        return [i * self.factor / 2 for i in items]


class Quiet(Scaler):
    """Says nothing of its factor when it is copied."""

    def __getstate__(self):
        return None


class Text(str):
    pass


def again(value):
    """A container that holds itself."""
    box = [value]
    box.append(box)
    return box


def called(function, *args):
    return functools.partial(function, *args)


def masked(value, mask):
    return np.ma.MaskedArray([value, 2], mask=mask)


def with_default(value):
    def prep(items, scale=value):
        return items

    return prep


def with_keyword_default(value):
    def prep(items, *, scale=value):
        return items

    return prep


def with_attribute(value):
    def prep(items):
        return prep.scale

    prep.scale = value
    return prep


def made_class(factor, base=object):
    class Made(base):
        scale = factor

        def __call__(self, items):
            return [i * self.scale for i in items]

    return Made


def tensors(seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 3)).astype("f4"))


def with_eval(*, training):
    net = network()
    return net.train(training)


DIFFER = {
    "closure text": (closing_over("query: "), closing_over("passage: ")),
    "closure number and its type": (closing_over(1), closing_over(1.0)),
    "closure true and one": (closing_over(True), closing_over(1)),
    "closure zeros of unlike sign": (closing_over(0.0), closing_over(-0.0)),
    "closure text and bytes": (closing_over("a"), closing_over(b"a")),
    "closure text and path": (closing_over("a"), closing_over(pathlib.PurePosixPath("a"))),
    "closure text and its subclass": (closing_over("a"), closing_over(Text("a"))),
    "long texts": (closing_over("a" * 5000), closing_over("a" * 4999 + "b")),
    "big numbers": (closing_over(7**9000), closing_over(7**9000 + 1)),
    "not a number and infinity": (closing_over(float("nan")), closing_over(float("inf"))),
    "list and tuple": (closing_over([1, 2]), closing_over((1, 2))),
    "order of a list": (closing_over([1, 2]), closing_over([2, 1])),
    "deep in containers": (closing_over([{"a": ({"b"}, [1])}]), closing_over([{"a": ({"b"}, [2])}])),
    "values of a dict": (closing_over({"a": 1}), closing_over({"a": 2})),
    "order of a dict": (closing_over({"a": 1, "b": 2}), closing_over({"b": 2, "a": 1})),
    "keys that are no texts": (closing_over({1: "a"}), closing_over({"1": "a"})),
    "sets": (closing_over({"a", "b"}), closing_over({"a", "c"})),
    "set and frozen set": (closing_over({1}), closing_over(frozenset({1}))),
    "defaultdict's default": (closing_over(collections.defaultdict(int)), closing_over(collections.defaultdict(str))),
    "deque's length": (closing_over(collections.deque([1], 2)), closing_over(collections.deque([1], 3))),
    "containers that hold themselves": (closing_over(again(1)), closing_over(again(2))),
    "arrays": (closing_over(np.arange(9)), closing_over(np.arange(9)[::-1])),
    "types of arrays": (closing_over(np.zeros(2, "i4")), closing_over(np.zeros(2, "f4"))),
    "shapes of arrays": (closing_over(np.zeros((2, 3))), closing_over(np.zeros((3, 2)))),
    "arrays of objects": (closing_over(np.array(["a", 1], object)), closing_over(np.array(["a", 2], object))),
    "masked arrays": (closing_over(masked(1, [0, 1])), closing_over(masked(1, [1, 0]))),
    "numpy numbers": (closing_over(np.float32(1)), closing_over(np.float64(1))),
    "tensors": (closing_over(tensors(0)), closing_over(tensors(1))),
    "types of tensors": (closing_over(torch.zeros(2)), closing_over(torch.zeros(2, dtype=torch.int32))),
    "sparse tensors": (closing_over(torch.eye(2).to_sparse()), closing_over((2 * torch.eye(2)).to_sparse())),
    "types of torch": (closing_over(torch.float32), closing_over(torch.float64)),
    "members of an enumeration": (closing_over(Color.RED), closing_over(Color.BLUE)),
    "fields of a dataclass": (closing_over(Settings(1)), closing_over(Settings(2))),
    "lists in a dataclass": (closing_over(Settings(1, ["a"])), closing_over(Settings(1, ["b"]))),
    "slots": (closing_over(Slotted(1)), closing_over(Slotted(2))),
    "private slots": (closing_over(Slotted(1, 1)), closing_over(Slotted(1, 2))),
    "namespaces": (closing_over(types.SimpleNamespace(a=1)), closing_over(types.SimpleNamespace(a=2))),
    "regular expressions": (closing_over(re.compile("a")), closing_over(re.compile("b"))),
    "flags of regular expressions": (closing_over(re.compile("a")), closing_over(re.compile("a", re.IGNORECASE))),
    "paths": (closing_over(pathlib.PurePosixPath("a/b")), closing_over(pathlib.PurePosixPath("a/c"))),
    "seeds of numpy": (closing_over(np.random.default_rng(0)), closing_over(np.random.default_rng(1))),
    "seeds of torch": (
        closing_over(torch.Generator().manual_seed(0)),
        closing_over(torch.Generator().manual_seed(1)),
    ),
    "seeds of random": (closing_over(random.Random(0)), closing_over(random.Random(1))),
    "pictures": (closing_over(Image.new("L", (2, 2), 0)), closing_over(Image.new("L", (2, 2), 9))),
    "buffers": (closing_over(io.BytesIO(b"a")), closing_over(io.BytesIO(b"b"))),
    "functions of a library": (closing_over(np.mean), closing_over(np.median)),
    "ufuncs": (closing_over(np.sin), closing_over(np.cos)),
    "methods of texts": (closing_over(str.lower), closing_over(str.upper)),
    "methods bound to texts": (closing_over("-".join), closing_over("+".join)),
    "functions in a closure": (closing_over(lambda x: x + 1), closing_over(lambda x: x + 2)),
    "closures of functions in a closure": (closing_over(closing_over(1)), closing_over(closing_over(2))),
    "bound methods": (Scaler(1).half, Scaler(2).half),
    "methods": (Scaler(1).half, Scaler(1).__call__),
    "callable objects": (Scaler(1), Scaler(2)),
    "objects that say nothing of themselves": (Quiet(1), Quiet(2)),
    "classes": (made_class(1)(), made_class(2)()),
    "bases of classes": (made_class(1, Text)(), made_class(1, Scaler)(2)),
    "classes as functions": (closing_over(made_class(1)), closing_over(made_class(2))),
    "partial arguments": (called(closing_over(1), 1), called(closing_over(1), 2)),
    "partial functions": (called(closing_over(1), 1), called(closing_over(2), 1)),
    "partial keywords": (functools.partial(Scaler(1).half, items=1), functools.partial(Scaler(1).half, items=2)),
    "defaults": (with_default(1), with_default(2)),
    "keyword defaults": (with_keyword_default(1), with_keyword_default(2)),
    "attributes of a function": (with_attribute(1), with_attribute(2)),
    "lambdas on one line": [lambda x: x + 1, lambda x: x + 2],
    "cached functions": (functools.lru_cache(closing_over(1)), functools.lru_cache(closing_over(2))),
    "functions that a library wraps": (torch.no_grad()(closing_over(1)), torch.no_grad()(closing_over(2))),
    "weights": (closing_over(network(0)), closing_over(network(1))),
    "training mode": (with_eval(training=True), with_eval(training=False)),
    "constants": (from_source("def prep(x): return x + 1"), from_source("def prep(x): return x + 2")),
    "operations": (from_source("def prep(x): return x + 1"), from_source("def prep(x): return x - 1")),
    "variables that are swapped": (
        from_source("def prep(x, y): return x - y"),
        from_source("def prep(x, y): return y - x"),
    ),
    "constants that a set holds": (
        from_source("def prep(x): return x in {'a', 'b'}"),
        from_source("def prep(x): return x in {'a', 'c'}"),
    ),
    "functions within": (
        from_source("def prep(x): return [i + 1 for i in x]"),
        from_source("def prep(x): return [i + 2 for i in x]"),
    ),
    "globals": (from_source("def prep(x): return S", S=1), from_source("def prep(x): return S", S=2)),
    "globals within": (
        from_source("def prep(x):\n  def g(): return S\n  return g()", S=1),
        from_source("def prep(x):\n  def g(): return S\n  return g()", S=2),
    ),
    "globals of helpers": (
        from_source("S = 1\ndef help(x): return S\ndef prep(x): return help(x)"),
        from_source("S = 2\ndef help(x): return S\ndef prep(x): return help(x)"),
    ),
    "helpers": (
        from_source("def help(x): return x\ndef prep(x): return help(x)"),
        from_source("def help(x): return -x\ndef prep(x): return help(x)"),
    ),
    "helpers in a class": (
        from_source("class A:\n  @staticmethod\n  def f(x): return x\ndef prep(x): return A.f(x)"),
        from_source("class A:\n  @staticmethod\n  def f(x): return -x\ndef prep(x): return A.f(x)"),
    ),
    "properties": (
        from_source("class A:\n  @property\n  def f(self): return 1\ndef prep(x): return A().f"),
        from_source("class A:\n  @property\n  def f(self): return 2\ndef prep(x): return A().f"),
    ),
    "base classes": (
        from_source("class A:\n  def f(s): return 1\nclass B(A): pass\ndef prep(x): return B().f()"),
        from_source("class A:\n  def f(s): return 2\nclass B(A): pass\ndef prep(x): return B().f()"),
    ),
    "globals that are not there": (from_source("def prep(x): return S"), from_source("def prep(x): return S", S=None)),
    "functions that call themselves": (
        from_source("def prep(x): return prep(x - 1) if x else 1"),
        from_source("def prep(x): return prep(x - 1) if x else 2"),
    ),
}


@pytest.mark.parametrize("what", DIFFER)
def test_functions_that_compute_otherwise_differ(what):
    one, other = DIFFER[what]
    assert text(one) != text(other)


SAME = {
    "closure": lambda: closing_over({"a": [1, 2.5, None], "b": ("c", b"d")}),
    "sets": lambda: closing_over({f"word {i}" for i in range(50)} | {1, 2.5, None, ("a", 1)}),
    "arrays": lambda: closing_over(np.arange(30.0).reshape(5, 6)[:, ::2]),
    "tensors": lambda: closing_over([tensors(0), torch.zeros(0), torch.arange(3).bool()]),
    "networks": lambda: closing_over(network()),
    "objects": lambda: closing_over([Settings(1), Slotted(2), Scaler(3), Quiet(1), Color.RED, object()]),
    "classes": lambda: closing_over([made_class(1), Scaler, Color, Settings, Text, int, np.ndarray]),
    "functions": lambda: closing_over([closing_over(1), np.mean, len, "a".join, lambda x: x, np.sin]),
    "generators": lambda: closing_over([np.random.default_rng(3), random.Random(3), torch.Generator().manual_seed(3)]),
    "dates and patterns": lambda: closing_over([re.compile("a+"), list[int], range(4), slice(1, 2), Ellipsis]),
    "cycles": lambda: closing_over(again(again(1))),
    "loggers": lambda: closing_over(logging.getLogger("some.name")),
    "modules": lambda: closing_over([np, torch.nn.functional, json, os.path]),
    "callable objects": lambda: Scaler(2),
    "partials": lambda: functools.partial(Scaler(2).half, 1),
    "classes themselves": lambda: Scaler,
    "library functions": lambda: torch.stack,
    "views of memory": lambda: closing_over(types.MappingProxyType({"a": 1})),
}


@pytest.mark.parametrize("what", SAME)
def test_the_same_function_made_twice_is_the_same(what):
    one, other = SAME[what](), SAME[what]()
    assert text(one) == text(other) == text(one)
    assert " at 0x" not in text(one)


def test_where_and_how_a_function_is_written_down_does_not_matter():
    plain = from_source("def prep(x): return x + 1")
    moved = from_source("\n\n# a remark\ndef prep(x):\n\n    return x + 1")
    assert text(plain) == text(moved)
    assert text(from_source("S = 1\nT = 5\ndef prep(x): return S")) == text(from_source("S = 1\ndef prep(x): return S"))


PROGRAM = """
import json, sys, re, enum, functools, collections
import numpy as np, torch
from isomorph.encoders import _fingerprint
from isomorph.encoders._fingerprint import WeightsWatch, describe

WORDS = {f"word {i}" for i in range(40)}
TABLE = {"a": frozenset("xyz"), "b": {1, "c", 2.5}}
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU())

class Mode(enum.Flag):
    A = 1
    B = 2

class Prep:
    def __init__(self, pattern):
        self.pattern, self.rng = re.compile(pattern), np.random.default_rng(0)
    def __call__(self, items):
        return [w for w in items if w in WORDS and self.pattern.match(w) and TABLE and Mode.A | Mode.B]

def helper(x, memo={}):
    return np.asarray(x) if x in {"a", "b", "c", "d"} else net(x)

def make(prompt):
    return lambda items: [helper(prompt + i) for i in items]

facts = [describe(f) for f in (Prep("w"), make("query: "), functools.partial(make("b"), 3), Prep("v").__call__, helper)]
again = [describe(f) for f in (Prep("w"), make("query: "), functools.partial(make("b"), 3), Prep("v").__call__, helper)]
assert facts == again
print(json.dumps([facts, WeightsWatch(net).fingerprint()], sort_keys=True))
"""


def test_two_processes_agree(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    out = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, tmp_path / "program.py"],
            capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": seed},
        )  # fmt: skip
        out.append(done.stdout)
    assert out[0] == out[1]
    assert len(set(map(str, json.loads(out[0])[0]))) == 5


def in_module(tmp_path, monkeypatch, name, **files):
    """Import a package of the user's own from files."""
    (tmp_path / name).mkdir()
    for file, source in files.items():
        (tmp_path / name / f"{file}.py").write_text(textwrap.dedent(source))
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = {f: __import__(f"{name}.{f}", fromlist=["x"]) for f in files}
    for module in [name, *(f"{name}.{f}" for f in files)]:
        monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, module, modules.get(module.partition(".")[2], types.ModuleType(name)))
    return modules


def test_what_code_takes_from_modules_of_the_users_own_is_followed(tmp_path, monkeypatch):
    modules = in_module(
        tmp_path, monkeypatch, "mine_a",
        settings="SIZE = 3\nUNUSED = 1\nclass Deep:\n    step = 1\n",
        prep="""
            from mine_a import settings
            def by_attribute(x): return settings.SIZE
            def by_class(x): return settings.Deep.step
            def by_import(x):
                from .settings import SIZE
                return SIZE
            def as_a_whole(x): return getattr(settings, x)
        """,
    )  # fmt: skip
    prep, settings = modules["prep"], modules["settings"]
    monkeypatch.setattr(prep, "settings", settings)
    functions = [prep.by_attribute, prep.by_class, prep.by_import, prep.as_a_whole]
    before = [text(f) for f in functions]
    settings.UNUSED = 2
    assert [a == b for a, b in zip(before, map(text, functions), strict=True)] == [True, True, True, False]
    before = [text(f) for f in functions]
    settings.SIZE = 4
    assert [a == b for a, b in zip(before, map(text, functions), strict=True)] == [False, True, False, False]
    before = [text(f) for f in functions]
    settings.Deep.step = 2
    assert [a == b for a, b in zip(before, map(text, functions), strict=True)] == [True, False, True, False]


def test_what_is_put_in_place_of_a_librarys_function_is_seen(monkeypatch):
    prep = from_source("import numpy\ndef prep(x): return numpy.mean(x) * numpy.pi")
    before = text(prep)
    monkeypatch.setattr(np, "mean", closing_over(1))
    patched = text(prep)
    assert patched != before
    monkeypatch.undo()
    monkeypatch.setattr(np, "pi", 3)
    assert text(prep) not in (before, patched)


def test_libraries_count_by_their_version(monkeypatch):
    facts = describe(from_source("import numpy as np\ndef prep(x):\n  import torch.nn\n  return np.sum(x)"))
    assert facts["libraries"]["numpy"] == np.__version__
    assert facts["libraries"]["torch"] == torch.__version__
    assert "users_module" not in facts["libraries"]
    assert "Python" in describe(json.dumps)["libraries"]["json"]


def test_a_library_in_a_folder_of_its_own_is_one(tmp_path, monkeypatch):
    for name, record in [("bundle_b", "bundle_b/__init__.py,,\n"), ("own_b", None)]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("__version__ = '7.1'\ndef prep(x): return x\n")
        if record:
            (tmp_path / f"{name}-7.1.dist-info").mkdir()
            (tmp_path / f"{name}-7.1.dist-info" / "RECORD").write_text(record)
    monkeypatch.syspath_prepend(str(tmp_path))
    import bundle_b
    import own_b

    assert describe(bundle_b.prep)["facts"] == {"library": "bundle_b.prep"}
    assert describe(bundle_b.prep)["libraries"] == {"bundle_b": "7.1"}
    assert "code" in describe(own_b.prep)["facts"]


def test_facts_can_be_read():
    facts = describe(closing_over("query: "))
    assert facts["function"].endswith("closing_over.<locals>.prep")
    assert "return [value, items]" in facts["source"]
    assert facts["facts"]["closure"] == {"value": "query: "}
    assert "content of files" in facts["not covered"]
    json.dumps(facts, allow_nan=False).encode()
    long = describe(closing_over({"key": ["x" * 50] * 1000, "\ud800": float("nan")}))
    assert len(json.dumps(long, allow_nan=False)) < 2000
    assert describe(ImagePreprocessing(size=100)) == ImagePreprocessing(size=100).facts
    bigger = describe(closing_over([ImagePreprocessing(size=101)]))
    assert bigger != describe(closing_over([ImagePreprocessing(size=100)]))


def test_caches_that_a_librarys_object_fills_in_use_do_not_count():
    from string import Template

    used, fresh = Template("$a"), Template("$a")
    used.cache = {"filled": 1}
    assert text(closing_over(used)) == text(closing_over(fresh))
    used.template = "$b"
    assert text(closing_over(used)) != text(closing_over(fresh))


def generator():
    yield 1


def linked(length):
    head = None
    for _ in range(length):
        head = types.SimpleNamespace(next=head)
    return head


REFUSED = {
    "lock": (threading.Lock, "closure variable 'value' of preprocess"),
    "generator": (generator, "is a generator: reading it changes it"),
    "iterator": (lambda: map(str, [1]), "of type builtins.map: reading it changes it"),
    "in a list": (lambda: [1, threading.Lock()], "item 1 of closure variable 'value' of preprocess"),
    "in an object": (lambda: Scaler(threading.Lock()), "attribute 'factor' of closure variable 'value' of preprocess"),
    "in a partial": (lambda: called(Scaler(1), threading.Lock()), "argument 0 of partial of closure variable 'value'"),
    "in a dict": (lambda: {"a": threading.Lock()}, "item 'a' of closure variable 'value'"),
    "in a function": (lambda: with_default(threading.Lock()), "default of argument 'scale' of closure variable"),
    "opaque": (lambda: np.frompyfunc(len, 1, 1), "what it computes cannot be read"),
    "deep": (lambda: linked(100), "nested deeper than 60"),
    "without values": (lambda: torch.zeros(2, device="meta"), "its values cannot be read"),
    "thread": (threading.Thread, "closure variable 'value'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_hashed_is_refused_with_its_place_and_what_to_give_instead(what):
    make, message = REFUSED[what]
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        describe(closing_over(make()))
    assert "preprocess test" in str(caught.value) or "preprocess tests." in str(caught.value)
    assert 'preprocessing="one line that says what it does and its version"' in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_open_files_and_globals_are_named(tmp_path):
    (tmp_path / "words").write_text("a")
    with open(tmp_path / "words") as file, pytest.raises(InputError, match=r"'value' of preprocess .* is an open file"):
        describe(closing_over(file))
    with pytest.raises(InputError, match=r"global 'LOCK' of global 'help' of preprocess users_module\.prep"):
        describe(from_source("def help(): return LOCK\ndef prep(x): return help()", LOCK=threading.Lock()))
    with pytest.raises(InputError, match="preprocess must be a function, found int"):
        describe(3)


def test_a_network_that_holds_what_cannot_be_hashed_is_refused_only_where_its_user_wrote_it():
    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lock = threading.Lock()

    with pytest.raises(InputError, match="attribute 'lock' of module"):
        describe(closing_over(Own()))
    WeightsWatch(Own()).fingerprint()
    library = torch.nn.Linear(2, 2)
    library.lock = threading.Lock()
    describe(closing_over(library))


@pytest.fixture
def tokenizer():
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def make(words=("[PAD]", "[UNK]", "cat", "dog"), **settings):
        bare = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
        bare.pre_tokenizer = pre_tokenizers.Whitespace()
        return PreTrainedTokenizerFast(tokenizer_object=bare, pad_token="[PAD]", unk_token="[UNK]", **settings)

    return make


def test_tokenizers_are_hashed_by_their_table_and_settings(tokenizer):
    one = text(closing_over(tokenizer()))
    assert one == text(closing_over(tokenizer()))
    used = tokenizer()
    used(["cat", "dog cat"], padding=True, truncation=True, max_length=2)
    assert text(closing_over(used)) == one  # a call leaves cutting and padding behind, which the next sets anew
    assert text(closing_over(tokenizer(("[PAD]", "[UNK]", "dog", "cat")))) != one
    assert text(closing_over(tokenizer(padding_side="left"))) != one
    changed = tokenizer()
    changed.model_max_length = 3
    assert text(closing_over(changed)) != one
    assert text(closing_over(tokenizer().backend_tokenizer)) == text(closing_over(tokenizer().backend_tokenizer))
    assert text(tokenizer().__call__) != text(tokenizer().batch_decode)


def test_image_processors_and_configurations_are_hashed_by_what_they_save():
    transformers = pytest.importorskip("transformers")
    transformers.utils.is_torchvision_available()

    def processor(**settings):
        return transformers.ViTImageProcessorPil(**settings)

    one = text(closing_over(processor(image_mean=[0.5] * 3)))
    assert one == text(closing_over(processor(image_mean=[0.5] * 3)))
    assert one != text(closing_over(processor(image_mean=[0.4] * 3)))
    config = transformers.BertConfig(hidden_size=8, num_attention_heads=2)
    assert text(closing_over(config)) != text(closing_over(transformers.BertConfig(hidden_size=6)))
    elsewhere = transformers.BertConfig(hidden_size=8, num_attention_heads=2, name_or_path="some/folder")
    assert text(closing_over(config)) == text(closing_over(elsewhere))


# ---------------------------------------------------------------- networks


class Net(torch.nn.Module):
    def __init__(self, eps=1e-5):
        super().__init__()
        self.first = torch.nn.Linear(4, 4)
        self.norm = torch.nn.LayerNorm(4, eps=eps)
        self.batch = torch.nn.BatchNorm1d(4)
        self.scale, self.mode, self.sizes, self.function = 2.0, "sum", [1, 2], torch.relu
        self.mean = torch.zeros(4)
        self.settings = Settings(3)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("passing", torch.ones(2), persistent=False)

    def forward(self, x):
        self.max_len_cached = len(x)
        return self.batch(self.norm(self.function(self.first(x)))) * self.scale


def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net().eval()


def shifted(state):
    return {k: v + 1 for k, v in state.items()}


def swap_rows(n):
    n.first.weight.data.copy_(n.first.weight.data[[1, 0, 2, 3]])


def swap_two(n):
    values = n.first.weight.data.view(-1)
    values[0], values[5] = values[5].item(), values[0].item()


def give_forward(n):
    n.forward = lambda x: x


CHANGES = {
    "weights in place": lambda n: torch.nn.init.ones_(n.first.weight),
    "one weight by data": lambda n: n.first.weight.data[0].__setitem__(0, 9.0),
    "two weights swapped by data": swap_two,
    "two rows swapped by data": swap_rows,
    "weights by numpy": lambda n: n.first.bias.detach().numpy().__setitem__(0, 3.0),
    "weights transposed": lambda n: setattr(n.first.weight, "data", n.first.weight.data.T),
    "a state loaded": lambda n: n.load_state_dict(shifted(n.state_dict())),
    "a parameter replaced": lambda n: setattr(n.first, "bias", torch.nn.Parameter(torch.zeros(4))),
    "a parameter taken away": lambda n: setattr(n.first, "bias", None),
    "another type": lambda n: n.double(),
    "running statistics": lambda n: n.batch.running_mean.add_(1),
    "a kept buffer": lambda n: n.kept.data.mul_(2),
    "a passing buffer": lambda n: n.passing.data.mul_(2),
    "a tensor that is no buffer": lambda n: n.mean.add_(1),
    "eps": lambda n: setattr(n.norm, "eps", 1e-3),
    "momentum": lambda n: setattr(n.batch, "momentum", 0.5),
    "a number": lambda n: setattr(n, "scale", 3.0),
    "a text": lambda n: setattr(n, "mode", "mean"),
    "a list": lambda n: n.sizes.append(3),
    "an own object": lambda n: setattr(n.settings, "size", 4),
    "a function": lambda n: setattr(n, "function", torch.tanh),
    "an own function": lambda n: setattr(n, "function", lambda x: x),
    "a module of another class": lambda n: setattr(n, "norm", torch.nn.Identity()),
    "a module without weights": lambda n: n.add_module("more", torch.nn.ReLU()),
    "another forward": give_forward,
    "a hook": lambda n: n.norm.register_forward_hook(lambda m, i, o: o * 2),
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_of_a_network_is_seen(what):
    network = net()
    watch = WeightsWatch(network)
    before = watch.fingerprint()
    assert watch.fingerprint() == before
    CHANGES[what](network)
    after = watch.fingerprint()
    assert after != before
    assert after == watch.fingerprint() == WeightsWatch(network).fingerprint()


def test_a_submodule_swapped_for_one_of_equal_weights_but_another_class_is_seen():
    a = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    b = torch.nn.Sequential(a[0], torch.nn.GELU())
    assert state_fingerprint(a) == state_fingerprint(b)
    assert WeightsWatch(a).fingerprint() != WeightsWatch(b).fingerprint()


def test_what_changes_no_feature_changes_no_fingerprint():
    network = net()
    watch = WeightsWatch(network)
    before = watch.fingerprint()
    network.train()
    assert watch.fingerprint() == before  # encoders leave training mode before every pass
    network.eval()
    with torch.inference_mode():
        network(torch.ones(3, 4))
    network.requires_grad_(requires_grad=False)
    assert watch.fingerprint() == before
    assert WeightsWatch(net()).fingerprint() == before
    network.load_state_dict({k: v.clone() for k, v in network.state_dict().items()})
    assert watch.fingerprint() == before
    network.first.weight.data.add_(1)
    network.first.weight.data.sub_(0)
    assert watch.fingerprint() != before
    network.first.weight.data.copy_(net().first.weight)
    assert watch.fingerprint() == before


def test_the_users_own_code_in_a_network_counts():
    def made(factor):
        space = {"torch": torch, "__name__": "users_module"}
        source = "class Own(torch.nn.Module):\n  def forward(self, x):\n    return x * FACTOR"
        exec(source.replace("FACTOR", str(factor)), space)
        return space["Own"]()

    assert WeightsWatch(made(2)).fingerprint() == WeightsWatch(made(2)).fingerprint()
    assert WeightsWatch(made(2)).fingerprint() != WeightsWatch(made(3)).fingerprint()


def test_weights_are_hashed_again_only_after_a_change(monkeypatch):
    calls = []
    monkeypatch.setattr(_state, "state_fingerprint", lambda n: calls.append(n) or state_fingerprint(n))
    network = net()
    watch = WeightsWatch(network)
    for _ in range(3):
        watch.fingerprint()
    assert len(calls) == 1
    network.norm.eps = 1
    watch.fingerprint()
    assert len(calls) == 1
    network.first.weight.data[0, 0] = 4
    watch.fingerprint()
    watch.fingerprint()
    assert len(calls) == 2


def test_networks_without_values_or_of_unusual_kinds():
    with pytest.raises(InputError, match=r"weights 'weight' have no values.*meta"):
        WeightsWatch(torch.nn.Linear(2, 2, device="meta")).fingerprint()
    tied = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    before = WeightsWatch(tied).fingerprint()
    tied[1].weight = torch.nn.Parameter(tied[0].weight.detach() + 1)
    assert WeightsWatch(tied).fingerprint() != before
    with torch.inference_mode():
        inferred = torch.nn.Linear(2, 2)
    watch = WeightsWatch(inferred)
    before = watch.fingerprint()
    with torch.inference_mode():
        inferred.weight.add_(1)
    assert watch.fingerprint() != before
    traced = [torch.fx.symbolic_trace(from_source(f"def prep(x): return x + {i}")) for i in (1, 2)]
    assert len({WeightsWatch(t).fingerprint() for t in traced}) == 2
    empty = torch.nn.Embedding(0, 3)
    assert WeightsWatch(empty).fingerprint() == WeightsWatch(torch.nn.Embedding(0, 3)).fingerprint()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4096, 50_003])
def test_a_checksum_moves_with_values_and_with_their_order(dtype, size):
    values = torch.from_numpy(np.random.default_rng(size).integers(0, 200, size)).to(dtype)
    first = checksum(values)
    assert checksum(values.clone()) == first
    for place in {0, size // 2, size - 1} if size else set():
        other = values.clone()
        other[place] = ~other[place] if dtype == torch.bool else other[place] + 1
        assert checksum(other) != first
    if size > 1 and not torch.equal(values, values.flip(0)):
        assert checksum(values.flip(0)) != first
    shifted = torch.cat([values, values])[1 : size + 1]  # starts where no word starts
    assert checksum(shifted) == checksum(shifted.clone())


def test_a_checksum_sees_blocks_that_trade_places():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(4096, 64)))
    wide = torch.from_numpy(np.random.default_rng(0).integers(0, 9, (4096, 4096)).astype(np.int64))
    assert len({checksum(v) for v in (values, values.flip(0), values.flip(1), values.roll(1), wide, wide.T)}) == 6
    sums = [f(wide, wide[5]) for f in (_fingerprint._row_sums_cpu, _fingerprint._row_sums)]  # as on a GPU
    assert torch.equal(*sums)
    big = torch.zeros(4097, 4096, dtype=torch.int64)
    assert checksum(big) == 0
    big[4096, 5] = 1
    assert checksum(big) != 0

"""Every parameter of every verb, given what it cannot take: one of our errors in a line, soon, or an answer."""

import inspect
import signal

import numpy as np
import pytest

import isomorph as iso
from isomorph.maps import make_map

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4))
Y = X @ RNG.normal(size=(4, 4)) + 0.3 * RNG.normal(size=(30, 4))
OF_SUBJECTS = iso.RDMs.from_arrays([1 - np.corrcoef(X), 1 - np.corrcoef(Y)])
RDMS, OTHERS = (iso.RDMs.from_patterns(v[:12]) for v in (X, Y))
SEVEN = iso.RDMs.from_patterns(RNG.normal(size=(7, 3)))
BAD = {
    "None": None,
    "True": True,
    "text": "zz",
    "empty": "",
    "negative": -1,
    "share": 0.5,
    "nan": float("nan"),
    "infinite": float("inf"),
    "huge": 10**9,
    "no float": 10**400,
    "no text": 10**5000,
    "fraction": 1.5,
    "list": [1],
    "nothing": [],
    "nested": [[[]]],
    "dict": {"a": 1},
    "object": object(),
    "bytes": b"a",
    "array": np.ones(3),
    "type": int,
    "NUL": "a\0b",
    "half a pair": "\ud83d",
    "long": "a" * 5000,
    "set": {1},
    "complex": 1j,
}


@pytest.fixture(scope="module")
def verbs(tmp_path_factory):
    """Name -> (the verb with arguments that work, its signature)."""
    folder = tmp_path_factory.mktemp("doors")
    (folder / "t.csv").write_text("id,text\n" + "\n".join(f"i{k},w{k}" for k in range(30)))
    items = iso.load_dataset(f"table(path={str(folder / 't.csv')!r})")
    scan = iso.scan(X, Y, ["cka"], permutations=19)
    encoder = iso.load_encoder("statistics:text")
    ridge = make_map("ridge")
    given = {
        iso.scan: {"x": X, "y": Y, "metrics": ["cka"], "permutations": 19},
        iso.stitch: {"x": X, "y": Y, "maps": ["ridge"], "repeats": 2, "permutations": 2, "curves": False},
        iso.fuse: {
            "spaces": {"x": X, "y": Y},
            "target": list("ab" * 15),
            "heads": ["concat"],
            "repeats": 2,
            "draws": 100,
            "controls": False,
        },
        iso.diagnose: {"x": X, "y": Y},
        iso.fit_encoding: {"x": {"a": X, "b": Y}, "responses": Y, "permutations": 19, "alphas": 0.1},
        iso.odd_one_out: {"x": X, "triplets": [[0, 1, 2], [3, 4, 5]], "permutations": 19},
        iso.fit_map: {"old": X, "new": Y, "permutations": 19, "draws": 20},
        iso.explain_rdms: {"rdms": RDMS, "models": {"a": RDMS, "b": OTHERS}, "permutations": 19},
        iso.searchlight: {
            "responses": RNG.normal(size=(7, 30)),
            "positions": np.arange(30),
            "models": {"a": SEVEN},
            "radius": 5,
            "permutations": 19,
        },
        iso.RDMs.from_patterns: {"patterns": X},
        iso.RDMs.movie: {"responses": X[:, :, None] * np.ones(3)},
        iso.apply_map: {"fitted": iso.fit_map(X, Y, permutations=19, draws=20), "old": X},
        iso.compare_models: {"rdms": OF_SUBJECTS, "models": {"x": X}, "bootstraps": 20, "permutations": 19},
        iso.outputs: {
            "models": {"a": list("abc" * 10), "b": list("abb" * 10)},
            "labels": list("abc" * 10),
            "draws": 20,
            "permutations": 19,
        },
        iso.extract: {"encoder": encoder, "items": items},
        iso.report: {"results": [scan], "to": folder / "r.html", "figures": False},
        iso.power: {"metric": "cka", "n": 20, "d1": 8, "d2": 8, "trials": 5},
        iso.gallery_curve: {"metric": "cka", "x": X, "y": Y, "sizes": [20], "repeats": 2},
        iso.difference: {"metric": "cka", "first": (X, Y), "second": (X, Y)},
        iso.false_discovery: {"scans": [scan]},
        iso.load_dataset: {"spec": f"table(path={str(folder / 't.csv')!r})"},
        iso.load_result: {"path": scan.save(folder / "s.json")},
        iso.metric: {"spec": "cka"},
        iso.make_map: {"spec": "ridge"},
        iso.make_head: {"spec": "concat"},
        iso.Layers.from_arrays: {"arrays": {"a": X}},
        iso.Layers.load: {"path": iso.Layers.from_arrays({"a": X}).save(folder / "a.npz")},
        iso.Layers.from_arrays({"a": X}).save: {"path": folder / "b.npz"},
        iso.FeatureStore: {"root": folder / "store"},
        scan.save: {"path": folder / "t.json"},
        ridge.fit: {"x": X, "y": Y},
        iso.make_head("concat").fit: {"spaces": {"x": X, "y": Y}, "target": [k % 2 for k in range(len(X))]},
        iso.metric("cka").null: {"x": X, "y": Y},
    }
    return {f"{v.__qualname__}": (v, a) for v, a in given.items()}


NAMES = [
    "scan",
    "stitch",
    "fuse",
    "diagnose",
    "fit_encoding",
    "odd_one_out",
    "fit_map",
    "apply_map",
    "explain_rdms",
    "searchlight",
    "RDMs.from_patterns",
    "RDMs.movie",
    "compare_models",
    "outputs",
    "extract",
    "report",
    "power",
    "gallery_curve",
    "difference",
    "false_discovery",
    "load_dataset",
    "load_result",
    "metric",
    "make_map",
    "make_head",
    "Layers.from_arrays",
    "Layers.load",
    "Layers.save",
    "FeatureStore",
    "Result.save",
    "Map.fit",
    "Head.fit",
    "Metric.null",
]


@pytest.fixture
def soon():
    """Whatever takes longer than 20 s is a hang."""

    def stop(*_):
        raise TimeoutError("over 20 s")

    before = signal.signal(signal.SIGALRM, stop)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 20)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_the_list_is_whole(verbs):
    assert sorted(verbs) == sorted(NAMES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_what_a_parameter_cannot_take_is_answered_in_words(verbs, name, soon, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # "zz" is a fine name of a file
    verb, arguments = verbs[name]
    verb(**arguments)
    refused = 0
    for parameter in inspect.signature(verb).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD or parameter.name == "self":
            continue
        for what, value in BAD.items():
            soon()
            try:
                verb(**arguments | {parameter.name: value})
            except iso.IsomorphError as error:
                refused += 1
                assert len(str(error)) < 1700, (parameter.name, what)  # noqa: PT017  # many cases, each of which may pass
            except BaseException as error:
                raise AssertionError(f"{name}({parameter.name}={what}): {type(error).__name__}: {error}") from error
    assert refused > 10

"""RDMs in place of features: read from files, joined by name, compared with exact p, and refused by all else."""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.io import savemat
from scipy.spatial.distance import pdist, squareform

import isomorph as iso
from isomorph import InputError, UnknownNameError
from isomorph.metrics import rdm as r

N = 24
IDS = [f"item {k}" for k in range(N)]
COMPARISONS = ["pearson", "spearman", "kendall", "rho_a", "cosine", "whitened_cosine", "whitened_pearson"]


def truth() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, 5))


def measured(subjects: int = 3, noise: float = 0.7, seed: int = 1) -> np.ndarray:
    """Square RDMs of noisy copies of one space."""
    rng = np.random.default_rng(seed)
    return np.stack([squareform(pdist(truth() + noise * rng.normal(size=(N, 5)))) for _ in range(subjects)])


def brain(**more: object) -> iso.RDMs:
    return iso.RDMs.from_arrays(measured(), ids=IDS, subjects=["s1", "s2", "s3"], **more)  # type: ignore[arg-type]


# ---- comparisons -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_an_rdm_scores_as_the_features_do_that_it_was_made_of(comparison: str) -> None:
    x, y = truth(), np.random.default_rng(3).normal(size=(N, 4))
    metric = iso.metric(f"rsa(dissimilarity='euclidean', comparison='{comparison}')")
    given = iso.RDMs.from_arrays(r.compute_rdm(x, "euclidean"))
    assert metric(given, y) == pytest.approx(metric(x, y), abs=1e-10)
    assert metric(y, given) == pytest.approx(metric(y, x), abs=1e-10)
    ours, theirs = metric.null(given, y, permutations=50), metric.null(x, y, permutations=50)
    assert ours.mean == pytest.approx(theirs.mean, abs=1e-10)
    assert ours.std == pytest.approx(theirs.std, abs=1e-10)


def test_permuting_the_state_is_preparing_the_permuted_rdm() -> None:
    order = np.random.default_rng(4).permutation(N)
    holed = measured(1)[0]
    holed[2, 5] = holed[5, 2] = np.nan
    for square in (measured(1)[0], holed):
        rdm = iso.RDMs.from_arrays(square, ids=IDS)["rdm_00"]
        metric = iso.metric("rsa")
        one, other = metric.permute(metric.prepare(rdm), order), metric.prepare(rdm[order])
        np.testing.assert_allclose(one.vector, other.vector, atol=1e-12)
        assert rdm[order].ids == tuple(IDS[i] for i in order)


@pytest.mark.parametrize(
    ("comparison", "oracle"),
    [
        ("pearson", lambda a, b: stats.pearsonr(a, b)[0]),
        ("spearman", lambda a, b: stats.spearmanr(a, b)[0]),
        ("cosine", lambda a, b: a @ b / np.sqrt((a @ a) * (b @ b))),
        (
            "kendall",
            lambda a, b: np.sign(np.subtract.outer(a, a) * np.subtract.outer(b, b)).sum() / len(a) / (len(a) - 1),
        ),
    ],
)
def test_missing_entries_are_left_out_pair_by_pair(comparison, oracle) -> None:
    rng = np.random.default_rng(5)
    a, b = (squareform(m) for m in measured(2))
    x = np.random.default_rng(6).normal(size=(N, 6))
    a[rng.choice(len(a), 30, replace=False)] = np.nan
    b[rng.choice(len(b), 20, replace=False)] = np.nan
    both, known = ~(np.isnan(a) | np.isnan(b)), ~np.isnan(a)
    assert r.compare_rdms(a, b, comparison)[0, 0] == pytest.approx(oracle(a[both], b[both]), abs=1e-10)
    metric = iso.metric(f"rsa(dissimilarity='euclidean', comparison='{comparison}')")
    score = metric(iso.RDMs.from_arrays(a), x)
    assert score == pytest.approx(oracle(a[known], pdist(x)[known]), abs=1e-10)
    if comparison != "kendall":
        terms = metric.per_item(iso.RDMs.from_arrays(a), x)
        assert terms.mean() == pytest.approx(score, abs=1e-10)
    # and under a permutation the entries move with the items
    order = rng.permutation(N)
    sampled = next(
        iter(metric.compare_permuted(*([metric.prepare(v)] for v in (x, iso.RDMs.from_arrays(a)["rdm_00"])), [order]))
    )
    moved = squareform(squareform(np.nan_to_num(a, nan=-1))[np.ix_(order, order)])
    kept = moved >= 0
    assert sampled[0, 0] == pytest.approx(oracle(pdist(x)[kept], moved[kept]), abs=1e-10)


def test_missing_entries_are_counted_and_cost_the_exact_null(capsys) -> None:
    square = measured()
    square[1][4, 7] = square[1][7, 4] = np.nan
    rdms = iso.RDMs.from_arrays(square, ids=IDS)
    scan = iso.scan(rdms, iso.Layers.from_arrays({"a": truth()}, ids=IDS), "rsa", permutations=49)
    (told,) = [v for v in scan.notes if "lacks" in v]
    assert "1 of its 3 RDMs, most in 'rdm_01' (1 of 276)" in told
    assert scan["rsa"].interval is None
    assert scan["rsa"].null == "49 sampled permutations"
    r.compare_rdms(square, square[0])
    assert "a lacks 1 of 828 dissimilarities and b 0 of 276" in capsys.readouterr().err
    assert "1 dissimilarities missing" in repr(rdms)
    with pytest.raises(InputError, match=r"decorrelates all entries.*1 of 276 are missing"):
        iso.scan(rdms, truth(), "rsa(comparison='whitened_pearson')", permutations=19)


# ---- scan and atlas ----------------------------------------------------------------------------------------


def test_a_scan_joins_rdms_by_name_and_gives_all_that_it_gives_of_features() -> None:
    order = np.random.default_rng(2).permutation(N)[: N - 4]
    layers = {"noise": np.random.default_rng(7).normal(size=(N, 5)), "truth": truth()}
    model = iso.Layers.from_arrays({k: v[order] for k, v in layers.items()}, ids=[IDS[i] for i in order])
    other = iso.RDMs.from_arrays(measured(1, noise=3.0, seed=8), ids=IDS)
    metric = "rsa(dissimilarity='euclidean')"
    scan = iso.scan(
        brain(), model, metric, permutations=99, x_baselines={"far": other}, gallery=[12, 20], selection="split"
    )
    found = next(iter(scan.values()))
    kept = np.sort(order)
    wanted = [
        [stats.spearmanr(squareform(m[np.ix_(kept, kept)]), pdist(v[kept]))[0] for v in layers.values()]
        for m in measured()
    ]
    np.testing.assert_allclose(found.values, wanted, atol=1e-10)
    assert (found.x_layers, found.n) == (("s1", "s2", "s3"), N - 4)
    assert found.null.startswith("exact moments over all n! re-pairings of the two RDMs (Mantel)")
    assert found.interval is not None
    assert found.best().y_layer == "truth"
    assert found.best().p_maximum == pytest.approx(0.01)
    assert found.against["far x"]["difference"] > 0
    assert found.gallery is not None
    assert found.held_out is not None
    assert any("RDMs (3, measure not given)" in v for v in scan.notes)
    with pytest.raises(InputError, match=r"x, layer 's1'.*an RDM.*features are read here.*by the metric 'rsa'"):
        iso.scan(brain(), model, "cka")
    both = iso.scan(brain(), model, [metric, "cka", "mutual_knn(k=5)"], permutations=19)
    assert len(both.undefined) == 2
    assert list(both) == [found.metric]


def test_the_exact_p_of_rdms_is_that_of_sampled_permutations() -> None:
    a, b = measured(2, noise=2.5, seed=9)
    exact = iso.metric("rsa").null(iso.RDMs.from_arrays(a), iso.RDMs.from_arrays(b))
    score = iso.metric("rsa")(iso.RDMs.from_arrays(a), iso.RDMs.from_arrays(b))
    rng, sampled = np.random.default_rng(0), []
    for _ in range(2000):
        order = rng.permutation(N)
        sampled.append(stats.spearmanr(squareform(a), squareform(b[np.ix_(order, order)]))[0])
    assert exact.std == pytest.approx(np.std(sampled), rel=0.08)  # five standard errors of a spread of 2,000
    share = np.mean(np.array(sampled) >= score)
    assert exact.p_value(score) == pytest.approx(share, abs=5 * np.sqrt(0.25 / 2000))


def test_an_atlas_takes_rdms_beside_features() -> None:
    models = {"brain": brain(), "truth": truth(), "noise": np.random.default_rng(7).normal(size=(N, 5))}
    models = {k: v if k == "brain" else iso.Layers.from_arrays({"last": v}, ids=IDS) for k, v in models.items()}
    atlas = iso.atlas(models, ["rsa"], permutations=49, seed=0)
    found = next(iter(atlas.alignments.values()))
    assert {atlas.models[i] for i in found.pairs[int(np.argmax(found.values))]} == {"brain", "truth"}
    with pytest.raises(InputError, match="RDM"):
        iso.atlas(models, ["cka"], permutations=19)


@pytest.mark.parametrize(
    "verb",
    [
        lambda x, y: iso.stitch(x, y, ["ridge"], repeats=2),
        iso.diagnose,
        iso.concepts,
        lambda x, y: iso.metric("cka")(x["s1"], y),
        lambda x, y: iso.blind_match(x["s1"], y),
        lambda x, y: np.asarray(x),
        lambda x, y: np.asarray(x["s1"]),
    ],
)
def test_what_reads_features_refuses_rdms_in_words(verb) -> None:
    with pytest.raises(InputError, match=r"RDM.*RDMs are compared by the metric 'rsa'"):
        verb(brain(), truth())


def test_a_metric_asks_for_one_rdm_and_joins_it_by_name() -> None:
    order = np.random.default_rng(2).permutation(N)
    first = brain()["s1"]
    assert iso.metric("rsa")(first, first[order]) == pytest.approx(1)
    with pytest.raises(InputError, match=r"x holds 3 RDMs and one is needed, such as x\['s1'\]"):
        iso.metric("rsa")(brain(), truth())
    with pytest.raises(InputError, match="no item in common"):
        iso.scan(brain(), iso.RDMs.from_arrays(measured(), ids=[f"other {k}" for k in range(N)]), "rsa")
    with pytest.raises(UnknownNameError, match="s4"):
        brain()["s4"]


# ---- what is no RDM ----------------------------------------------------------------------------------------


def broken(change) -> np.ndarray:
    square = measured(1)[0]
    change(square)
    return square


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (broken(lambda m: m.__setitem__((0, 1), 9.0)), "is not symmetric"),
        (np.triu(measured(1)[0]), r"only one triangle is filled, pass values \+ values.T"),
        (np.ones((4, 5)), r"of shape \(4, 5\), is not square"),
        (np.ones((2, 4, 5)), r"shape \(2, 4, 5\), which is not square"),
        (broken(lambda m: np.fill_diagonal(m, np.nan)), r"NaN on its diagonal.*np.fill_diagonal"),
        (1 - broken(lambda m: m.__imul__(0.01)), "Its diagonal is 1.*pass 1 - s"),
        (broken(lambda m: m.__isub__(1.0 - np.eye(N))), "negative entries.*negative=True"),
        (broken(lambda m: m.__setitem__(([0, 1], [1, 0]), np.inf)), "infinite"),
        (["a", "b"], "holds no numbers"),
        (np.ones((2, 2)) - np.eye(2), "fewer than 3 items"),
    ],
)
def test_what_is_no_rdm_is_refused_in_words(values, words) -> None:
    with pytest.raises(InputError, match=words):
        iso.RDMs.from_arrays(values)


def test_cross_validated_distances_may_be_negative_if_that_is_said() -> None:
    square = broken(lambda m: m.__isub__(1.0 - np.eye(N)))
    for rdms in (iso.RDMs.from_arrays(square, negative=True), iso.RDMs.from_arrays(square, measure="crossnobis")):
        assert rdms.dissimilarities.min() < 0
    with pytest.raises(InputError, match="23 values; 24 are needed"):
        iso.RDMs.from_arrays(square, ids=IDS[:-1], negative=True)


# ---- names -------------------------------------------------------------------------------------------------


def test_rdms_are_named_by_what_they_differ_in() -> None:
    two = iso.RDMs.from_arrays(measured(4), subjects=[1, 1, 2, 2], sessions=["am", "pm", "am", "pm"])
    assert two.names == ("subject 1, am", "subject 1, pm", "subject 2, am", "subject 2, pm")
    assert iso.RDMs.from_arrays(measured(2), subjects=["a", "a"]).names == ("a #0", "a #1")
    assert tuple(iso.RDMs.from_arrays(measured(2))) == ("rdm_00", "rdm_01")


def test_a_subset_is_the_rdm_of_these_items_in_their_order() -> None:
    some = [IDS[i] for i in (7, 2, 11, 0)]
    taken = brain().subset(some)
    np.testing.assert_array_equal(taken["s2"].square, measured()[1][np.ix_([7, 2, 11, 0], [7, 2, 11, 0])])
    assert taken.ids == tuple(some)
    with pytest.raises(UnknownNameError, match="item 99"):
        brain().subset(["item 99", "item 1"])
    with pytest.raises(InputError, match="no names"):
        iso.RDMs.from_arrays(measured()).subset(["a", "b"])


def test_several_descriptors_that_could_name_the_items_are_asked_about() -> None:
    rdms = dataclasses.replace(brain(), items={"word": IDS, "picture": IDS[::-1], "index": list(range(N))})
    with pytest.raises(InputError, match=r"'word', 'picture'.*ids='word'"):
        iso.scan(rdms, truth(), "rsa")
    assert dataclasses.replace(brain(), items={"word": IDS, "class": ["a"] * N}).ids == tuple(IDS)


# ---- files -------------------------------------------------------------------------------------------------


def test_npy_files_are_read_square_stacked_and_condensed(tmp_path: Path) -> None:
    wanted = np.stack([squareform(m) for m in measured()])
    for k, array in enumerate((measured(), wanted, measured()[0], wanted[0])):
        np.save(tmp_path / f"{k}.npy", array)
        found = iso.RDMs.load(tmp_path / f"{k}.npy", ids=IDS)
        np.testing.assert_array_equal(found.dissimilarities, wanted[: len(found)])
        assert (len(found), found.ids) == (1 if k > 1 else 3, tuple(IDS))


@pytest.mark.parametrize("names", ["both", "rows", "columns", "R", "none"])
@pytest.mark.parametrize("parted", [",", ";", "\t"])
def test_csv_files_are_read_with_names_or_without(tmp_path: Path, names: str, parted: str) -> None:
    square = measured(1)[0][:4, :4]
    head, body = list("abcd"), [[repr(float(v)) for v in row] for row in square]
    body[0][1] = body[1][0] = "NA"
    if names in ("both", "rows", "R"):
        body = [[name, *row] for name, row in zip(head, body, strict=True)]
    lines = {"both": [["", *head]], "columns": [head], "R": [head]}.get(names, []) + body
    (tmp_path / "x.csv").write_text("\n".join(parted.join(row) for row in lines))
    found = iso.RDMs.load(tmp_path / "x.csv")
    assert found.ids == (None if names == "none" else tuple("abcd"))
    np.testing.assert_array_equal(found.dissimilarities[0, 1:], squareform(square)[1:])
    assert np.isnan(found.dissimilarities[0, 0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (",a,b,c\na,0,1,2\nx,1,0,3\nc,2,3,0\n", "different names, such as 'x' and 'b'"),
        ("a,b,c\na,0,1,2\nx,1,0,3\nc,2,3,0\n", "different names, such as 'x' and 'b'"),
        ("0,1,2\n1,0,3\n", "is not square: 2 rows of 3 values"),
        (",a,b,c\na,0,1,2\nb,1,0,?\nc,2,3,0\n", r"row 2, column 3 holds '\?'"),
        ("", "is empty"),
        ("0,1,2\n5,0,3\n2,3,0\n", "not symmetric"),
    ],
)
def test_csv_files_that_hold_no_rdm_are_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        iso.RDMs.load(tmp_path / "x.csv")


def struct_array(fields: dict[str, list[object]]) -> np.ndarray:
    out = np.empty((1, len(next(iter(fields.values())))), dtype=[(k, object) for k in fields])
    for name, values in fields.items():
        for k, v in enumerate(values):
            out[name][0, k] = v
    return out


def test_matlab_5_files_are_read_as_stacks_structs_and_condensed(tmp_path: Path) -> None:
    square, rows = measured(), np.stack([squareform(m) for m in measured()])
    cells = np.array(IDS, dtype=object)[:, None]
    nili = struct_array({"RDM": list(square), "name": ["s1", "s2", "s3"], "color": [[0, 0, 0]] * 3})
    forms = {
        "stack": {"d": np.moveaxis(square, 0, 2), "labels": cells, "k": 3.0},
        "structs": {"RDMs": nili, "labels": cells},
        "rows": {"d": rows},
        "toolbox": {"d": rows.T[None]},
    }
    for name, held in forms.items():
        savemat(tmp_path / f"{name}.mat", held)
        found = iso.RDMs.load(tmp_path / f"{name}.mat")
        np.testing.assert_array_equal(found.dissimilarities, rows)
        assert found.ids == (tuple(IDS) if "labels" in held else None)
        assert found.names == (("s1", "s2", "s3") if name == "structs" else ("rdm_00", "rdm_01", "rdm_02"))
    savemat(tmp_path / "two.mat", {"a": square[0], "b": square[1]})
    with pytest.raises(InputError, match=r"several variables that may be RDMs: 'a' \(24 × 24\), 'b'.*variable="):
        iso.RDMs.load(tmp_path / "two.mat")
    np.testing.assert_array_equal(iso.RDMs.load(tmp_path / "two.mat", variable="b").dissimilarities[0], rows[1])
    with pytest.raises(InputError, match="no variable 'c'; it has 'a', 'b'"):
        iso.RDMs.load(tmp_path / "two.mat", variable="c")
    savemat(tmp_path / "none.mat", {"x": np.ones((3, 4))})
    with pytest.raises(InputError, match=r"holds no RDMs: 'x' \(3 × 4\)"):
        iso.RDMs.load(tmp_path / "none.mat")


def test_matlab_73_files_are_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    square = measured()
    with h5py.File(tmp_path / "x.mat", "w", userblock_size=512) as file:

        def put(name: str, array: np.ndarray, kind: str):
            file[name] = array
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)
            return file[name].ref

        def text(name: str, value: str):
            return put(name, np.array([[ord(c)] for c in value], dtype=np.uint16), "char")

        # a struct array: one dataset of references a field; axes are in reverse order
        group = file.create_group("RDMs")
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        fields = {
            "RDM": [put(f"#refs#/r{k}", m.T, "double") for k, m in enumerate(square)],
            "name": [text(f"#refs#/n{k}", f"subject {k}") for k in range(3)],
        }
        for name, refs in fields.items():
            group.create_dataset(name, data=np.array(refs, dtype=h5py.ref_dtype)[:, None], dtype=h5py.ref_dtype)
        cells = [text(f"#refs#/c{k}", name) for k, name in enumerate(IDS)]
        file.create_dataset("labels", data=np.array(cells, dtype=h5py.ref_dtype)[None], dtype=h5py.ref_dtype)
        file["labels"].attrs["MATLAB_class"] = np.bytes_("cell")
    with open(tmp_path / "x.mat", "r+b") as raw:  # the head by which MATLAB and SciPy know the version
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    found = iso.RDMs.load(tmp_path / "x.mat")
    np.testing.assert_array_equal(found.dissimilarities, np.stack([squareform(m) for m in square]))
    assert found.names == ("subject 0", "subject 1", "subject 2")
    assert found.ids == tuple(IDS)


def test_rsatoolbox_files_are_read_with_names_subjects_and_sessions(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    theirs = pytest.importorskip("rsatoolbox.rdm").RDMs
    rows = np.stack([squareform(m) for m in measured(4)])
    told = {"subject": ["a", "a", "b", "b"], "session": [1, 2, 1, 2]}
    theirs(rows, "crossnobis", {}, told, {"conds": IDS, "animate": [k % 2 for k in range(N)]}).save(
        str(tmp_path / "x.hdf5")
    )
    found = iso.RDMs.load(tmp_path / "x.hdf5")
    assert found.names == ("a, session 1", "a, session 2", "b, session 1", "b, session 2")
    assert (found.ids, found.measure) == (tuple(IDS), "crossnobis")
    again = iso.RDMs.load(found.save(tmp_path / "y.h5"))
    np.testing.assert_array_equal(again.dissimilarities, rows)
    assert again.names == found.names
    by_file = iso.scan(f"rdms:{tmp_path / 'x.hdf5'}", truth(), "rsa", permutations=19)
    assert by_file["rsa"].x_layers == found.names
    with pytest.raises(UnknownNameError, match="cond"):
        iso.RDMs.load(tmp_path / "x.hdf5", ids="cond")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.npy", None, "absent.npy"),
        ("x.txt", b"1", "read from .npy, .csv, .mat"),
        ("x.npy", b"no", "cannot be read as an array"),
        ("x.mat", b"no", "cannot be read as a MATLAB file"),
        ("x.pkl", b"no", "pickle"),
    ],
)
def test_files_that_are_none_are_refused_in_words(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        iso.RDMs.load(tmp_path / name)
    with pytest.raises(InputError, match="folder"):
        iso.RDMs.load(tmp_path)
    if name == "x.npy":
        with pytest.raises(InputError, match=r"variable of a .mat file"):
            iso.RDMs.load(tmp_path / name, variable="d")


@pytest.mark.parametrize("ending", ["npy", "csv", "mat", "h5"])
def test_damaged_files_are_read_or_refused_in_words(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("h5py")
    path, rng, refused = tmp_path / f"x.{ending}", np.random.default_rng(0), 0
    write = {
        "npy": lambda: np.save(path, measured(2)),
        "csv": lambda: path.write_text("\n".join(",".join(map(repr, row)) for row in measured(1)[0].tolist())),
        "mat": lambda: savemat(path, {"d": measured(1)[0], "names": np.array(IDS, dtype=object)}),
        "h5": lambda: brain().save(path),
    }
    write[ending]()
    whole = path.read_bytes()
    for trial in range(60):
        damaged = bytearray(whole)
        if trial % 2:
            damaged = damaged[: rng.integers(len(damaged))]
        else:  # the head, by which the rest is read
            for place in rng.integers(min(len(damaged), 1024), size=3):
                damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):  # anything else fails the test
            iso.RDMs.load(path)
            continue
        refused += 1
    assert refused > 20


def test_the_command_reads_rdms_by_a_word_before_the_file(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from isomorph.cli import app

    brain_file, model, to = tmp_path / "it.npy", tmp_path / "model.npz", tmp_path / "scan.json"
    np.save(brain_file, measured())
    iso.Layers.from_arrays({"last": truth()}).save(model)
    given = [f"rdms:{brain_file}", str(model), "-m", "rsa", "--permutations", "19", "--to", str(to)]
    ceiling = ["--x-ceiling", f"again=rdms:{brain_file}"]
    answer = CliRunner(env={"ISOMORPH_PROGRESS": "0"}).invoke(app, ["scan", *given, *ceiling])
    assert answer.exit_code == 0, answer.output
    scan = iso.load_result(to)
    assert (scan.x_name, scan["rsa"].x_layers) == ("it", ("rdm_00", "rdm_01", "rdm_02"))
    np.testing.assert_allclose(scan["rsa"].values[0, 0], iso.metric("rsa")(brain()["s1"], truth()), atol=1e-10)
    assert scan["rsa"].ceilings["again x"]["value"] == pytest.approx(1)
    as_features = CliRunner(env={"ISOMORPH_PROGRESS": "0"}).invoke(app, ["scan", *given[:1], *given[:1], "-m", "cka"])
    assert as_features.exit_code != 0


def test_names_of_the_rsa_toolbox_are_region_subject_and_session(tmp_path: Path) -> None:
    names = [f"hIT | {subject} | {run}" for run in ("am", "pm") for subject in ("BE", "KO")]
    savemat(tmp_path / "x.mat", {"RDMs": struct_array({"RDM": list(measured(4)), "name": names})})
    found = iso.RDMs.load(tmp_path / "x.mat")
    assert found.rdms == {"region": ["hIT"] * 4, "subject": ["BE", "KO"] * 2, "session": ["am", "am", "pm", "pm"]}
    assert found.names == ("BE, am", "KO, am", "BE, pm", "KO, pm")
    assert iso.noise_ceiling(found).subjects == ("BE", "KO")  # the repeats of one are left out together

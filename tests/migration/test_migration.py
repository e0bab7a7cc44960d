"""Migration of embeddings: scores against plain NumPy, rows of files against the plain product, and every warning."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from typer.testing import CliRunner

import isomorph as iso
from isomorph import InputError
from isomorph.cli import app
from isomorph.maps import restored_map
from isomorph.migration import _apply

RNG = np.random.default_rng(0)
N, D_OLD, D_NEW = 400, 12, 9
OLD = RNG.normal(size=(N, D_OLD)) + 2
NEW = OLD @ RNG.normal(size=(D_OLD, D_NEW)) + 1.5 * RNG.normal(size=(N, D_NEW))
UNIT = NEW / np.linalg.norm(NEW, axis=1, keepdims=True)
TEST = list(range(0, N, 5))
TRAIN = [i for i in range(N) if i % 5]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def fitted():
    return iso.fit_map(OLD, UNIT, "ridge(penalties=0.01)", test=TEST, permutations=99, draws=50)


def plain_ridge(x, y, share=0.01):
    """Ridge by the normal equations, the penalty a share of the variance of x."""
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    coef = np.linalg.solve(a.T @ a + share * np.sum(a**2) * np.eye(a.shape[1]), a.T @ b)
    return lambda rows: (rows - x.mean(axis=0)) @ coef + y.mean(axis=0)


# ---- scores ----------------------------------------------------------------------------------------------------


def test_held_out_scores_are_those_of_plain_numpy(fitted):
    mapped = unit(plain_ridge(OLD[TRAIN], UNIT[TRAIN])(OLD[TEST]))
    new, m = UNIT[TEST], len(TEST)
    own = np.arange(m)

    def hits(queries, index, k):
        order = np.argsort(-(queries @ index.T), axis=1)[:, :k]
        return np.mean((order == own[:, None]).any(axis=1))

    for k in (1, 10):
        assert fitted[f"index.R@{k}"].value == pytest.approx(hits(new, mapped, k), abs=1e-12)
        assert fitted[f"query.R@{k}"].value == pytest.approx(hits(mapped, new, k), abs=1e-12)
        assert fitted[f"own.R@{k}"].value == 1.0
        assert fitted[f"index.R@{k}"].chance == pytest.approx(k / m)
    assert 0.05 < fitted["index.R@1"].value < 0.95, "neither perfect nor chance, so that the comparison says something"
    assert fitted["cosine"].value == pytest.approx(np.mean(np.sum(mapped * new, axis=1)), abs=1e-9)

    def lists(index):
        s = new @ index.T
        np.fill_diagonal(s, -np.inf)
        return np.argsort(-s, axis=1)[:, :10]

    kept = [len(set(a) & set(b)) / 10 for a, b in zip(lists(new), lists(mapped), strict=True)]
    assert fitted["neighbors"].value == pytest.approx(np.mean(kept), abs=1e-12)
    assert fitted["neighbors"].chance == pytest.approx(10 / (m - 1))
    worse = min(fitted["index.R@10"].value, fitted["query.R@10"].value)
    assert fitted.retained == pytest.approx((worse - 10 / m) / (1 - 10 / m))


def test_the_kept_map_is_the_plain_fit_on_all_pairs(fitted):
    assert fitted.n == N
    assert fitted.n_train == len(TRAIN)
    done = iso.apply_map(fitted, OLD)
    assert np.allclose(done.rows, unit(plain_ridge(OLD, UNIT)(OLD)), atol=1e-9)


def test_with_groups_the_new_models_own_retrieval_is_that_of_other_members():
    groups = np.repeat(np.arange(N // 4), 4)
    centers = RNG.normal(size=(N // 4, D_OLD))[groups]
    old = centers + 1.5 * RNG.normal(size=centers.shape)
    new = centers[:, ::-1] + 1.0 * RNG.normal(size=centers.shape)
    test = np.flatnonzero(groups % 5 == 0)
    found = iso.fit_map(old, new, groups=groups.tolist(), test=test.tolist(), permutations=19, draws=20, norms="free")
    asks, index = test[::4], np.setdiff1d(test, test[::4])
    s = unit(new[asks]) @ unit(new[index]).T
    right = groups[asks][:, None] == groups[index][np.argsort(-s, axis=1)]
    assert found["own.R@1"].value == pytest.approx(right[:, 0].mean(), abs=1e-12)
    assert 0.3 < found["own.R@1"].value < 1
    with pytest.raises(InputError, match="leaks"):
        iso.fit_map(old, new, groups=groups.tolist(), test=[0, 5])


def test_an_old_space_that_says_nothing_scores_chance_and_the_mean_control_is_there():
    found = iso.fit_map(RNG.normal(size=(N, 4)), UNIT, permutations=99)
    assert found["index.R@10"].value < 4 * found["index.R@10"].chance
    assert found.controls["mean"]["index.R@10"].value == pytest.approx(found["index.R@10"].chance)
    assert found.controls["mean"]["cosine"].value == pytest.approx(found["cosine"].value, abs=0.1)
    assert "identity" not in found.controls


# ---- what speaks against it ------------------------------------------------------------------------------------


def test_a_clean_change_of_basis_is_warned_of_in_nothing():
    found = iso.fit_map(OLD, OLD @ np.linalg.qr(RNG.normal(size=(D_OLD, D_OLD)))[0])
    assert found.usable
    assert found.warnings == {}
    assert found["neighbors"].value > 0.95


def test_rows_in_another_order_are_told():
    found = iso.fit_map(OLD, RNG.permutation(UNIT))
    assert set(found.warnings) == {"pairing", "retrieval", "neighbors"}
    assert found.p_value > 0.01
    assert not found.usable
    assert "pairing" not in iso.fit_map(OLD, UNIT).warnings


def test_few_pairs_against_features_are_told_and_enough_are_not():
    basis = np.linalg.qr(RNG.normal(size=(D_OLD, D_OLD)))[0]
    assert set(iso.fit_map(OLD[:14], OLD[:14] @ basis).warnings) >= {"few_pairs"}
    assert "few_pairs" not in iso.fit_map(OLD[:40], OLD[:40] @ basis).warnings


def test_items_of_one_side_alone_are_told_and_none_in_common_is_refused():
    ids = [f"i{k}" for k in range(N)]
    old = iso.Layers.from_arrays({"last": OLD}, ids=ids)
    few = iso.Layers.from_arrays({"last": OLD[99::-1] @ np.eye(D_OLD)[::-1]}, ids=ids[99::-1])
    found = iso.fit_map(old, few)
    assert found.n == 100
    assert list(found.warnings) == ["few_in_common"]
    assert "300 of the 400 items of old" in found.notes[0]
    none = iso.Layers.from_arrays({"last": OLD}, ids=[f"j{k}" for k in range(N)])
    with pytest.raises(InputError, match="same items"):
        iso.fit_map(old, none)
    with pytest.raises(InputError, match=r"same items.*400.*399"):
        iso.fit_map(OLD, UNIT[:-1])


@pytest.mark.parametrize("change", [lambda x: x + 3, lambda x: 5 * x, lambda x: 0.2 * (x - 2) + 2, lambda x: -x])
def test_rows_unlike_those_that_were_fitted_on_are_told(fitted, change):
    rows = np.random.default_rng(5).normal(size=(300, D_OLD)) + 2
    assert "shift" not in iso.apply_map(fitted, rows).warnings
    done = iso.apply_map(fitted, change(rows))
    assert "shift" in done.warnings
    assert done.outside > 0.3


@pytest.mark.thorough
def test_rows_like_those_fall_outside_as_often_as_is_said():
    """Over fits and new rows, heavy tails included: the expected share is exact for exchangeable rows."""
    rng, shares, small = np.random.default_rng(1), [], 0
    for _ in range(200):
        x = rng.standard_t(3, size=(160, 5))
        found = iso.fit_map(x[:100], x[:100], "mean", permutations=19, draws=20)
        done = iso.apply_map(found, x[100:])
        shares.append(done.outside)
        small += done.p_value <= 0.05
    assert done.expected == pytest.approx(2 / 21)
    error = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - done.expected) < 4 * error
    assert small <= 10 + 4 * np.sqrt(10)  # valid: at most 5 % of 200, and four deviations


# ---- files -----------------------------------------------------------------------------------------------------


def test_a_saved_map_is_the_same_map(fitted, tmp_path):
    path = fitted.save(tmp_path / "map.json")
    again = iso.load_result(path)
    assert isinstance(again, iso.Migration)
    assert again.to_json() == fitted.to_json()
    assert np.array_equal(iso.apply_map(path, OLD).rows, iso.apply_map(fitted, OLD).rows)
    for name, value in fitted.learned.items():
        assert np.array_equal(again.learned[name], value), name


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("learned", "coef_", "base64"), "AAAA", "damaged"),
        (("learned", "coef_", "base64"), "é!", "base64"),
        (("learned", "coef_", "dtype"), "|O", "not numbers"),
        (("learned", "coef_", "shape"), [3, 3], "does not hold"),
        (("shift", "mean"), 3, "shift has no mean"),
        (("scores",), {}, "has no score"),
    ],
)
def test_a_map_that_was_edited_is_refused_in_words(fitted, tmp_path, place, value, words):
    data = json.loads(fitted.to_json())
    part = data
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=words):
        iso.apply_map(tmp_path / "m.json", OLD)


def test_a_map_without_what_it_learned_is_refused(fitted, tmp_path):
    data = json.loads(fitted.to_json())
    del data["learned"]["coef_"]
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="Fit and save it again"):
        iso.apply_map(tmp_path / "m.json", OLD)


def saved_as(kind, rows, path):
    if kind == "npz":
        np.savez(path / "old.npz", last=rows)
    elif kind == "safetensors":
        iso.Layers.from_arrays({"last": rows}).save(path / "old.safetensors")
    else:
        np.save(path / "old.npy", np.asfortranarray(rows) if kind == "fortran" else rows)
        return path / "old.npy"
    return path / f"old.{kind}"


@pytest.mark.parametrize("kind", ["npy", "fortran", "npz", "safetensors"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 997])
def test_a_file_of_any_kind_is_mapped_block_by_block_as_the_map_predicts(
    fitted, kind, dtype, size, tmp_path, monkeypatch
):
    monkeypatch.setattr(_apply, "BLOCK_BYTES", 20_000)
    rows = (np.random.default_rng(2).normal(size=(size, D_OLD)) + 2).astype(dtype)
    done = iso.apply_map(fitted, saved_as(kind, rows, tmp_path), to=tmp_path / "new.npy")
    wanted = unit(restored_map(fitted.variant, fitted.learned, "").predict(rows.astype(np.float64)))
    written = np.load(tmp_path / "new.npy")
    assert written.dtype == (np.float64 if dtype == np.float64 else np.float32)
    # coefficients of order 1, sums of 12 products: a few units of the last place of the precision
    assert np.allclose(written, wanted, rtol=0, atol=1e-12 if dtype == np.float64 else 2e-5)
    assert np.allclose(np.linalg.norm(written, axis=1), 1, atol=1e-6)
    assert np.array_equal(done.rows, written)
    assert not done.rows.flags.writeable
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_maps_that_are_not_affine_are_applied_too(tmp_path):
    for spec in ("orthogonal", "low_rank(rank=3)", "least_squares"):
        found = iso.fit_map(OLD, NEW, spec, permutations=19, draws=20, norms="free")
        assert not found.unit
        wanted = iso.make_map(spec).fit(OLD, NEW).predict(OLD)
        assert np.allclose(iso.apply_map(found, OLD).rows, wanted, atol=1e-9), spec
    with pytest.raises(InputError, match="predicts no rows"):
        iso.fit_map(OLD, NEW, "cca")


def test_norms_are_kept_as_in_the_new_space_or_as_asked():
    assert iso.fit_map(OLD, UNIT.astype(np.float16), permutations=19).unit
    assert not iso.fit_map(OLD, NEW, permutations=19).unit
    assert not iso.fit_map(OLD, UNIT, norms="free", permutations=19).unit
    found = iso.fit_map(OLD, NEW, norms="unit", permutations=19)
    assert np.allclose(np.linalg.norm(iso.apply_map(found, OLD).rows, axis=1), 1)


def test_what_cannot_be_mapped_is_refused_in_words_and_leaves_nothing(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(_apply, "BLOCK_BYTES", 20_000)
    rows = np.ones((500, D_OLD), dtype=np.float32)
    rows[313, 2] = np.nan
    np.save(tmp_path / "nan.npy", rows)
    with pytest.raises(InputError, match="row 313 holds NaN"):
        iso.apply_map(fitted, tmp_path / "nan.npy", to=tmp_path / "new.npy")
    np.save(tmp_path / "wide.npy", np.ones((5, D_OLD + 1)))
    with pytest.raises(InputError, match="old has 13 features, and the map was fitted on 12"):
        iso.apply_map(fitted, tmp_path / "wide.npy", to=tmp_path / "new.npy")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["nan.npy", "wide.npy"]
    np.save(tmp_path / "old.npy", OLD)
    with pytest.raises(InputError, match="the file that is read"):
        iso.apply_map(fitted, tmp_path / "old.npy", to=tmp_path / "old.npy", overwrite=True)
    (tmp_path / "new.npy").write_bytes(b"precious")
    with pytest.raises(InputError, match="there already"):
        iso.apply_map(fitted, OLD, to=tmp_path / "new.npy")
    assert (tmp_path / "new.npy").read_bytes() == b"precious"
    iso.apply_map(fitted, OLD, to=tmp_path / "new.npy", overwrite=True)
    assert len(np.load(tmp_path / "new.npy")) == N
    with pytest.raises(InputError, match=r"suffix must be \.npy"):
        iso.apply_map(fitted, OLD, to=tmp_path / "new.npz")
    for bad in (np.ones((2, 3, 4)), np.ones((0, D_OLD)), np.array([["a"]])):
        with pytest.raises(InputError, match=r"shape|type"):
            iso.apply_map(fitted, bad)
    with pytest.raises(InputError, match="2 layers: a, b"):
        iso.apply_map(fitted, {"a": OLD, "b": OLD})
    assert np.array_equal(
        iso.apply_map(fitted, {"a": OLD, "b": OLD + 1}, layer="a").rows, iso.apply_map(fitted, OLD).rows
    )
    with pytest.raises(InputError, match="old has 2 layers"):
        iso.fit_map({"a": OLD, "b": OLD}, NEW)
    chosen = iso.fit_map({"a": OLD, "b": OLD[::-1]}, NEW, old_layer="a", permutations=19)
    assert chosen["index.R@1"].value == iso.fit_map(OLD, NEW, permutations=19)["index.R@1"].value


def test_a_kill_leaves_no_target(fitted, tmp_path):
    fitted.save(tmp_path / "map.json")
    np.save(tmp_path / "old.npy", np.tile(OLD, (10, 1)))
    program = textwrap.dedent(
        """
        import os, signal, isomorph as iso
        from isomorph.migration import _apply
        _apply.BLOCK_BYTES = 20_000
        finish, count = _apply._finish, 0
        def killed(*rows):
            global count
            count += 1
            if count == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            finish(*rows)
        _apply._finish = killed
        iso.apply_map("map.json", "old.npy", to="new.npy")
        """
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "new.npy").exists()
    iso.apply_map(tmp_path / "map.json", tmp_path / "old.npy", to=tmp_path / "new.npy")
    assert len(np.load(tmp_path / "new.npy")) == 10 * N
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.json", "new.npy", "old.npy"]


def test_the_commands_fit_and_apply(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ids = [f"i{k}" for k in range(N)]
    iso.Layers.from_arrays({"last": OLD}, ids=ids).save("old.npz")
    iso.Layers.from_arrays({"last": UNIT[::-1]}, ids=ids[::-1]).save("new.npz")
    made = CliRunner().invoke(app, ["fit-map", "old.npz", "new.npz", "--to", "map.json", "--permutations", "99"])
    assert made.exit_code == 0, made.output
    assert "index.R@1" in made.output
    assert "WARNING (pairing)" not in made.output
    np.save("many.npy", OLD.astype(np.float32))
    done = CliRunner().invoke(app, ["apply", "map.json", "many.npy", "--to", "mapped.npy"])
    assert done.exit_code == 0, done.output
    assert "400 mapped rows of 9 features" in done.output
    assert np.mean(np.sum(np.load("mapped.npy") * UNIT, axis=1)) > 0.8, "joined by id, whatever the order"
    again = CliRunner().invoke(app, ["apply", "map.json", "many.npy", "--to", "mapped.npy"])
    assert isinstance(again.exception, InputError)


def test_equal_inputs_give_equal_bytes():
    one, other = (iso.fit_map(OLD, UNIT, permutations=19, seed=3).to_json() for _ in range(2))
    assert one == other


def test_a_fit_that_does_not_fit_the_limit_is_refused_before_it_begins():
    x = np.ones((20_000, 40))
    with pytest.raises(InputError, match=r"Fitting a map on 20,000 items of 80 features.* 51.2 MB.*iso.stitch"):
        iso.fit_map(x, x, memory="16MB")

"""Arrays of every kind at every door that takes arrays."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

import isomorph as iso
from isomorph.maps import REGISTRY as MAPS
from isomorph.maps import load_map
from isomorph.metrics import REGISTRY as METRICS

from .guard import Door
from .inputs import features, pair, told

_SLOW = {"gromov_wasserstein_distance": 8}  # name -> most items: it solves a program for each pair
_QUICK = ("cka", "mutual_knn(k=3)", "rsa", "procrustes", "cca", "distance_correlation", "mutual_nearest(k=3)")
_SLOW_NULLS = {"gromov_wasserstein_distance", "rtd_distance", "edit_knn", "lcs_knn"}  # of 7 items 5,040 small programs


@pytest.mark.parametrize("part", range(3))
def test_every_metric(part):
    door = Door("metric(x, y)")
    for name in list(METRICS.classes)[part::3]:
        specs = [*dict.fromkeys([name, *METRICS.classes[name].variants])]
        most = _SLOW.get(name, 18)

        def case(draw, specs=specs, most=most):
            spec = draw(st.sampled_from(specs))
            x, y = pair(draw, most)
            door(f"metric({spec!r})({x}, {y})", lambda: iso.metric(spec)(x.make(), y.make()))

        door.cases_of(70, case, fewest=7)
    door.verdict(0.4, 0.95)


@pytest.mark.parametrize("part", range(2))
def test_every_null(part):
    door = Door("metric.null(x, y)")
    for name in list(METRICS.classes)[part::2]:
        few = name in _SLOW_NULLS

        def case(draw, name=name, most=5 if few else 14):
            x, y = pair(draw, most)

            def call():
                metric = iso.metric(name)
                null = metric.null(x.make(), y.make(), permutations=99)  # as much code as a thousand
                score = metric(x.make(), y.make())
                return null, score, null.p_value(score) if null.std is not None or null.sample is not None else None

            door(f"metric({name!r}).null({x}, {y}) and its p_value", call)

        door.cases_of(5 if few else 15, case, fewest=5)
    door.verdict(0.3, 0.95)


def test_scan():
    door = Door("scan(x, y)")

    def case(draw):
        x, y = pair(draw)
        metrics = draw(st.lists(st.sampled_from(_QUICK), min_size=1, max_size=2, unique=True))
        base = features(draw) if draw(st.integers(0, 3)) == 0 else None

        def call():
            baselines = None if base is None else {"b": base.make()}
            result = iso.scan(x.make(), y.make(), metrics, permutations=20, x_baselines=baselines)
            result.to_json()
            return result, repr(result), result.to_frame()[:1]

        door(f"scan({x}, {y}, {metrics}, permutations=20, x_baselines={base})", call)

    door.cases_of(450, case, fewest=200)  # near a third are answered, and a share of fewer cases is known less well
    door.verdict(0.3, 0.9)


def test_stitch():
    door = Door("stitch(x, y)")

    def case(draw):
        x, y = pair(draw, 24)
        maps = draw(st.lists(st.sampled_from(list(MAPS.classes)), min_size=1, max_size=2, unique=True))

        def call():
            result = iso.stitch(x.make(), y.make(), maps, repeats=2, permutations=1, draws=100, curves=False)
            result.to_json()
            return result, repr(result)

        door(f"stitch({x}, {y}, {maps}, repeats=2, permutations=1, draws=100, curves=False)", call)

    door.cases_of(200, case)
    door.verdict(0.15, 0.9)


def test_diagnose():
    door = Door("diagnose(x, y)")

    def case(draw):
        x, y = pair(draw)
        two = draw(st.booleans())

        def call():
            result = iso.diagnose(x.make(), y.make() if two else None)
            result.to_json()
            return result, repr(result)

        door(f"diagnose({x}, {y if two else None})", call)

    door.cases_of(250, case)
    door.verdict(0.3, 0.95)


def test_gallery_curve_and_difference():
    door = Door("gallery_curve, difference")

    def case(draw):
        spec = draw(st.sampled_from(_QUICK))
        x, y = pair(draw)
        if draw(st.booleans()):
            door(f"gallery_curve({spec!r}, {x}, {y})", lambda: iso.gallery_curve(spec, x.make(), y.make(), repeats=2))
        else:
            z, w = pair(draw)
            door(
                f"difference({spec!r}, ({x}, {y}), ({z}, {w}), repeats=10)",
                lambda: iso.difference(spec, (x.make(), y.make()), (z.make(), w.make()), repeats=10),
            )

    door.cases_of(500, case)
    door.verdict(0.1, 0.95)


def test_every_map_is_fitted_applied_saved_and_loaded(tmp_path):
    door = Door("map.fit(x, y)(z), save, load_map")
    path = tmp_path / "map.safetensors"
    for name in MAPS.classes:

        def case(draw, name=name):
            x, y = pair(draw, 24)
            z = features(draw) if draw(st.booleans()) else x

            def call():
                fitted = iso.make_map(name).fit(x.make(), y.make())
                there = fitted(z.make())
                fitted.save(path)
                load_map(path)
                return there

            door(f"make_map({name!r}).fit({x}, {y})({z}), saved and loaded", call)

        door.cases_of(12 if name == "contrastive" else 30, case, fewest=6)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    door.verdict(0.2, 0.9)


def test_layers_are_made_saved_and_loaded(tmp_path):
    door = Door("Layers.from_arrays(…).save, load")
    ids = st.one_of(
        st.none(),
        st.lists(st.one_of(st.text(max_size=4), st.integers(0, 3), st.none(), st.binary(max_size=2)), max_size=9),
        st.sampled_from(["abc", 5, {"a": 1}, [f"i{k}" for k in range(12)], [b"a"] * 12, ["a\0"] * 12, range(12)]),
    )
    names = st.one_of(
        st.sampled_from(["a", "b", "ids", "x.npy", "a/b", "", "..", "/x", "é", "\0", "\ud800", "__meta__"]),
        st.text(max_size=5),
    )

    def case(draw):
        arrays = {draw(names): features(draw) for _ in range(draw(st.integers(0, 2)))}
        given = draw(ids)
        suffix = draw(st.sampled_from([".npz", ".safetensors"]))
        made = {}

        def call():
            layers = made["layers"] = iso.Layers.from_arrays({k: f.make() for k, f in arrays.items()}, given)
            layers.save(tmp_path / f"layers{suffix}")
            again = iso.Layers.load(tmp_path / f"layers{suffix}")
            return tuple(again) == tuple(layers) and again.ids == layers.ids

        answer = door(f"Layers.from_arrays({arrays}, {given!r}).save('layers{suffix}'), loaded", call)
        if answer is False:
            door.fail("what was saved is not what is loaded", f"Layers.from_arrays({arrays}, {given!r}){suffix}")

    door.cases_of(500, case)
    assert {p.name for p in tmp_path.iterdir()} <= {"layers.npz", "layers.safetensors"}
    door.verdict(0.1, 0.9)


def test_reports_of_results_of_odd_arrays(tmp_path):
    door = Door("report(results)")
    path = tmp_path / "report.html"

    def case(draw):
        x, y = pair(draw, 24)
        metric = draw(st.sampled_from(_QUICK))
        title = draw(st.sampled_from([None, "Title", "", "<b>", "\ud800", 5, "a" * 3000]))
        names = {"x_name": draw(st.sampled_from([None, "=1+1", "<script>", "é", "\ud800", ""]))}

        def call():
            scan = iso.scan(x.make(), y.make(), [metric], permutations=20, **names)
            iso.report([scan, iso.diagnose(x.make(), y.make())], to=path, title=title, figures=False)
            return path.read_text(encoding="utf-8").rstrip().endswith("</html>")

        before = path.read_bytes() if path.exists() else None
        answer = door(f"report of scan({x}, {y}, [{metric!r}], {told(**names)}), title={title!r:.60}", call)
        after = path.read_bytes() if path.exists() else None
        if isinstance(answer, Exception) and after != before:
            door.fail("a page changed though the report failed", f"{x} {y} {metric} {title!r:.60} {names}")
        if answer is False:
            door.fail("half a page", f"{x} {y} {metric}")

    door.cases_of(80, case)
    assert {p.name for p in Path(tmp_path).iterdir()} <= {"report.html"}
    door.verdict(0.2, 0.9)

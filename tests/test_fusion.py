"""What several spaces give together: planted truths, controls, bad input."""

import numpy as np
import pytest

from isomorph.datasets import PairedItems
from isomorph.errors import InputError, UnknownNameError
from isomorph.fusion import fuse
from isomorph.heads import REGISTRY, Target, make_head
from isomorph.heads.concat import Concat
from isomorph.results import Fusion, load_result

QUICK = {"repeats": 3, "draws": 200, "show": False}
N = 400


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def halves():
    """A number f(x) + g(y), two thirds and one third of its variance."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, N, 6))
    number = np.sqrt(2) * x[:, 0] + y[:, 0]
    return x, y, number


@pytest.fixture(scope="module")
def summed(halves):
    x, y, number = halves
    return fuse({"x": x, "y": y}, number, heads=["concat", "late"], **QUICK)


def test_a_copy_gains_nothing_and_all_is_redundant():
    rng = np.random.default_rng(2)
    z = rng.normal(size=(N, 5))
    x, y = (z @ rng.normal(size=(5, d)) + 0.01 * rng.normal(size=(N, d)) for d in (12, 20))
    found = fuse({"x": x, "y": y}, np.argmax(z @ rng.normal(size=(5, 4)), axis=1), heads=["concat"], **QUICK)
    head, parts = found["concat"], found.interaction
    assert head.gain.low <= 0 <= head.gain.high
    assert not head.above_controls
    assert parts.redundant.value > 0.95 * parts.total.value
    for part in (*parts.unique.values(), parts.synergistic):
        assert abs(part.value) < 0.05


def test_the_sum_of_two_parts_is_shared_out_as_it_was_made(summed):
    head = summed["concat"]
    assert head.score.value > 0.99
    assert head.gain.value == pytest.approx(1 - summed.best_single.score.value, abs=0.02)
    assert head.contributions["x"].value == pytest.approx(2 / 3, rel=0.1)
    assert head.contributions["y"].value == pytest.approx(1 / 3, rel=0.1)
    assert head.gain.low > 0
    assert head.gain.p_value < 0.01
    assert head.needed == ("x", "y")
    assert head.above_controls


def test_contributions_sum_to_the_score_above_chance(summed):
    for head in summed.values():
        total = sum(c.value for c in head.contributions.values())
        assert total == pytest.approx(head.score.value - head.score.chance, abs=1e-9)


def test_a_broken_view_costs_as_much_as_the_view_gives(summed):
    head = summed["concat"]
    assert head.missing["without y"].value == pytest.approx(summed.singles["x"].score.value, abs=0.1)
    assert head.missing["x of other items"].value < head.missing["y of other items"].value < head.score.value
    assert head.missing["x with noise"].value < head.score.value


def test_what_no_space_holds_is_synergy_and_linear_heads_are_at_chance():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 600, 4))
    classes = (x[:, 0] * y[:, 0] > 0).astype(int)
    found = fuse({"x": x, "y": y}, classes, heads=["concat", "bilinear"], **QUICK)
    assert found["concat"].score.low < 0.5 < found["concat"].score.high + 0.05
    assert found["bilinear"].score.value > 0.9
    parts = found.interaction
    assert parts.head == "bilinear"
    assert parts.synergistic.value > 0.95 * parts.total.value
    assert found.best().head == "bilinear"


def test_noise_of_ten_times_the_width_costs_nothing_and_contributes_nothing():
    rng = np.random.default_rng(4)
    x, noise = rng.normal(size=(N, 10)), rng.normal(size=(N, 100))
    classes = np.argmax(x[:, :4] + 0.3 * rng.normal(size=(N, 4)), axis=1)
    found = fuse({"x": x, "noise": noise}, classes, heads=["concat"], **QUICK)
    head = found["concat"]
    assert head.score.value > found.singles["x"].score.value - 0.01
    assert head.contributions["noise"].low <= 0 <= head.contributions["noise"].high
    assert head.needed == ("x",)


def test_unique_parts_are_told_from_redundant_ones():
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 2, size=(2, N))
    x, y = (b[:, None] + 0.1 * rng.normal(size=(N, 3)) for b in bits)
    parts = fuse({"x": x, "y": y}, 2 * bits[0] + bits[1], heads=["concat"], **QUICK).interaction
    assert parts.total.value == pytest.approx(2, abs=0.1)
    for space in ("x", "y"):
        assert parts.unique[space].value == pytest.approx(1, abs=0.15)
    assert parts.redundant.value < 0.15


def test_the_parts_sum_to_the_whole(summed):
    parts = summed.interaction
    whole = sum(s.value for s in parts.unique.values()) + parts.redundant.value + parts.synergistic.value
    assert whole == pytest.approx(parts.total.value, abs=1e-9)


def test_a_head_that_ignores_a_space_is_dominated_and_one_that_averages_is_not(summed):
    class First(Concat):
        name = "first"

        def _fit(self, spaces, target, folds, seed):
            self.first_ = next(iter(spaces))
            super()._fit({self.first_: spaces[self.first_]}, target, folds, seed)

        def _predict(self, spaces):
            if spaces[self.first_] is None:
                return np.broadcast_to(self.target_.prior, (len(next(v for v in spaces.values() if v is not None)), 3))
            return super()._predict({self.first_: spaces[self.first_]})

    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(2, N, 6))
    classes = np.argmax(x[:, :3] + y[:, :3], axis=1)
    found = fuse({"x": x, "y": y}, classes, heads=[First(), "concat"], **QUICK)
    assert found["first"].dominance.low > 0.9
    assert found["first"].dominance.space == "x"
    assert found["first"].missing["y of other items"].value == found["first"].score.value
    assert abs(found["concat"].dominance.value) < 0.3


@pytest.fixture(scope="module")
def every():
    """Three spaces, one of several layers, a second model and a twin, with all that a result can hold."""
    rng = np.random.default_rng(7)
    z = rng.normal(size=(240, 6))
    spaces = {
        "a": {"first": rng.normal(size=(240, 4)), "last": z[:, :3] + 0.3 * rng.normal(size=(240, 3))},
        "b": z[:, 2:5] + 0.3 * rng.normal(size=(240, 3)),
        "c": z[:, 4:] + 0.3 * rng.normal(size=(240, 2)),
    }
    classes = np.array(["x", "y", "z"])[np.argmax(z[:, [0, 2, 4]], axis=1)]
    return fuse(
        spaces,
        classes,
        heads=["concat", "late", "product", "vote", "shared(dims=3)"],
        baselines={"b": rng.normal(size=(240, 3))},
        seconds={"a": z[:, :3] + 0.3 * rng.normal(size=(240, 3))},
        target_name="kind",
        **QUICK,
    )


def test_of_several_layers_the_one_that_tells_most_is_taken(every):
    assert every.singles["a"].layers == ("last",) * 3
    assert every.widths == {"a": 3, "b": 3, "c": 2}


def test_every_control_is_fitted_and_named(every):
    kinds = ("permuted", "random", "twice", "permuted within classes")
    wanted = {f"{s} {kind}" for s in "abc" for kind in kinds} | {"b untrained", "a + second a"}
    assert set(every["concat"].controls) == wanted
    assert {c.label for c in every.conditions} == wanted
    assert all(c.role == "control" for c in every.conditions)


def test_a_result_comes_back_to_the_last_byte(every, tmp_path):
    again = load_result(every.save(tmp_path / "fusion.json"))
    assert isinstance(again, Fusion)
    assert again.to_json() == every.to_json()
    assert repr(again) == repr(every)
    assert again["late(combine='average')"].head == "late"
    assert len(again.to_records()) == len(every.to_records())


def test_the_same_call_gives_the_same_bytes(halves, summed):
    x, y, number = halves
    assert fuse({"x": x, "y": y}, number, heads=["concat", "late"], **QUICK).to_json() == summed.to_json()


def test_probabilities_are_calibrated(every):
    assert every["concat"].calibration.error < 0.1
    assert sum(every["concat"].calibration.counts) == sum(every.n_test)


def test_conflicts_are_held_out_items_on_which_the_spaces_disagree(every):
    assert every.conflicts
    for conflict in every.conflicts:
        assert len(set(conflict.said.values())) > 1
        assert set(conflict.fused) == set(every)


def test_targets_of_every_kind():
    rng = np.random.default_rng(8)
    z = rng.normal(size=(200, 4))
    spaces = {"x": z[:, :2] + 0.1 * rng.normal(size=(200, 2)), "y": z[:, 2:] + 0.1 * rng.normal(size=(200, 2))}
    labels = [{name for name, on in zip("ab", row[[0, 2]] > 0, strict=True) if on} for row in z]
    found = {
        kind: fuse(spaces, target, target_kind=kind, heads=["concat", "product"], **QUICK)
        for kind, target in (("labels", labels), ("numbers", z[:, [0, 2]]), ("rows", z))
    }
    assert {k: f.decided_by for k, f in found.items()} == {"labels": "auroc", "numbers": "r2", "rows": "mrr"}
    for kind, fusion in found.items():
        assert fusion["concat"].score.value > 0.85, kind
        assert fusion["concat"].gain.low > 0, kind
        assert fusion.target_kind == kind


def test_groups_are_not_parted_and_items_are_joined_by_id():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(9)
    ids = [f"i{k}" for k in range(120)]
    x, y = (pd.DataFrame(rng.normal(size=(120, 3)), index=ids) for _ in range(2))
    classes = pd.Series((x[0] + y[0] > 0).astype(int), index=ids)
    straight = fuse({"x": x, "y": y}, classes, groups=np.arange(120) // 2, heads=["late"], **QUICK)
    turned = fuse({"x": x, "y": y[::-1]}, classes[::-1], groups=np.arange(120) // 2, heads=["late"], **QUICK)
    assert turned["late"].score.value == pytest.approx(straight["late"].score.value, abs=1e-9)
    assert straight["late"].score.value > 0.8


def test_layers_are_chosen_together_where_each_alone_tells_the_wrong_one():
    rng = np.random.default_rng(5)
    f, g, h = rng.normal(size=(3, 240, 2))
    number = f[:, 0] + g[:, 0]
    noisy = f + 0.7 * h  # tells less than f, and a copy of f tells nothing beside f
    spaces = {"x": {"f": f, "noise": h}, "y": {"copy": np.c_[f[:, 0], h[:, 0]], "g": 1.4 * g + 1.1 * noisy[:, ::-1]}}
    alone = fuse(spaces, number, heads=["concat"], controls=False, **QUICK)
    together = fuse(spaces, number, heads=["concat"], controls=False, layers="together", **QUICK)
    assert alone.layers == {"x": ("f",) * 3, "y": ("copy",) * 3}
    assert together.layers == {"x": ("f",) * 3, "y": ("g",) * 3}
    assert together["concat"].score.value > alone["concat"].score.value + 0.1
    assert together.singles["y"].layers == ("copy",) * 3  # alone a space is read where it tells most
    assert alone.layer_pairs is None
    pairs = together.layer_pairs
    assert (pairs["x"], pairs["y_layers"], pairs["explained"].shape) == ("x", ("copy", "g"), (2, 2))
    assert pairs["explained"].argmax() == 1


def test_three_spaces_choose_their_layers_one_after_the_other():
    rng = np.random.default_rng(6)
    f, g, h, noise = rng.normal(size=(4, 240, 2))
    spaces = {name: {"noise": noise, "told": part} for name, part in (("x", f), ("y", g), ("z", h))}
    found = fuse(spaces, (f + g + h)[:, 0], heads=["concat"], controls=False, layers="together", **QUICK)
    assert found.layers == dict.fromkeys("xyz", ("told",) * 3)
    assert found.layer_pairs is None


def test_tokens_are_read_by_the_head_that_takes_them_and_pooled_for_all_else():
    rng = np.random.default_rng(9)
    tokens, x = rng.normal(size=(200, 3, 4)), rng.normal(size=(200, 5))
    classes = (tokens[:, 1, 0] > 0).astype(int)  # the second token holds it; the mean tells some
    twins = {"y": rng.normal(size=(200, 3, 4))}
    quick = QUICK | {"repeats": 1}
    plain = quick | {"controls": False}
    found = fuse({"x": x, "y": tokens}, classes, heads=["attention", "concat"], **plain)
    pooled = fuse({"x": x, "y": tokens.mean(axis=1)}, classes, heads=["concat"], **plain)
    assert found["attention"].score.value > found["concat"].score.value + 0.1
    assert found["concat"].score.value == pytest.approx(pooled["concat"].score.value, abs=0.02)
    assert found.singles["y"].score.value == pytest.approx(pooled.singles["y"].score.value, abs=1e-9)
    assert found.widths == {"x": 5, "y": 4}
    assert found.notes[0] == "y has several tokens an item: attention reads them, all else reads their mean."
    layered = fuse({"x": x, "y": {"tokens": tokens, "flat": x}}, classes, heads=["concat"], layers="together", **plain)
    assert layered.layers["y"] == ("tokens",)
    controlled = fuse({"x": x, "y": tokens}, classes, heads=["concat"], baselines=twins, **quick)
    assert {"y untrained", "y permuted"} <= set(controlled["concat"].controls)
    with pytest.raises(InputError, match=r"4|shape"):
        fuse({"x": x, "y": tokens[..., None]}, classes, **QUICK)


def test_classes_of_one_item_are_left_out_or_joined():
    rng = np.random.default_rng(7)
    classes = np.array(["a", "b"] * 30 + ["rare", "rarer", "rarest"])
    x, y = rng.normal(size=(2, 63, 3))
    x[:, 0] += 3 * (classes == "a")
    ids = [f"i{i}" for i in range(63)]
    items = PairedItems("my items", ids, labels={"kind": list(classes)}, views={"v": ids}, groups=None)
    given = {"items": items, "heads": ["concat"], "controls": False, **QUICK}
    out = fuse({"x": x, "y": y}, "kind", rare="leave out", **given)
    assert (out.n, out.names) == (60, ("a", "b"))
    assert "3 items are alone in their class of kind and were left out." in out.notes
    joined = fuse({"x": x, "y": y}, "kind", rare="join", **given)
    assert (joined.n, joined.names) == (63, ("a", "b", "other"))
    assert any("together they are the class 'other'" in note for note in joined.notes)
    with pytest.raises(InputError, match="rare='leave out'"):
        fuse({"x": x, "y": y}, "kind", **given)


def test_a_single_rare_class_cannot_be_joined():
    x, y = np.random.default_rng(0).normal(size=(2, 31, 3))
    with pytest.raises(InputError, match="single item"):
        fuse({"x": x, "y": y}, [*(np.arange(30) % 2), 2], rare="join", **QUICK)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layers": "best"}, "layers='best'"),
        ({"rare": "drop"}, "rare='drop'"),
        ({"spaces": {"x": np.ones((30, 2)) * np.arange(30)[:, None]}}, "between 2 and 6"),
        ({"spaces": 5}, "features by name"),
        ({"target": np.arange(30) // 29}, "single item"),
        ({"target": np.zeros(30, dtype=int)}, "constant"),
        ({"target": np.arange(30)}, "a class of its own"),
        ({"target": np.arange(29) % 2}, "29"),
        ({"target": "group"}, "names a label set of items="),
        ({"target": np.zeros((30, 2))}, "constant|of no item"),
        ({"heads": []}, "heads is empty"),
        ({"score": "fame"}, "score='fame'"),
        ({"by": "label"}, "by='label'"),
        ({"baselines": {"z": np.ones((30, 2))}}, "'z' is no space"),
        ({"repeats": 0}, "repeats"),
    ],
)
def test_bad_input_is_answered_in_words(changed, message):
    rng = np.random.default_rng(0)
    given = {"spaces": {"x": rng.normal(size=(30, 3)), "y": rng.normal(size=(30, 3))}, "target": np.arange(30) % 2}
    given |= changed
    with pytest.raises(InputError, match=message):
        fuse(given.pop("spaces"), given.pop("target"), **QUICK | given)


def test_unknown_heads_get_a_suggestion():
    x = np.random.default_rng(0).normal(size=(30, 3))
    with pytest.raises(UnknownNameError, match="concat"):
        fuse({"x": x, "y": x}, np.arange(30) % 2, heads=["concatt"], **QUICK)


def test_spaces_without_a_common_item_are_refused():
    pd = pytest.importorskip("pandas")
    x = pd.DataFrame(np.eye(4), index=list("abcd"))
    with pytest.raises(InputError, match="no item in common"):
        fuse({"x": x, "y": x.set_axis(list("efgh"))}, np.arange(4) % 2, **QUICK)


def test_items_that_are_not_in_every_space_are_counted_aloud():
    pd = pytest.importorskip("pandas")
    x, y = (
        pd.DataFrame(np.random.default_rng(k).normal(size=(60, 3)), index=[f"i{j}" for j in range(60)]) for k in (0, 1)
    )
    classes = pd.Series((x[0] > 0).astype(int))
    found = fuse({"x": x, "y": y[:-5]}, classes, heads=["late"], **QUICK)
    assert found.n == 55
    assert "5 of the 60 items of x are not there for all by id, and were left out." in found.notes
    assert "5 of the 60 items" in repr(found)


def test_heads_are_used_alone_too():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 80, 3))
    target = Target("numbers", (x[:, :1] + y[:, :1]), ("sum",))
    assert "concat" in REGISTRY.classes
    head = make_head("concat").fit({"x": x[:60], "y": y[:60]}, target.take(np.arange(60)))
    error = head.predict({"x": x[60:], "y": y[60:]}) - target.values[60:]
    assert np.abs(error).max() < 1e-3

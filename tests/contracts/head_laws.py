"""The laws of a fusion head. Each takes the class; what it declares (`kinds`, `tokens`, …) is executed both ways."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np
import pytest

from isomorph.errors import InputError
from isomorph.heads import KINDS, Head, Target, make_head

from .laws import Laws

HEADS = Laws()
law = HEADS.law
FIT, ALL = 90, 130
WIDTHS = {"x": 5, "y": 4, "z": 3}

Kind = type[Head]
Matrix = np.ndarray[Any, Any]
Spaces = dict[str, Matrix]


def made(kind: Kind) -> Head:
    return kind(**kind.quick)


@functools.cache
def _data() -> tuple[Spaces, dict[str, Target]]:
    rng = np.random.default_rng(5)
    hidden = rng.standard_normal((ALL, 3))
    spaces = {
        name: hidden @ rng.standard_normal((3, d)) + 0.4 * rng.standard_normal((ALL, d)) + 1.0
        for name, d in WIDTHS.items()
    }
    for rows in spaces.values():
        rows.setflags(write=False)
    targets = {
        "classes": Target("classes", np.digitize(hidden[:, 0], [-0.5, 0.5]), ("low", "middle", "high")),
        "labels": Target("labels", (hidden[:, :2] > 0).astype(int), ("first", "second")),
        "numbers": Target("numbers", 3 * hidden[:, :1] + 7, ("number",)),
        "rows": Target("rows", hidden @ rng.standard_normal((3, 6)), ()),
    }
    return spaces, targets


def part(spaces: Spaces, rows: Any) -> Spaces:
    return {name: given[rows] for name, given in spaces.items()}


TRAIN, TEST = slice(0, FIT), slice(FIT, ALL)


def fitted(kind: Kind, of: str, names: str = "xyz", seed: int = 0, **change: Any) -> Head:
    """A head fitted on the first items; `change` replaces spaces. Most laws ask the same one, which is fitted once."""
    return _fitted(kind, of, names, seed, **change) if change or seed else _kept(kind, of, names)


def _fitted(kind: Kind, of: str, names: str, seed: int = 0, **change: Any) -> Head:
    spaces, targets = _data()
    chosen = {name: spaces[name] for name in names} | change
    return made(kind).fit(part(chosen, TRAIN), targets[of].take(np.arange(FIT)), seed=seed)


_kept = functools.cache(_fitted)


def held_out(head: Head, **change: Any) -> Matrix:
    spaces, _ = _data()
    return head.predict(part({name: spaces[name] for name in head.names_} | change, TEST))


def kinds_of(kind: Kind) -> list[tuple[str]]:
    return [(k,) for k in KINDS if k in kind.kinds]


def skill(found: Matrix, target: Target, of: str) -> float:
    """How far predictions for the last items are better than the best constant: 0 not at all, 1 wholly."""
    truth = target.outcomes
    blind = target.take(np.arange(FIT)).prior
    return float(1 - np.sum((truth[TEST] - found) ** 2) / np.sum((truth[TEST] - blind) ** 2))


@law()
def every_declared_kind_of_target_is_learnt_and_the_others_are_refused(kind: Kind) -> None:
    assert kind.kinds, "it declares no kind of target"
    assert kind.kinds <= set(KINDS)
    _, targets = _data()
    for of, target in targets.items():
        if of not in kind.kinds:
            with pytest.raises(InputError, match=f"this one is of {of}"):
                fitted(kind, of)
            continue
        found = held_out(fitted(kind, of))
        assert found.shape == (ALL - FIT, target.outcomes.shape[1]), of
        assert found.dtype == np.float64
        assert np.isfinite(found).all(), of
        assert skill(found, target, of) > 0.2, f"{of}: no better than the shares or the means"
        shifted = np.roll(found, 3, axis=0)
        assert skill(shifted, target, of) < skill(found, target, of), "it fits wrong items as well as right ones"


@law(lambda kind: bool(kind.kinds & {"classes", "labels"}))
def probabilities_are_probabilities(kind: Kind) -> None:
    for of in sorted(kind.kinds & {"classes", "labels"}):
        found = held_out(fitted(kind, of))
        assert found.min() >= 0, of
        assert found.max() <= 1, of
        if of == "classes":
            np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)


@law()
def an_item_is_read_by_itself(kind: Kind) -> None:
    head = fitted(kind, sorted(kind.kinds)[0])
    together = held_out(head)
    spaces = part(_data()[0], TEST)
    for i in (0, 7):
        np.testing.assert_allclose(head.predict(part(spaces, slice(i, i + 1)))[0], together[i], atol=1e-9)
    np.testing.assert_allclose(head.predict(part(spaces, slice(None, None, -1))), together[::-1], atol=1e-9)


@law()
def the_same_seed_gives_the_same_bits_and_leaves_other_generators_alone(kind: Kind) -> None:
    import torch

    of = sorted(kind.kinds)[0]
    before = _global_state()
    first = held_out(fitted(kind, of, seed=3))
    assert _global_state() == before, "it draws from a generator that is not its own"
    np.random.random()  # noqa: NPY002  # what others draw must not count
    torch.rand(3)
    np.testing.assert_array_equal(first, held_out(fitted(kind, of, seed=3)))


def _global_state() -> tuple[str, bytes]:
    import torch

    return repr(np.random.get_state(legacy=False)), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002


@law(lambda kind: not kind.trained)
def the_order_of_spaces_and_items_plays_no_part(kind: Kind) -> None:
    spaces, targets = _data()
    order = np.random.default_rng(0).permutation(FIT)
    for (of,) in kinds_of(kind):
        plain = held_out(fitted(kind, of))
        np.testing.assert_allclose(held_out(fitted(kind, of, names="xzy")), plain, atol=2e-3, err_msg=of)
        # folds belong to items, so that their order must not change them: one group an item, whole in its fold
        groups = np.arange(FIT) % 3
        target = targets[of].take(np.arange(FIT))
        whole, moved = (
            made(kind).fit(part(part(spaces, TRAIN), rows), target.take(rows), groups=groups[rows])
            for rows in (np.arange(FIT), order)
        )
        np.testing.assert_allclose(held_out(moved), held_out(whole), atol=2e-3, err_msg=of)


@law()
def scale_and_shift_of_a_space_play_no_part(kind: Kind) -> None:
    spaces, _ = _data()
    of = sorted(kind.kinds)[0]
    plain = held_out(fitted(kind, of))
    for changed in (4096.0 * spaces["y"], spaces["y"] * 1e-3 + 50.0):
        head = fitted(kind, of, y=changed)
        np.testing.assert_allclose(held_out(head, y=changed), plain, atol=1e-2 if kind.trained else 2e-3)


@law()
def any_number_of_spaces_is_read(kind: Kind) -> None:
    for (of,) in kinds_of(kind):
        for names in ("x", "xy", "xyz"):
            found = held_out(fitted(kind, of, names=names))
            assert skill(found, _data()[1][of], of) > 0.2, f"{of} from {names}"


@law()
def an_item_that_lacks_a_space_is_served_by_the_others(kind: Kind) -> None:
    for (of,) in kinds_of(kind):
        head = fitted(kind, of)
        whole, missing = held_out(head), _without(head, "y")
        assert missing.shape == whole.shape
        assert np.isfinite(missing).all()
        assert np.ptp(missing, axis=0).max() > 1e-6, "without one space it says the same of every item"
        named = head.predict({**part({k: v for k, v in _data()[0].items() if k != "y"}, TEST), "y": None})
        np.testing.assert_array_equal(named, missing)
        if of == "classes":
            np.testing.assert_allclose(missing.sum(axis=1), 1, atol=1e-9)


def _without(head: Head, name: str) -> Matrix:
    return head.predict(part({k: v for k, v in _data()[0].items() if k != name}, TEST))


@law()
def every_space_counts_where_each_holds_a_part(kind: Kind) -> None:
    """Two spaces that hold one half each of the target: other rows of either change what is said."""
    rng = np.random.default_rng(2)
    spaces = {"x": rng.standard_normal((ALL, 3)), "y": rng.standard_normal((ALL, 4))}
    whole = spaces["x"][:, 0] + spaces["y"][:, 0]
    targets = {
        "classes": Target("classes", (whole > 0).astype(int), ("no", "yes")),
        "labels": Target("labels", np.column_stack([whole > 0, whole > 1]).astype(int), ("a", "b")),
        "numbers": Target("numbers", whole[:, None], ("sum",)),
        "rows": Target("rows", np.column_stack([whole, spaces["x"][:, 0] - spaces["y"][:, 0]]), ()),
    }
    for (of,) in kinds_of(kind):
        head = made(kind).fit(part(spaces, TRAIN), targets[of].take(np.arange(FIT)))
        before = head.predict(part(spaces, TEST))
        for name in spaces:
            test = part(spaces, TEST)
            moved = head.predict({**test, name: np.roll(test[name], 1, axis=0)})
            assert np.abs(moved - before).max() > 1e-3, f"{of}: the rows of {name} play no part"


@law()
def several_tokens_an_item_are_taken_or_refused_as_declared(kind: Kind) -> None:
    of = sorted(kind.kinds)[0]
    tokens = np.random.default_rng(1).standard_normal((ALL, 2, 4))
    if not kind.tokens:
        with pytest.raises(InputError, match="several tokens an item"):
            fitted(kind, of, y=tokens)
        return
    head = fitted(kind, of, y=tokens)
    assert held_out(head, y=tokens).shape[0] == ALL - FIT
    with pytest.raises(InputError, match=r"y has 1 tokens of 4 features.*2 tokens of 4 features"):
        held_out(head, y=tokens[:, :1])


@law(lambda kind: kind.trained)
def a_trained_head_shows_its_learning_curve(kind: Kind) -> None:
    for (of,) in kinds_of(kind):
        head: Any = fitted(kind, of)
        losses = np.array(head.history_)
        assert losses.ndim == 2
        assert losses.shape[1] == 2
        assert np.isfinite(losses).all()
        assert losses[:, 1].min() < losses[0, 1], f"{of}: nothing was learnt of items held out"
        assert np.argmin(losses[:, 1]) == head.best_epoch_
    parameters = inspect.signature(kind).parameters
    assert "view_dropout" in parameters
    with pytest.raises(InputError, match="view_dropout"):
        kind(**{**kind.quick, "view_dropout": 1.5})


@law()
def bad_input_is_refused_in_words(kind: Kind) -> None:
    spaces, targets = _data()
    of = sorted(kind.kinds)[0]
    target = targets[of]
    with pytest.raises(InputError, match="not fitted"):
        made(kind).predict(spaces)
    head = fitted(kind, of)
    with pytest.raises(InputError, match="knows the spaces x, y, z, not 'w'"):
        head.predict({**spaces, "w": spaces["x"]})
    with pytest.raises(InputError, match="nothing to predict from"):
        head.predict({"x": None})
    with pytest.raises(InputError, match=r"space y has 3 features.*fitted on 4 features"):
        head.predict({**spaces, "y": spaces["y"][:, :3]})
    with pytest.raises(InputError, match="same item"):
        made(kind).fit({"x": spaces["x"], "y": spaces["y"][:50]}, target)
    with pytest.raises(InputError, match=f"target has 50 items, the spaces have {ALL}"):
        made(kind).fit(spaces, target.take(np.arange(50)))
    broken = spaces["x"].copy()
    broken[3, 4] = np.nan
    with pytest.raises(InputError, match=r"x .*item 3"):
        made(kind).fit({"x": broken, "y": spaces["y"]}, target)
    with pytest.raises(InputError, match=r"y.* constant"):
        made(kind).fit({"x": spaces["x"], "y": np.ones((ALL, 3))}, target)


@law()
def parameters_are_kept_under_their_names_and_give_the_spec(kind: Kind) -> None:
    head = made(kind)
    names = list(inspect.signature(kind).parameters)
    assert head.get_params() == {k: getattr(head, k) for k in names}
    assert set(kind.quick) <= set(names)
    assert head.spec.startswith(kind.name)
    assert {k: v for k, v in head.get_params().items() if k in kind.quick} == dict(kind.quick)
    for spec in (head.spec, head.variant):
        again = make_head(spec)
        assert type(again) is kind
        assert again.get_params() == head.get_params()


@law()
def its_source_and_what_it_does_are_stated(kind: Kind) -> None:
    doc = inspect.getdoc(kind) or ""
    assert doc.partition("\n")[0].endswith("."), "the first line of the docstring is no sentence"
    assert kind.reference, "no reference: the paper, or what it is the zero of"
    for name in inspect.signature(kind).parameters:
        assert f"{name}: " in doc, f"the parameter {name} is not documented"

"""The laws of a map. Each takes the class; what it declares (`quick`, `direct`, …) is executed both ways."""

from __future__ import annotations

import functools
import inspect
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from isomorph.errors import InputError
from isomorph.maps import Map, load_map

from .laws import Laws

MAPS = Laws()
law = MAPS.law
FIT, ALL, WIDTH, OTHER = 60, 90, 6, 5

Kind = type[Map]
Matrix = np.ndarray[Any, Any]


def made(kind: Kind) -> Map:
    return kind(**kind.quick)


@functools.cache
def pairs(equal: bool, n: int = ALL) -> tuple[Matrix, Matrix]:
    """Pairs of rows that share most: `y` is `x` with some noise, and with as many features or fewer."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((n, WIDTH)) * np.linspace(2, 1, WIDTH) + 1.0
    y = x[:, : WIDTH if equal else OTHER] + 0.2 * rng.standard_normal((n, WIDTH if equal else OTHER)) - 2.0
    for a in (x, y):
        a.setflags(write=False)
    return x, y


def data(kind: Kind) -> tuple[Matrix, Matrix]:
    return pairs(kind.equal_widths)


def fitted(kind: Kind) -> Map:
    x, y = data(kind)
    return made(kind).fit(x[:FIT], y[:FIT])


def likeness(map_: Map, x: Matrix, y: Matrix) -> Matrix:
    """Cosines of all mapped x with all embedded y: what retrieval sees, whatever the axes of a shared space."""
    a, b = map_.embed_x(x), map_.embed_y(y)
    if map_.direct:
        a, b = a - b.mean(axis=0), b - b.mean(axis=0)
    norms = [np.linalg.norm(m, axis=1, keepdims=True) for m in (a, b)]
    cosines: Matrix = (a / np.where(norms[0] > 0, norms[0], 1)) @ (b / np.where(norms[1] > 0, norms[1], 1)).T
    return cosines


@law()
def both_sides_land_in_one_space(kind: Kind) -> None:
    x, y = data(kind)
    m = fitted(kind)
    a, b = m.embed_x(x[FIT:]), m.embed_y(y[FIT:])
    assert a.shape == b.shape
    assert len(a) == len(x) - FIT
    assert a.dtype == b.dtype == np.float64
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()
    np.testing.assert_array_equal(m(x[FIT:]), a)


@law(lambda kind: kind.direct)
def a_direct_map_predicts_rows_of_y(kind: Kind) -> None:
    x, y = data(kind)
    m = fitted(kind)
    assert m.predict(x[FIT:]).shape == y[FIT:].shape
    np.testing.assert_array_equal(m.embed_y(y[FIT:]), y[FIT:])
    assert m.score(x[FIT:], y[FIT:]) <= 1


@law(lambda kind: not kind.direct)
def a_map_into_a_shared_space_predicts_nothing(kind: Kind) -> None:
    with pytest.raises(InputError, match="predicts nothing"):
        fitted(kind).predict(data(kind)[0])


@law()
def rows_are_mapped_one_by_one(kind: Kind) -> None:
    x, y = data(kind)
    m = fitted(kind)
    for embed, rows in ((m.embed_x, x[FIT:]), (m.embed_y, y[FIT:])):
        together = embed(rows)
        np.testing.assert_allclose(together[7], embed(rows[7:8])[0], atol=1e-9)
        np.testing.assert_allclose(together[::-1], embed(rows[::-1]), atol=1e-9)


@law()
def a_second_fit_on_the_same_pairs_gives_the_same_map(kind: Kind) -> None:
    x, _ = data(kind)
    first, second = (fitted(kind).embed_x(x[FIT:]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@law()
def the_order_of_the_pairs_counts_only_where_that_is_declared(kind: Kind) -> None:
    x, y = data(kind)
    order = np.random.default_rng(0).permutation(FIT)
    plain, permuted = (likeness(made(kind).fit(x[rows], y[rows]), x[FIT:], y[FIT:]) for rows in (range(FIT), order))
    gap = float(np.abs(plain - permuted).max())
    assert (gap <= 1e-6) == kind.order_free, f"the likenesses move by {gap:.2g} with the order of the pairs"


@law()
def x_counts_unless_the_contrary_is_declared(kind: Kind) -> None:
    x, _ = data(kind)
    rows = fitted(kind).embed_x(x[FIT:])
    spread = float(np.ptp(rows, axis=0).max())
    assert (spread > 1e-6) == kind.reads_x, f"what different rows of x become differs by {spread:.2g}"


@law(lambda kind: kind.reads_x)
def held_out_pairs_find_each_other_and_permuted_ones_do_not(kind: Kind) -> None:
    x, y = data(kind)
    n = ALL - FIT
    chance = float(np.mean(1 / np.arange(1, n + 1)))
    found = _reciprocal_rank(likeness(fitted(kind), x[FIT:], y[FIT:]))
    assert found > 1.5 * chance, f"mean reciprocal rank of held-out pairs is {found:.3f}, chance {chance:.3f}"
    shifted = _reciprocal_rank(likeness(fitted(kind), x[FIT:], np.roll(y[FIT:], 3, axis=0)))
    assert shifted < found, "wrong pairs are found as well as right ones"


def _reciprocal_rank(cosines: Matrix) -> float:
    own = np.diagonal(cosines)[:, None]
    return float(np.mean(1 / (1 + np.sum(cosines > own, axis=1) + (np.sum(cosines == own, axis=1) - 1) / 2)))


@law(lambda kind: kind.inverse is not Map.inverse)
def the_inverse_undoes_the_map_and_its_own_inverse_is_the_map(kind: Kind) -> None:
    rng = np.random.default_rng(3)
    x = pairs(True)[0]
    turned = x if kind.equal_widths else x @ np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    m = made(kind).fit(x[:FIT], 2 * turned[:FIT] + 1)
    back = m.inverse()
    assert isinstance(back, kind)
    np.testing.assert_allclose(back(m(x[FIT:])), x[FIT:], atol=1e-8)
    np.testing.assert_allclose(back.inverse()(x[FIT:]), m(x[FIT:]), atol=1e-8)


@law(lambda kind: kind.inverse is Map.inverse)
def a_map_without_an_inverse_says_what_to_do_instead(kind: Kind) -> None:
    with pytest.raises(InputError, match="x and y exchanged"):
        fitted(kind).inverse()


@law()
def a_saved_map_comes_back_as_it_was(kind: Kind) -> None:
    x, y = data(kind)
    m = fitted(kind)
    with tempfile.TemporaryDirectory() as folder:
        first, second = (m.save(Path(folder) / name) for name in ("a.npz", "b.npz"))
        assert first.read_bytes() == second.read_bytes()
        loaded = load_map(first)
    assert (type(loaded), loaded.variant, repr(loaded)) == (kind, m.variant, repr(m))
    np.testing.assert_array_equal(loaded.embed_x(x[FIT:]), m.embed_x(x[FIT:]))
    np.testing.assert_array_equal(loaded.embed_y(y[FIT:]), m.embed_y(y[FIT:]))


@law()
def several_fits_that_share_work_are_those_fitted_one_by_one(kind: Kind) -> None:
    x, y = data(kind)
    xs, ys = [x[:FIT], x[:FIT] ** 3], [y[:FIT], np.tanh(y[:FIT])]
    each = [(i, j, made(kind).fit(a, b)) for i, a in enumerate(xs) for j, b in enumerate(ys)]
    grid = list(made(kind).fit_grid(xs, ys))
    assert [(i, j) for i, j, _ in grid] == [(i, j) for i, j, _ in each]
    for (_, _, shared), (_, _, alone) in zip(grid, each, strict=True):
        np.testing.assert_allclose(shared.embed_x(x[FIT:]), alone.embed_x(x[FIT:]), rtol=1e-7, atol=1e-9)


@law()
def bad_input_is_refused_in_words(kind: Kind) -> None:
    x, y = data(kind)
    for use in (lambda m: m.embed_x(x), lambda m: m.embed_y(y), lambda m: m.save("never.npz")):
        with pytest.raises(InputError, match="not fitted"):
            use(made(kind))
    m = fitted(kind)
    for embed, rows, name in ((m.embed_x, x, "x"), (m.embed_y, y, "y")):
        with pytest.raises(InputError, match=f"{rows.shape[1]} features of {name}, found 4"):
            embed(rows[:, :4])
    with pytest.raises(InputError, match="same item"):
        made(kind).fit(x, y[:50])
    broken = x.copy()
    broken[3, 4] = np.nan
    with pytest.raises(InputError, match="item 3"):
        made(kind).fit(broken, y)
    least = made(kind).min_pairs
    assert 2 <= least <= FIT
    with pytest.raises(InputError, match=f"at least {least} pairs, found {least - 1}"):
        made(kind).fit(x[: least - 1], y[: least - 1])


@law(lambda kind: kind.equal_widths)
def spaces_of_other_widths_are_refused_where_that_is_declared(kind: Kind) -> None:
    with pytest.raises(InputError, match=f"found {WIDTH} and {OTHER} features"):
        made(kind).fit(*pairs(False))


@law()
def input_is_left_alone_and_lists_tensors_and_float32_are_taken(kind: Kind) -> None:
    import torch

    x, y = data(kind)  # read-only
    expected = fitted(kind).embed_x(x[FIT:])
    m = made(kind).fit(torch.from_numpy(x[:FIT].copy()), torch.from_numpy(y[:FIT].copy()))
    np.testing.assert_allclose(m.embed_x(torch.from_numpy(x[FIT:].copy())), expected, atol=1e-9)
    half = made(kind).fit(x[:FIT].astype(np.float32), y[:FIT].astype(np.float32)).embed_x(x[FIT:].astype(np.float32))
    assert half.dtype == np.float64
    np.testing.assert_allclose(half, expected, rtol=1e-2, atol=1e-2 * float(np.abs(expected).max()))


@law()
def parameters_are_kept_under_their_names_and_give_the_spec(kind: Kind) -> None:
    m = made(kind)
    names = list(inspect.signature(kind).parameters)
    assert m.get_params() == {k: getattr(m, k) for k in names}
    assert set(kind.quick) <= set(names)
    assert m.spec.startswith(kind.name)
    copy = clone(m)
    assert copy is not m
    assert copy.get_params() == m.get_params()
    with pytest.raises(InputError, match="no parameter 'colour'"):
        m.set_params(colour="red")


@law()
def its_source_and_what_it_does_are_stated(kind: Kind) -> None:
    first = (inspect.getdoc(kind) or "").partition("\n")[0]
    assert first.endswith("."), "the first line of the docstring is no sentence"
    assert kind.reference, "no reference: the paper, or what it is the zero of"
    doc = inspect.getdoc(kind) or ""
    for name in inspect.signature(kind).parameters:
        assert f"{name}: " in doc, f"the parameter {name} is not documented"

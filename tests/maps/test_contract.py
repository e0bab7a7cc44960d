"""What every registered map must do."""

from __future__ import annotations

import numpy as np
import pytest

from isomorph.errors import InputError, UnknownNameError
from isomorph.maps import REGISTRY, Map, make_map

SMALL = {
    "low_rank": "low_rank(rank=3)",
    "relative": "relative(anchors=20)",
    "contrastive": "contrastive(dim=8, steps=3)",
    "structure": "structure(dim=8, steps=3)",
}
NAMES = [name for name in REGISTRY.classes if name != "identity"]  # which needs equal widths: tests/maps/test_linear.py


def built(name: str) -> Map:
    return make_map(SMALL.get(name, name))


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_land_in_one_space_and_input_is_left_alone(name: str, pairs: tuple[np.ndarray, ...]) -> None:
    x, y = (side.copy() for side in pairs)
    x.setflags(write=False)
    y.setflags(write=False)
    fitted = built(name).fit(x[:60], y[:60])
    a, b = fitted.embed_x(x[60:]), fitted.embed_y(y[60:])
    assert a.shape == b.shape
    assert len(a) == 20
    assert np.isfinite(a).all()
    assert np.isfinite(b).all()
    np.testing.assert_array_equal(fitted(x[60:]), a)
    if fitted.direct:
        assert fitted.predict(x[60:]).shape == (20, 9)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_mapped_one_by_one(name: str, pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    fitted = built(name).fit(x[:60], y[:60])
    np.testing.assert_allclose(fitted.embed_x(x[60:])[7], fitted.embed_x(x[67:68])[0], atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_fit_on_the_same_pairs_gives_the_same_map(name: str, pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    first, second = (built(name).fit(x[:60], y[:60]).embed_x(x[60:]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_use_before_fit_other_widths_unequal_rows_and_nan_are_refused(name: str, pairs: tuple[np.ndarray, ...]) -> None:
    x, y = pairs
    with pytest.raises(InputError, match="not fitted"):
        built(name).embed_x(x)
    with pytest.raises(InputError, match="not fitted"):
        built(name).embed_y(y)
    fitted = built(name).fit(x, y)
    with pytest.raises(InputError, match="12 features of x, found 5"):
        fitted.embed_x(x[:, :5])
    with pytest.raises(InputError, match="9 features of y, found 5"):
        fitted.embed_y(y[:, :5])
    with pytest.raises(InputError, match="same item"):
        built(name).fit(x, y[:50])
    broken = x.copy()
    broken[3, 4] = np.nan
    with pytest.raises(InputError, match="item 3"):
        built(name).fit(broken, y)
    with pytest.raises(InputError, match="pairs, found 1"):
        built(name).fit(x[:1], y[:1])


def test_an_unknown_map_is_named_with_its_nearest_names() -> None:
    with pytest.raises(UnknownNameError, match="orthogonal"):
        make_map("ortogonal")

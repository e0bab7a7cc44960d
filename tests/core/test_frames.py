"""Tables give the ids in their index, or are refused in words: the same in every verb."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

import isomorph as iso
from isomorph import InputError
from isomorph.maps import make_map

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = X @ RNG.normal(size=(5, 5)) + 0.1 * RNG.normal(size=(60, 5))
IDS = [f"i{k}" for k in range(60)]
ORDER = RNG.permutation(60)


def pandas(values, ids=None):
    return pd.DataFrame(values, index=ids)


def dataarray(values, ids=None):
    return xr.DataArray(values, dims=("item", "feature"), coords={} if ids is None else {"item": ids})


def _values(x, y):
    cka = iso.metric("cka")
    yield cka(x, y)
    yield iso.scan(x, y, ["cka"], permutations=19)["cka"].best().value
    yield iso.scan({"l": x}, [y], ["cka"], permutations=19)["cka"].best().value
    yield iso.gallery_curve("cka", x, y, sizes=[60])[0].value


@pytest.mark.parametrize("table", [pandas, dataarray])
def test_an_index_in_another_order_is_joined_in_every_verb(table):
    wanted = iso.metric("cka")(X, Y)
    found = list(_values(table(X, IDS), table(Y, IDS)[ORDER] if table is dataarray else table(Y, IDS).iloc[ORDER]))
    assert found == pytest.approx([wanted] * 4, abs=1e-12)


def test_maps_join_too():
    joined = make_map("ridge").fit(pandas(X, IDS), pandas(Y, IDS).iloc[ORDER])
    np.testing.assert_allclose(joined(X), make_map("ridge").fit(X, Y)(X))


def test_stitch_and_difference_join_too():
    a, b = pandas(X, IDS), pandas(Y, IDS).iloc[ORDER]
    settings = {"maps": ["ridge"], "repeats": 2, "permutations": 2, "curves": False}
    assert iso.stitch(a, b, **settings).best().value == iso.stitch(X, Y, **settings).best().value
    assert float(iso.difference("cka", (a, b), (X, Y)).value) == pytest.approx(0, abs=1e-12)


def test_items_of_one_side_only_are_left_out_and_none_in_common_is_refused():
    wanted = iso.metric("cka")(X[:50], Y[:50])
    for found in _values(pandas(X[:50], IDS[:50]), pandas(Y, IDS)):
        assert found == pytest.approx(wanted, abs=1e-12)
        break
    with pytest.raises(InputError, match="no item in common"):
        iso.metric("cka")(pandas(X, IDS), pandas(Y, [f"j{k}" for k in range(60)]))


def test_a_plain_index_is_the_row_numbers_and_a_shuffled_one_is_joined_with_it():
    wanted = iso.metric("cka")(X, Y)
    assert iso.metric("cka")(pandas(X), pandas(Y)) == wanted
    assert iso.metric("cka")(pandas(X), pandas(Y).iloc[ORDER]) == pytest.approx(wanted, abs=1e-12)
    with pytest.raises(InputError, match="which rows belong together is not known"):
        iso.metric("cka")(pandas(X), pandas(Y[:50]))


def test_numeric_tables_without_an_index_are_features():
    frame = pl.DataFrame({f"c{k}": X[:, k] for k in range(5)})
    assert iso.metric("cka")(frame, Y) == pytest.approx(iso.metric("cka")(X, Y), abs=1e-12)
    mixed = pd.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0, "c": pd.array(X[:, 2], dtype="Float64")})
    plain = np.column_stack([X[:, 0], X[:, 1] > 0, X[:, 2]])
    assert iso.metric("cka")(mixed, Y) == pytest.approx(iso.metric("cka")(plain, Y), abs=1e-12)


REFUSED = {
    "duplicates": (pandas(X, ["a"] * 60), "there twice"),
    "text": (pandas(X, IDS).assign(word="w"), r"column 'word' holds .*set_index\('word'\)"),
    "ids as a column": (pandas(X).assign(id=range(60)), "column 'id' would count as a feature"),
    "read from a CSV": (pandas(X).assign(**{"Unnamed: 0": range(60)}), "would count as a feature"),
    "missing": (pandas(X).astype("Float64").where(pandas(X) > -1), "non-finite"),
    "complex": (pandas(X * 1j), "no real numbers"),
    "dates": (pandas(X).assign(when=pd.Timestamp("2020")), "no real numbers"),
    "polars ids": (pl.DataFrame({"id": IDS, "a": X[:, 0]}), "column 'id' holds String"),
    "polars nulls": (pl.DataFrame({"a": [None, *X[1:, 0]], "b": X[:, 1]}), "non-finite"),
    "lazy": (pl.LazyFrame({"a": X[:, 0]}), r"collect\(\)"),
    "arrow": (pa.table({"a": X[:, 0]}), r"to_pandas\(\)"),
    "series": (pd.Series(X[:, 0]), "shape"),
    "three dimensions": (xr.DataArray(X[None]), "shape"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_features_is_refused_the_same_everywhere(name):
    table, words = REFUSED[name]
    verbs = [
        lambda: iso.metric("cka")(table, Y),
        lambda: iso.scan(table, Y, ["cka"], permutations=19),
        lambda: iso.stitch(table, Y, ["ridge"], repeats=2, permutations=2),
        lambda: make_map("ridge").fit(table, Y),
        lambda: iso.diagnose(table, Y),
        lambda: iso.Layers.from_arrays({"l": table}),
        lambda: iso.gallery_curve("cka", table, Y),
        lambda: iso.difference("cka", (table, Y), (X, Y)),
    ]
    for verb in verbs:
        with pytest.raises(InputError, match=words):
            verb()


def test_layers_take_the_index_of_their_tables():
    layers = iso.Layers.from_arrays({"a": pandas(X, IDS), "b": Y})
    assert layers.ids == tuple(IDS)
    assert layers.ids_given
    assert not iso.Layers.from_arrays({"a": pandas(X)}).ids_given
    with pytest.raises(InputError, match="differs from that of another layer"):
        iso.Layers.from_arrays({"a": pandas(X, IDS), "b": pandas(Y, IDS).iloc[ORDER]})
    with pytest.raises(InputError, match="differs from the ids given"):
        iso.Layers.from_arrays({"a": pandas(X, IDS)}, ids=IDS[::-1])
    with pytest.raises(InputError, match="two layers have the same name"):
        iso.Layers.from_arrays({1: X, "1": Y})

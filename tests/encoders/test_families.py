"""Every family of the zoo, every side, through the one door: features are those that the library gives by hand."""

from __future__ import annotations

import contextlib
import functools
import json

import numpy as np
import pytest

import isomorph
from isomorph.encoders import sides_of
from isomorph.errors import InputError, IsomorphError

from .families import checkpoint, items, load_all

TOLERANCE = 1e-5
POOLINGS = ("mean_no_cls", "cls", "last", pytest.param("max", marks=pytest.mark.thorough), "none")  # the mean is above
SHUFFLED = [3, 0, 5, 1, 4, 2, 0, 3]


def _cases():
    for family in load_all().values():
        for side in family.sides:
            name = f"{family.name}-{side.name}" if side.name else family.name
            marks = [pytest.mark.xdist_group(name)]  # one worker loads it once for all tests
            yield pytest.param((family, side), id=name, marks=marks + [pytest.mark.families] * (not family.fast))


@pytest.fixture(scope="module", params=_cases())
def case(request, tmp_path_factory):
    """One side of a family: how to load it, its items, and the rows of every layer by hand."""
    family, side = request.param
    return _Case(family, side, tmp_path_factory)


_roots = []


class _Case:
    def __init__(self, family, side, factory):
        if not _roots:
            _roots.append(factory.mktemp("families"))
        self.family, self.side, self.store = family, side, _roots[0] / "store"
        self.folder = checkpoint(family.name, _roots[0])
        self.items = side.items() if side.items is not None else items(side.modality)
        self._rows = self._encoder = None

    @property
    def rows(self):
        """By hand: layer -> one array (t, d) an item."""
        if self._rows is None:
            alone = [self.side.by_hand(self.folder, item) for item in self.items]
            self._rows = {layer: [a[layer] for a in alone] for layer in alone[0]}
        return self._rows

    @property
    def encoder(self):
        if self._encoder is None:
            self._encoder = self.load()
        return self._encoder

    def load(self, **options):
        named = {"side": self.side.name} if self.side.name else {}
        return isomorph.load_encoder(self.folder, store=self.store, **named, **options)

    def reduced(self, layer, pooling):
        """What a pooling makes of the rows by hand."""
        prefix = 0 if layer == "projection" else self.side.prefix or 0
        reduce = {
            "mean": lambda x: x.mean(0),
            "mean_no_cls": lambda x: x[prefix:].mean(0),
            "cls": lambda x: x[0],
            "last": lambda x: x[-1],
            "max": lambda x: x.max(0),
            "none": lambda x: x,
        }[pooling]
        return [reduce(x.astype(np.float64)) for x in self.rows[layer]]


def _far(a, b):
    """Norm of the difference over the norm of what is right."""
    if np.shape(a) != np.shape(b):
        return np.inf
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12))


def _assert_same(found, right, what):
    apart = {}
    for layer, values in right.items():
        if layer in found:
            assert len(found[layer]) == len(values)
            apart[layer] = max(_far(a, b) for a, b in zip(found[layer], values, strict=True))
    wrong = {layer: f"{gap:.1e}" for layer, gap in apart.items() if not gap < TOLERANCE}
    assert not wrong, f"{what}: relative differences {wrong}"


def test_layers_and_modality(case, record_property):
    encoder = case.encoder
    for key, value in {  # for docs/encoders.py, which makes a page of them
        "family": case.family.name,
        "architecture": case.family.architecture,
        "side": case.side.name,
        "modality": encoder.modality,
        "layers": " ".join(encoder.layers),
        "grouping": encoder.grouping,
    }.items():
        record_property(key, value)
    assert encoder.modality == case.side.modality
    expected = [layer for layer in case.rows if layer in encoder.layers or layer not in case.side.layers_optional]
    assert list(encoder.layers) == expected


def test_every_layer_is_that_of_the_library_by_hand(case):
    right = {layer: case.reduced(layer, "mean") for layer in case.rows}
    alone = [case.encoder.encode([item]) for item in case.items]
    found = {layer: [a[layer][0] for a in alone] for layer in case.encoder.layers}
    _assert_same(found, right, "item by item")


def test_a_batch_in_any_order_gives_what_its_items_give_alone(case):
    alone = [case.encoder.encode([item]) for item in case.items]
    batch = case.encoder.encode([case.items[i] for i in SHUFFLED])
    right = {layer: [alone[i][layer][0] for i in SHUFFLED] for layer in case.encoder.layers}
    _assert_same(batch, right, "in a batch of eight")


def _says_nothing(case, pooling):
    """Whether a pooling gives two unlike items the same, as the first token of a causal network may."""
    values = case.reduced([layer for layer in case.rows if layer != "projection"][-1], pooling)
    return any(np.shape(a) == np.shape(b) and _far(a, b) < 1e-6 for i, a in enumerate(values) for b in values[:i])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_is_the_same_reduction_of_the_rows_by_hand(case, pooling):
    side, load = case.side, functools.partial(case.load, pooling=pooling)
    checked = pooling == "mean_no_cls"  # the check finds which tokens are class tokens
    senseless = (pooling == "mean_no_cls" and side.prefix is None) or (pooling == "cls" and side.prefix == 0)
    optional = pooling == "last" and side.prefix == 0  # a map has no last token
    optional |= pooling == "cls" and side.prefix is None and side.modality != "text"  # no class says what is first
    if senseless:
        with pytest.raises(InputError, match=pooling):
            load().encode(case.items)
        return
    if optional or _says_nothing(case, pooling):  # either is right
        with contextlib.suppress(InputError):
            found = load(check=checked).encode(case.items)
            _assert_same(found, {layer: case.reduced(layer, pooling) for layer in case.rows}, pooling)
        return
    found = load(check=checked).encode(case.items)
    _assert_same(found, {layer: case.reduced(layer, pooling) for layer in case.rows}, pooling)


def _or_refused(load, word):
    """What is loaded, or None if it is refused for a stated reason.

    Raises:
        InputError: if it is refused for another.
    """
    try:
        return load()
    except InputError as error:
        if word not in str(error):
            raise
        return None


def test_padding_on_the_left_is_that_on_the_right_or_refused(case):
    if case.side.modality != "text":
        pytest.skip("nothing is padded on a side of the user's choice")
    encoder = _or_refused(lambda: case.load(padding_side="left"), "padd")
    if encoder is None:
        return
    right = {layer: case.reduced(layer, "mean") for layer in case.rows}
    _assert_same(encoder.encode(case.items), right, "padded on the left")


def test_the_untrained_twin_is_a_network(case):
    encoder = _or_refused(lambda: case.load(init="random", seed=1), "untrained")
    if encoder is None:
        return
    rows = encoder.encode(case.items)
    assert list(encoder.layers) == list(case.encoder.layers)
    for layer, x in rows.items():
        assert np.isfinite(x).all()
        size = float(np.abs(x).mean())
        assert 1e-6 < size < 1e6, f"{layer}: values of {size:.1e}"
    last = list(rows.values())[-1]
    gaps = [_far(a, b) for i, a in enumerate(last) for b in last[:i]]
    assert min(gaps) > 1e-5, f"rows of the last layer differ by {min(gaps):.1e} only"
    again = case.load(init="random", seed=1, check=False).encode(case.items)
    _assert_same(again, rows, "the same seed")
    other = list(case.load(init="random", seed=2, check=False).encode(case.items).values())[-1]
    assert _far(other, last) > 1e-3


def test_the_identity_is_json_and_names_the_side(case):
    encoder = case.encoder
    identity = json.dumps(encoder.identity, sort_keys=True)
    assert identity == json.dumps(case.load().identity, sort_keys=True)
    assert encoder.revision
    assert encoder.n_parameters > 0
    for other in case.family.sides:
        if other is not case.side:
            twin = _sibling(case, other)
            assert json.dumps(twin.identity, sort_keys=True) != identity
            assert twin.name != encoder.name


def test_sides_are_named(case):
    names = [side.name for side in case.family.sides if side.name]
    assert set(names) <= set(sides_of(case.folder))
    with pytest.raises(IsomorphError) as caught:
        isomorph.load_encoder(case.folder, side="nonsense", store=case.store)
    assert all(name in str(caught.value) for name in names)


def _sibling(case, side):
    return isomorph.load_encoder(case.folder, store=case.store, **({"side": side.name} if side.name else {}))

"""The contract of every registered map, generated from what its class declares; the laws are in `map_laws.py`.

A new map is one file of `isomorph/maps/`. Options that make it quick on few pairs are its own: `Map.quick`.
"""

from __future__ import annotations

import pytest

from isomorph.errors import UnknownNameError
from isomorph.maps import REGISTRY, Map, make_map

from .laws import Law
from .map_laws import MAPS


@pytest.mark.parametrize(("kind", "law"), list(MAPS.cases(REGISTRY.classes)))
def test_a_map_keeps_the_law(kind: type[Map], law: Law) -> None:
    law(kind)


@pytest.mark.parametrize("name", REGISTRY.classes)
def test_a_map_is_named_back_from_its_specs(name: str) -> None:
    for original in (make_map(name), REGISTRY.classes[name](**REGISTRY.classes[name].quick)):
        assert type(make_map(original.spec)) is type(original)
        assert make_map(original.spec).get_params() == original.get_params()
        assert make_map(original.variant).get_params() == original.get_params()


def test_an_unknown_map_is_named_with_its_nearest_names() -> None:
    with pytest.raises(UnknownNameError, match="orthogonal"):
        make_map("ortogonal")

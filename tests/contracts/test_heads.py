"""The contract of every registered fusion head, generated from what its class declares; the laws are in `head_laws.py`.

A new head is one file of `isomorph/heads/`. Options that make it quick on few items are its own: `Head.quick`.
"""

from __future__ import annotations

import pytest

from isomorph.errors import UnknownNameError
from isomorph.heads import REGISTRY, Head, make_head

from .head_laws import HEADS
from .laws import Law


@pytest.mark.parametrize(("kind", "law"), list(HEADS.cases(REGISTRY.classes)))
def test_a_head_keeps_the_law(kind: type[Head], law: Law) -> None:
    law(kind)


def test_an_unknown_head_is_named_with_its_nearest_names() -> None:
    with pytest.raises(UnknownNameError, match="concat"):
        make_head("conat")

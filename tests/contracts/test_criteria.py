"""The contract of every registered criterion of leagues; the laws are in `criterion_laws.py`.

A new criterion is one file of `isomorph/leagues/criteria/`, with a family of its own: `Criterion.example`.
"""

from __future__ import annotations

import pytest

from isomorph.leagues import REGISTRY, Criterion

from .criterion_laws import CRITERIA
from .laws import Law


@pytest.mark.parametrize(("kind", "law"), list(CRITERIA.cases(REGISTRY.classes)))
def test_a_criterion_keeps_the_law(kind: type[Criterion], law: Law) -> None:
    law(kind)

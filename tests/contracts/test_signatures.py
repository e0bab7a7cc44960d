"""The contract of every registered failure signature; the laws are in `signature_laws.py`.

A new signature is one file of `isomorph/diagnosis/`, with data of its own in which it is there: `Signature.planted`.
"""

from __future__ import annotations

import pytest

from isomorph.diagnosis import REGISTRY, Signature

from .laws import Law
from .signature_laws import SIGNATURES


@pytest.mark.parametrize(("kind", "law"), list(SIGNATURES.cases(REGISTRY.classes)))
def test_a_signature_keeps_the_law(kind: type[Signature], law: Law) -> None:
    law(kind)

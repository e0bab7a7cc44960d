"""Human judgements of similarity: does a model choose the odd one of three as people do?"""

from __future__ import annotations

from ._odd_one_out import odd_one_out
from ._triplets import Triplets, read_triplets
from .settings import OddOneOutSettings

__all__ = ["OddOneOutSettings", "Triplets", "odd_one_out", "read_triplets"]

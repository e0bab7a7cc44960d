"""What an alignment says of its metric, so that it needs no registry to be read."""

from __future__ import annotations

import math
from typing import Any, TypedDict

from ..errors import InputError


class About(TypedDict, total=False):
    """Whether it is a distance, its range (None where there is no bound), its names, and words about it."""

    distance: bool
    range: tuple[float | None, float | None]
    spellings: tuple[str, ...]
    meaning: str
    expected: str
    reference: str


def about(metric: Any) -> About:
    """What results say of a metric.

    Example:
        >>> about(iso.metric("mutual_knn(k=10)"))["expected"]
        'k / (n - 1), exactly'
    """
    low, high = (None if math.isinf(v) else float(v) for v in metric.range)
    return {
        "distance": metric.distance,
        "range": (low, high),
        "spellings": metric.spellings,
        "meaning": metric.meaning,
        "expected": metric.chance,
        "reference": metric.reference,
    }


def about_variant(variant: str) -> About:
    """The same of a metric that a file of version 0.1 names, as far as this version knows it."""
    from ..metrics import metric  # for such files alone: results ask no registry

    try:
        return about(metric(variant))
    except InputError:  # of a plug-in that is not there: a distance says so by its name
        return {"distance": variant.partition("(")[0].strip().endswith("_distance")}

"""Metrics of representational similarity: one file a family, one frozen dataclass a metric."""

from __future__ import annotations

from typing import Any

from .._core.memory import working_memory
from .._core.registry import Registry
from ..nulls import Null
from ._base import INVARIANCES, SITUATIONS, Metric

REGISTRY: Registry[Metric[Any]] = Registry("metric", __name__, Metric, "isomorph.metrics")


def metric(spec: str | Metric[Any]) -> Metric[Any]:
    """The metric that a spec names, such as ``"mutual_knn(k=10)"`` or ``"unbiased_cka"``.

    Args:
        spec: ``name``, ``name(parameter=value)``, an alias that the field uses, or a metric itself.

    Raises:
        UnknownNameError: if there is no such metric; the nearest names are suggested.
        InputError: if the spec cannot be read or a parameter does not fit.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x = np.random.default_rng(0).normal(size=(50, 8))
        >>> cka = iso.metric("cka")
        >>> round(cka(x, x[:, ::-1]), 3), cka.range, cka.spec
        (1.0, (-1.0, 1.0), "cka(estimator='unbiased')")
        >>> iso.metric("unbiased_cka") == cka  # other names are understood
        True
    """
    return REGISTRY.make(spec)


__all__ = ["INVARIANCES", "REGISTRY", "SITUATIONS", "Metric", "Null", "metric", "working_memory"]

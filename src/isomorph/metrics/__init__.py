"""Metrics of representational similarity: one file a family, one frozen dataclass a metric."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .._core.memory import working_memory
from .._core.registry import Registry
from ..errors import InputError, quoted
from ..nulls import Null
from ._base import INVARIANCES, SITUATIONS, Metric

DEFAULT_METRICS = ("mutual_knn(k=10)", "cka")
"""What is compared by if nothing is said."""

_PEER = re.compile(r"^\s*measure/[\w-]+/")
"""How similarity-repository begins its names: the kind of thing, and whose code it is."""

REGISTRY: Registry[Metric[Any]] = Registry("metric", __name__, Metric, "isomorph.metrics")


def metric(spec: str | Metric[Any]) -> Metric[Any]:
    """The metric that a spec names, such as ``"mutual_knn(k=10)"`` or ``"unbiased_cka"``.

    Args:
        spec: ``name``, ``name(parameter=value)``, an alias that the field uses, or a metric itself. Standard names of
            similarity-repository are understood, with what stands before them too: ``"measure/netrep/cca-score"``.

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
    return REGISTRY.make(_PEER.sub("", spec) if isinstance(spec, str) else spec)


def read_metrics(metrics: Any) -> tuple[Metric[Any], ...]:
    """The metrics, each once.

    Raises:
        InputError: if there is none, or one cannot be made.
        UnknownNameError: if one is not known.

    Example:
        >>> [m.spec for m in read_metrics(["cka", "unbiased_cka", "mutual_knn(k=5)"])]  # two names of one metric
        ["cka(estimator='unbiased')", 'mutual_knn(k=5)']
    """
    of_none = isinstance(metrics, bytes | dict) or getattr(metrics, "ndim", 1) == 0
    if not isinstance(metrics, str | Metric | Iterable) or of_none:
        raise InputError(f"metrics must be specs such as 'mutual_knn(k=10)', or metrics, found {quoted(metrics)}.")
    given = [metrics] if isinstance(metrics, str | Metric) else list(metrics)
    if not given:
        raise InputError("metrics is empty: no metric was given; name at least one, such as 'mutual_knn(k=10)'.")
    for one in given:
        if not isinstance(one, str | Metric):
            raise InputError(f"metrics must be specs such as 'mutual_knn(k=10)', or metrics, found {quoted(one)}.")
    return tuple({m.variant: m for m in map(metric, given)}.values())


__all__ = [
    "DEFAULT_METRICS",
    "INVARIANCES",
    "REGISTRY",
    "SITUATIONS",
    "Metric",
    "Null",
    "metric",
    "read_metrics",
    "working_memory",
]

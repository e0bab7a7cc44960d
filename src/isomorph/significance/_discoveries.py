"""Many scans at once: which of their best scores stand when the number of tests is taken into account."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import InputError
from ..results import Alignment, Scan
from ._decisions import benjamini_hochberg, benjamini_yekutieli


@dataclasses.dataclass(frozen=True)
class Discovery:
    """One metric of one scan among all that were run.

    Attributes:
        x_name: What `x` is.
        y_name: What `y` is.
        metric: Spec of the metric.
        alignment: The metric's alignment; its best pair is what was tested.
        p_maximum: p of the best score over all pairs of layers.
        hochberg: p of the maximum adjusted over all tests (Benjamini-Hochberg): the smallest false discovery rate at
            which it passes, if tests are independent or positively dependent.
        yekutieli: The same under any dependence (Benjamini-Yekutieli).

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> scan = iso.scan(x, x + noise, "cka", permutations=99)
        >>> found = false_discovery([scan, scan])[0]
        >>> found.metric, round(found.hochberg, 2), round(found.yekutieli, 3)
        ("cka(estimator='unbiased')", 0.01, 0.015)
    """

    x_name: str
    y_name: str
    metric: str
    alignment: Alignment
    p_maximum: float
    hochberg: float
    yekutieli: float


def false_discovery(scans: Sequence[Scan]) -> list[Discovery]:
    """The p of the maximum of every metric of every scan, adjusted for the number of them.

    The p of the maximum accounts for the layers of one scan; this accounts for the scans and metrics. Baselines and
    ceilings are not counted: they are what scores are held against.

    Args:
        scans: Scans, in any order.

    Returns:
        One `Discovery` for each metric of each scan, in order.

    Raises:
        InputError: if there is no scan.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> pairs = {"kin": x + noise, "none": noise}
        >>> scans = [iso.scan(x, y, "cka", permutations=20, y_name=name) for name, y in pairs.items()]
        >>> [(d.y_name, round(d.p_maximum, 3), round(d.hochberg, 3)) for d in iso.false_discovery(scans)]
        [('kin', 0.048, 0.095), ('none', 1.0, 1.0)]
    """
    if isinstance(scans, str | np.ndarray | Scan) or not isinstance(scans, Iterable):
        raise InputError(f"false_discovery takes a list of scans, found {type(scans).__name__}; give [scan, …].")
    scans = list(scans)
    for i, scan in enumerate(scans):
        if not isinstance(scan, Scan):
            raise InputError(
                f"false_discovery: entry {i} is a {type(scan).__name__}, not a Scan; iso.load_result(path) reads saved "
                "ones."
            )
    found = [(scan, a) for scan in scans for a in scan.alignments.values()]
    if not found:
        raise InputError("false_discovery: there is no scan; give one or more.")
    p = np.array([a.p_maximum for _, a in found])
    return [
        Discovery(s.x_name, s.y_name, a.metric, a, float(a.p_maximum), float(q), float(r))
        for (s, a), q, r in zip(found, benjamini_hochberg(p), benjamini_yekutieli(p), strict=True)
    ]

"""CKA and HSIC with a Gaussian kernel of any number of items, by Nyström's sketch, with a bound on what it leaves out.

| what is said of the error | from what | holds |
|---|---|---|
| `bounds(x, y)` | the trace of what the sketch leaves out | always |
| `bounds(x, y, measured=True)` | the pairs of 512 items that are no landmarks | of a typical sample |
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .._core.arrays import Array, Unread, to_numpy
from .._core.checks import as_count, as_seed
from ..nulls import Null
from ._base import NOTHING_VARIES
from ._engines.kernels.gram import Kernel
from ._engines.kernels.nystrom import nystrom_kernel
from ._engines.kernels.products import normalizer
from .kernels import Cka, Hsic, KernelMetric


@dataclasses.dataclass(frozen=True)
class Sketched(KernelMetric):
    """What the sketches of CKA and HSIC share.

    Attributes:
        landmarks: Items that span the sketch; memory and time grow with them in proportion.
        seed: Of the choice of landmarks, which depends on the items' features but not on their order.
    """

    shown: ClassVar[tuple[str, ...]] = ("estimator", "landmarks")
    aliases: ClassVar[Mapping[str, str]] = {}

    # of the kernels only the Gaussian has a sketch here; the linear one needs none
    kernel: ClassVar[str] = "rbf"  # type: ignore[misc]
    median: ClassVar[str | None] = "pairs"  # type: ignore[misc]
    degree: ClassVar[int] = 3  # type: ignore[misc]
    offset: ClassVar[float] = 1.0  # type: ignore[misc]
    centered: ClassVar[bool] = False  # type: ignore[misc]

    landmarks: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        as_count(self.landmarks, f"{self.name}: landmarks", 2, 1 << 14)
        as_seed(self.seed)

    @property
    def copies(self) -> int:
        return 0  # the sketch says what it takes

    @property
    def differentiable(self) -> bool:
        return False

    @property
    def streams(self) -> bool:
        return True

    @property
    def invariances(self) -> frozenset[str]:
        return frozenset({"item_permutation"})  # landmarks are chosen by the values of the features

    @property
    def refuses(self) -> Mapping[str, str]:
        return NOTHING_VARIES

    def prepare(self, x: Array) -> Kernel:
        return nystrom_kernel(
            x.seen() if isinstance(x, Unread) else x, self.estimator, self.landmarks, self.bandwidth, self.seed
        )

    def null_moments(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> Null:
        null = super().null_moments(xs, ys)
        return dataclasses.replace(null, source=f"{null.source} {self._told(xs, ys)}")

    def bounds(self, x: Any, y: Any, *, measured: bool = False) -> tuple[float, float]:
        """Between which values the score of the whole kernels lies, bandwidths and all else being the same.

        Args:
            x: Features (n_items, d1).
            y: Features (n_items, d2).
            measured: Whether what is left out is estimated from pairs of 512 items; else it is bounded for certain,
                which of high-dimensional features leaves little.

        Returns:
            The least and the largest score.

        Raises:
            InputError: as the score.

        Example:
            >>> x = np.random.default_rng(0).normal(size=(300, 2))
            >>> sketch = iso.metric("nystrom_cka(landmarks=60)")
            >>> low, high = sketch.bounds(x, x**2)
            >>> low <= iso.metric("cka(kernel='rbf')")(x, x**2) + 0.01 and low > 0 and high < 1
            True
        """
        x, y = self._gated(x, y)
        a, b = self.prepare(x), self.prepare(y)
        cross = float(to_numpy(self.compare([a], [b]))[0, 0])
        return self._around(cross, a, b, measured=measured)

    def _around(self, score: float, x: Kernel, y: Kernel, *, measured: bool) -> tuple[float, float]:
        raise NotImplementedError

    def _told(self, xs: Sequence[Kernel], ys: Sequence[Kernel]) -> str:
        """What to add where a result says how it came about."""
        scores = np.asarray(to_numpy(self.compare(xs, ys)))
        most = []
        for measured in (True, False):
            sides = [
                self._around(float(s), x, y, measured=measured)
                for x, row in zip(xs, scores, strict=True)
                for y, s in zip(ys, row, strict=True)
            ]
            most.append(max(max(high - s, s - low) for (low, high), s in zip(sides, scores.ravel(), strict=True)))
        return (
            f"(Nyström sketch by {self.landmarks} landmarks: scores of the whole kernels differ by at most "
            f"{most[0]:.2g} as measured on pairs of items, by at most {most[1]:.2g} for certain)"
        )


@dataclasses.dataclass(frozen=True)
class NystromCka(Sketched, Cka):
    """CKA with a Gaussian kernel of any number of items: of Nyström's sketch of it, with a bound on the difference.

    Measures what `cka(kernel='rbf')` measures, in memory that grows with the items and not with their square.

    Attributes:
        landmarks: Items that span the sketch; with all of them it is the kernel itself.
        seed: Of the choice of landmarks.

    Formula:
        cka of the linear kernels of F = C W^(-1/2), C_ij = exp(-|x_i - l_j|² / (2 s²)) for landmarks l, W the same
        among landmarks, s `bandwidth` times the median distance between 1,024 items. With E = K - F F', which is
        positive semi-definite, and t = tr E, the angle between the adjusted kernels of K and F F' is at most
        arcsin(t / |F̃F̃'|), and CKA, the cosine between two kernels, moves by no more than both angles (`bounds`).

    Cost:
        O(n m d + n m²) and n m numbers a layer for m landmarks, O(n m²) a pair.

    Misleads:
        As `cka` with this kernel. Where the kernel is near the identity (narrow bandwidth, high dimension) landmarks
        span little of it: `bounds` is wide then, and the score is that of the part that they span.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 400, 3))
        >>> sketch, whole = iso.metric("nystrom_cka(landmarks=100)"), iso.metric("cka(kernel='rbf')")
        >>> round(whole(x, x**2), 2), abs(sketch(x, x**2) - whole(x, x**2)) < 0.03
        (0.2, True)
    """

    name: ClassVar[str] = "nystrom_cka"
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "biased", "lange")
    variants: ClassVar[tuple[str, ...]] = (
        "nystrom_cka(estimator='unbiased', landmarks=16)",
        "nystrom_cka(estimator='biased', landmarks=24, bandwidth=2.0)",
    )

    @property
    def reference(self) -> str:
        return (
            "Williams and Seeger (2001), Nyström; Drineas and Mahoney (2005); landmarks by bottom-k sampling, Cohen "
            "and Kaplan (2007). The bound on CKA is ours: adjusting a kernel is an orthogonal projection, which "
            "lengthens no difference. The median is over 1,024 items, chosen as landmarks are."
        )

    def _around(self, score: float, x: Kernel, y: Kernel, *, measured: bool) -> tuple[float, float]:
        angle = math.acos(min(1.0, max(-1.0, score)))
        turned = sum(math.asin(min(1.0, _relative(k, measured=measured))) for k in (x, y))
        low, high = math.cos(min(math.pi, angle + turned)), math.cos(max(0.0, angle - turned))
        return max(low, self.range[0]), high


@dataclasses.dataclass(frozen=True)
class NystromHsic(Sketched, Hsic):
    """HSIC with a Gaussian kernel of any number of items: of Nyström's sketch of it, with a bound on the difference.

    Measures what `hsic(kernel='rbf')` measures, in memory that grows with the items and not with their square.

    Attributes:
        landmarks: Items that span the sketch; with all of them it is the kernel itself.
        seed: Of the choice of landmarks.

    Formula:
        hsic of the linear kernels of F, as for nystrom_cka; with a and b the Frobenius norms of both adjusted sketches
        and t, u the traces of what they leave out, the inner product moves by no more than t b + u a + t u (`bounds`)

    Cost:
        As `nystrom_cka` without its self terms.

    Misleads:
        As `hsic`, and as `nystrom_cka` where the kernel is near the identity.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x = np.random.default_rng(0).normal(size=(400, 3))
        >>> sketch, whole = iso.metric("nystrom_hsic(landmarks=100)"), iso.metric("hsic(kernel='rbf')")
        >>> abs(sketch(x, x**2) / whole(x, x**2) - 1) < 0.1
        True
    """

    name: ClassVar[str] = "nystrom_hsic"
    variants: ClassVar[tuple[str, ...]] = (
        "nystrom_hsic(estimator='unbiased', landmarks=16)",
        "nystrom_hsic(estimator='biased', landmarks=24)",
    )

    @property
    def reference(self) -> str:
        return "Williams and Seeger (2001), Nyström; Drineas and Mahoney (2005); bound and landmarks as nystrom_cka."

    def _around(self, score: float, x: Kernel, y: Kernel, *, measured: bool) -> tuple[float, float]:
        (a, t), (b, u) = ((_norm(k), _left(k, measured=measured)) for k in (x, y))
        away = (t * b + u * a + t * u) / normalizer("unbiased" if self.estimator != "biased" else "biased", x.n)
        return max(score - away, self.range[0]), score + away


def _left(kernel: Kernel, *, measured: bool) -> float:
    """The Frobenius norm of what a sketch leaves out, in the units of the data."""
    assert kernel.missing is not None  # of a sketch
    return kernel.missing.measured if measured else kernel.missing.bound


def _norm(kernel: Kernel) -> float:
    """The Frobenius norm of a sketch's adjusted kernel, in the units of the data."""
    assert kernel.own is not None  # a comparison has made it
    return float(to_numpy(kernel.scale)) ** 2 * math.sqrt(float(to_numpy(kernel.own)))


def _relative(kernel: Kernel, *, measured: bool) -> float:
    return _left(kernel, measured=measured) / _norm(kernel)

"""Perturbed views as controls: words shuffled, pictures blurred, recordings reversed.

A perturbed view is spelled ``"view | perturbation"``, wherever a view is named: ``"text | shuffle_words(seed=1)"``. It
is made as it is read, and an item's change follows from its own content and the seed alone, not from its place or its
id. Its digests are its own, so that features of it are never taken for those of the original.
"""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import scipy

from .._core.checks import as_count, as_seed, is_finite
from .._core.registry import bind, format_spec, parse_spec
from ..errors import InputError, UnknownNameError, quoted
from ._views import Audio, View, pixels
from ._words import TOKEN, content_words

Array = np.ndarray[Any, Any]
Draws = np.random.Generator


class Perturbation(ABC):
    """A change of single items; a frozen dataclass whose fields are its parameters.

    Example:
        >>> PERTURBATIONS["first_words"](n=2)("a grey cat on a mat", np.random.default_rng(0))
        'a grey'
    """

    name: ClassVar[str]
    modality: ClassVar[str]

    @abstractmethod
    def __call__(self, item: Any, rng: Draws) -> Any:
        """The changed item."""

    @property
    def spec(self) -> str:
        """Name and all parameters."""
        return format_spec(self.name, dataclasses.asdict(self))  # type: ignore[call-overload]  # all are dataclasses


@dataclasses.dataclass(frozen=True)
class PerturbedView(View):
    """A view whose items are changed as they are read.

    Attributes:
        base: The original.
        how: The change.

    Example:
        >>> from isomorph.datasets import as_view
        >>> view = perturbed(as_view(["a cat on a mat", "a dog"]), "first_words(n=2)")
        >>> list(view), view.digest(1) == view.base.digest(1)
        (['a cat', 'a dog'], False)
    """

    base: View
    how: Perturbation

    @property
    def modality(self) -> str:
        return self.base.modality

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._item(i) for i in range(*index.indices(len(self)))]
        return self._item(index)

    def _item(self, index: int) -> Any:
        rng = np.random.default_rng(list(self.digest(index)))
        return self.how(self.base[index], rng)

    def digest(self, index: int) -> bytes:
        return hashlib.sha256(b"p" + self.how.spec.encode() + b"\0" + self.base.digest(index)).digest()

    def take(self, indices: Sequence[int]) -> PerturbedView:
        return PerturbedView(self.base.take(indices), self.how)


def perturbed(view: View, how: str) -> PerturbedView:
    """A view with its items changed.

    Args:
        view: Texts, images or recordings.
        how: Name and parameters of a perturbation, such as ``"blur(sigma=0.05)"``.

    Raises:
        UnknownNameError: if there is no such perturbation of that modality.
        InputError: if its parameters do not fit.

    Example:
        >>> from isomorph.datasets import as_view
        >>> perturbed(as_view(["a cat on a mat"]), "mask_words")[0]
        'a ___ on a ___'
    """
    name, args, kwargs = parse_spec(how, "perturbation")
    kinds = {k: v for k, v in PERTURBATIONS.items() if v.modality == view.modality}
    if name in PERTURBATIONS and name not in kinds:
        raise InputError(
            f"{name} changes {PERTURBATIONS[name].modality}, and the view holds {view.modality}; for that there are "
            f"{', '.join(kinds) or 'no perturbations'}."
        )
    if name not in kinds:
        raise UnknownNameError(f"perturbation of {view.modality}", name, kinds)
    return PerturbedView(view, bind(kinds[name], "perturbation", how, args, kwargs))


# ---------------------------------------------------------------- texts


@dataclasses.dataclass(frozen=True)
class ShuffleWords(Perturbation):
    """The same words in another order; a text of one word (or of one word again and again) stays as it is.

    Attributes:
        seed: Seed of the order.
    """

    name: ClassVar[str] = "shuffle_words"
    modality: ClassVar[str] = "text"

    seed: int = 0

    def __post_init__(self) -> None:
        as_seed(self.seed)

    def __call__(self, item: str, rng: Draws) -> str:
        words = item.split()
        if len(set(words)) < 2:
            return item
        while True:  # half of all orders differ at least
            moved = [words[i] for i in rng.permutation(len(words))]
            if moved != words:
                return " ".join(moved)


@dataclasses.dataclass(frozen=True)
class DropWords(Perturbation):
    """A share of the words is left out, the others keep their order; one at least stays.

    Attributes:
        share: Share that is left out, rounded to whole words, half up.
        seed: Seed of the choice.
    """

    name: ClassVar[str] = "drop_words"
    modality: ClassVar[str] = "text"

    share: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        _check_share(self.share, "drop_words(share)")
        as_seed(self.seed)

    def __call__(self, item: str, rng: Draws) -> str:
        words = item.split()
        count = max(1, len(words) - int(self.share * len(words) + 0.5))
        if count == len(words):
            return item
        return " ".join(words[i] for i in np.sort(rng.permutation(len(words))[:count]))


@dataclasses.dataclass(frozen=True)
class MaskWords(Perturbation):
    """Content words give way to a mask; English function words (articles, prepositions, pronouns, …) stay.

    A text without function words becomes masks alone. The list of function words is English: words of other languages
    all count as content.

    Attributes:
        mask: What stands in place of a content word.
    """

    name: ClassVar[str] = "mask_words"
    modality: ClassVar[str] = "text"

    mask: str = "___"

    def __post_init__(self) -> None:
        if not self.mask.strip() or len(self.mask.split()) > 1:
            raise InputError(f"mask_words(mask={quoted(self.mask)}): one word is needed.")

    def __call__(self, item: str, rng: Draws) -> str:
        return TOKEN.sub(lambda m: self.mask if content_words(m[0]) else m[0], item)


@dataclasses.dataclass(frozen=True)
class FirstWords(Perturbation):
    """The first words only: captions of varying detail.

    Attributes:
        n: How many; shorter texts stay as they are.
    """

    name: ClassVar[str] = "first_words"
    modality: ClassVar[str] = "text"

    n: int = 1

    def __post_init__(self) -> None:
        as_count(self.n, "first_words(n)")

    def __call__(self, item: str, rng: Draws) -> str:
        words = item.split()
        return item if len(words) <= self.n else " ".join(words[: self.n])


# ---------------------------------------------------------------- images


@dataclasses.dataclass(frozen=True)
class Blur(Perturbation):
    """A Gaussian blur.

    Attributes:
        sigma: Standard deviation as a share of the shorter edge, so that pictures of all sizes lose the same detail.
    """

    name: ClassVar[str] = "blur"
    modality: ClassVar[str] = "image"

    sigma: float = 0.05

    def __post_init__(self) -> None:
        _check_share(self.sigma, "blur(sigma)")

    def __call__(self, item: Any, rng: Draws) -> Array:
        image = pixels(item)
        width = self.sigma * min(image.shape[:2])
        return _bytes(scipy.ndimage.gaussian_filter(image.astype(np.float64), (width, width, 0), mode="nearest"))


@dataclasses.dataclass(frozen=True)
class ShufflePatches(Perturbation):
    """Equal squares of a grid change places: what is in the picture stays, where it is goes.

    Attributes:
        grid: Squares an edge; pixels at the right and lower edge that fill no whole square stay.
        seed: Seed of the order.
    """

    name: ClassVar[str] = "shuffle_patches"
    modality: ClassVar[str] = "image"

    grid: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        as_count(self.grid, "shuffle_patches(grid)", 2)
        as_seed(self.seed)

    def __call__(self, item: Any, rng: Draws) -> Array:
        image, g = pixels(item).copy(), self.grid
        h, w = image.shape[0] // g, image.shape[1] // g
        if not h or not w:
            raise InputError(
                f"shuffle_patches(grid={g}): the picture has {image.shape[1]} × {image.shape[0]} pixels, fewer than "
                "squares along an edge; take a smaller grid."
            )
        part = image[: g * h, : g * w].reshape(g, h, g, w, 3).transpose(0, 2, 1, 3, 4).reshape(g * g, h, w, 3)
        moved = part[rng.permutation(g * g)].reshape(g, g, h, w, 3).transpose(0, 2, 1, 3, 4)
        image[: g * h, : g * w] = moved.reshape(g * h, g * w, 3)
        return image


@dataclasses.dataclass(frozen=True)
class MaskCenter(Perturbation):
    """The middle of the picture gives way to its mean color: where the object is in most pictures.

    It knows nothing of objects; those at the edge stay in sight.

    Attributes:
        share: Share of each edge that the masked rectangle spans.
    """

    name: ClassVar[str] = "mask_center"
    modality: ClassVar[str] = "image"

    share: float = 0.5

    def __post_init__(self) -> None:
        _check_share(self.share, "mask_center(share)")

    def __call__(self, item: Any, rng: Draws) -> Array:
        image = pixels(item).copy()
        spans = []
        for edge in image.shape[:2]:
            inside = max(1, round(self.share * edge))
            start = (edge - inside) // 2
            spans.append(slice(start, start + inside))
        image[spans[0], spans[1]] = _bytes(image.mean(axis=(0, 1)))
        return image


@dataclasses.dataclass(frozen=True)
class Silhouette(Perturbation):
    """Everything that is not white becomes black: the shape of an object on a white background, without its inside.

    Attributes:
        threshold: Least distance from white of any channel, of 255, that counts as object.
    """

    name: ClassVar[str] = "silhouette"
    modality: ClassVar[str] = "image"

    threshold: int = 16

    def __post_init__(self) -> None:
        as_count(self.threshold, "silhouette(threshold)", 1, 255)

    def __call__(self, item: Any, rng: Draws) -> Array:
        image = pixels(item)
        inside = (255 - image.astype(np.int64)).max(axis=2) >= self.threshold
        frame = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
        if frame.mean() > 0.5:
            raise InputError(
                "silhouette: most of the picture's edge is not white, so that there is no object on a white background;"
                " use mask_center or blur."
            )
        return np.repeat(np.where(inside, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


@dataclasses.dataclass(frozen=True)
class Grayscale(Perturbation):
    """Without color: the luma of ITU-R BT.601 in all three channels."""

    name: ClassVar[str] = "grayscale"
    modality: ClassVar[str] = "image"

    def __call__(self, item: Any, rng: Draws) -> Array:
        return np.repeat(_bytes(pixels(item) @ np.array([0.299, 0.587, 0.114]))[:, :, None], 3, axis=2)


# ---------------------------------------------------------------- recordings


@dataclasses.dataclass(frozen=True)
class Reverse(Perturbation):
    """Played backwards: the same spectrum over the whole, no words."""

    name: ClassVar[str] = "reverse"
    modality: ClassVar[str] = "audio"

    def __call__(self, item: Audio, rng: Draws) -> Audio:
        return Audio(np.ascontiguousarray(item.samples[::-1]), item.rate)


@dataclasses.dataclass(frozen=True)
class Noise(Perturbation):
    """White noise is added; what leaves [-1, 1] is clipped. Silence stays silent.

    Attributes:
        decibels: Power of the recording over that of the noise; 0 is as loud.
        seed: Seed of the noise.
    """

    name: ClassVar[str] = "noise"
    modality: ClassVar[str] = "audio"

    decibels: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not is_finite(self.decibels):
            raise InputError(f"noise(decibels={quoted(self.decibels)}): a finite number is needed.")
        as_seed(self.seed)

    def __call__(self, item: Audio, rng: Draws) -> Audio:
        samples = item.samples.astype(np.float64)
        scale = np.sqrt(np.mean(samples**2) * 10 ** (-self.decibels / 10))
        noisy = np.clip(samples + scale * rng.standard_normal(len(samples)), -1.0, 1.0)
        return Audio(noisy.astype(np.float32), item.rate)


_KINDS: tuple[type[Perturbation], ...] = (
    ShuffleWords, DropWords, MaskWords, FirstWords, Blur, ShufflePatches, MaskCenter, Silhouette, Grayscale, Reverse,
    Noise,
)  # fmt: skip
PERTURBATIONS: dict[str, type[Perturbation]] = {kind.name: kind for kind in _KINDS}
"""Every perturbation by its name."""


def _check_share(value: float, what: str) -> None:
    if not is_finite(value) or not 0 < value < 1:
        raise InputError(f"{what}={quoted(value)}: a share between 0 and 1 is needed.")


def _bytes(values: Array) -> Array:
    return np.asarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))

"""What an encoder is: a frozen network that turns a batch of items into pooled features of every layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ._probes import PROBED, Fault, probes_of

Features = Mapping[str, "np.ndarray[Any, Any]"]


class Encoder(ABC):
    """A frozen encoder of one modality.

    Everything that changes the features is in `identity`, which addresses them in the store.

    Example:
        >>> import isomorph as iso
        >>> encoder = iso.load_encoder("statistics:text")  # no network: counts of words and of characters
        >>> encoder.layers
        ('words', 'characters')
        >>> encoder.encode(["a cat", "a dog"])["words"].shape
        (2, 513)
        >>> encoder.identity["modality"]  # what the store files the features under
        'text'
    """

    provider: ClassVar[str]
    """The part before the colon in a model spec, such as ``"onnx"``."""

    @property
    @abstractmethod
    def name(self) -> str:
        """How users call it, such as ``"bundled:dinov2-small"``; untrained twins end in ``"?init=random"``."""

    @property
    @abstractmethod
    def revision(self) -> str:
        """Pinned revision of the weights; never empty (a local file's is its hash)."""

    @property
    @abstractmethod
    def modality(self) -> str:
        """``"text"``, ``"image"`` or ``"audio"``."""

    @property
    @abstractmethod
    def layers(self) -> tuple[str, ...]:
        """Layer names from input to output; what each holds is stated in `description`."""

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """Number of parameters of the part that runs."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """JSON-able facts that determine the features: weights fingerprint, preprocessing, pooling, dtype and init."""

    @abstractmethod
    def encode(self, batch: Sequence[Any]) -> Features:
        """Pooled features of one batch: layer -> float32 array (len(batch), d), or lists of (t, d) unpooled.

        Args:
            batch: Items of the encoder's modality: text as `str`, images as uint8 arrays (h, w, 3) or PIL images,
                audio as `isomorph.datasets.Audio`.

        Raises:
            InputError: if an item cannot be encoded or its activations are not finite; the layer and the item's
                position in the batch are named.
        """

    def cost(self, item: Any) -> float:
        """Relative cost of an item, so that alike ones share a batch; 0 for all if cost does not vary."""
        return float(len(item)) if isinstance(item, str) else 0.0

    def __repr__(self) -> str:
        return f"<{self.description}>"

    @property
    def traits(self) -> Mapping[str, str]:
        """What is known about the model beside its features.

        Its ``family``, its ``objective``, its training ``data``, and what differs with size along the family
        (``confounds``). They travel with extracted features (`Layers.provenance`), and are no part of the identity.
        """
        return {}

    metered: ClassVar[bool] = False
    """Whether every item costs its user money, so that nothing is sent beyond need and its number is said before."""

    checked: str = "not yet"
    """``"passed"``, ``"skipped"``, or ``"awaits items"`` where only the user's own items can show it."""
    waiting: tuple[Any, ...] = ()
    """Items that wait for another to be checked with."""
    notes: tuple[str, ...] = ()
    """What the self-check mended, in words."""

    @property
    def checkee(self) -> Encoder:
        """The encoder that the self-check runs on: this one, or the one that it wraps."""
        return self

    @property
    def precision(self) -> str:
        """Type that the network computes in, such as ``"float32"``."""
        return "float32"

    @property
    def pooling(self) -> str:
        """How tokens become one vector, if that is known."""
        return ""

    @property
    def untrained(self) -> bool:
        """Whether the weights are random ones."""
        return self.name.endswith("?init=random")

    def announce(self, n_items: int) -> None:  # noqa: B027  # only what is metered has something to say
        """Say what encoding so many items will send."""

    def probes(self) -> list[Any]:
        """A few items of its modality for the self-check, or none if only its user has such items."""
        return probes_of(self.modality) if self.modality in PROBED else []

    def alike(self, a: Any, b: Any) -> bool:
        """Whether two items are of one size, so that neither is padded beside the other."""
        sizes = [getattr(getattr(v, "samples", v), "shape", None) for v in (a, b)]
        return len(a.split()) == len(b.split()) if isinstance(a, str) and isinstance(b, str) else sizes[0] == sizes[1]

    def warm_up(self, probes: Sequence[Any]) -> None:  # noqa: B027  # most kinds learn nothing
        """Learn from probes what must be known before the first features, where this kind of encoder learns any."""

    def own_fault(self, probes: Sequence[Any]) -> Fault | None:
        """What encoders of this kind alone can find amiss; None if nothing is."""
        return None

    def mend(self, fault: Fault) -> str | None:
        """Mend a fault of the self-check and say how, or None if there is no certain mending."""
        return None

    def mended(self) -> dict[str, Any]:
        """JSON-able settings that the self-check changed, for `restore`."""
        return {"notes": list(self.notes)} if self.notes else {}

    def restore(self, mended: Mapping[str, Any]) -> None:
        """Take over what an earlier self-check changed."""
        self.notes = tuple(mended.get("notes", ()))

    def check_facts(self) -> dict[str, Any]:
        """The part of the identity that the self-check adds."""
        skipped = {"check": "skipped"} if self.checked == "skipped" else {}
        return skipped | ({"mended": list(self.notes)} if self.notes else {})

    @property
    def description(self) -> str:
        """One line for people: architecture, layers, pooling, whether the final norm is applied."""
        return f"{self.name}: {len(self.layers)} layers, {self.n_parameters:,} parameters"

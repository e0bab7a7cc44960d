"""What an encoder is: a frozen network that turns a batch of items into pooled features of every layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

Features = Mapping[str, "np.ndarray[Any, Any]"]


class Encoder(ABC):
    """A frozen encoder of one modality.

    Everything that changes the features is in `identity`, which addresses them in the store.
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
    def description(self) -> str:
        """One line for people: architecture, layers, pooling, whether the final norm is applied."""
        return f"{self.name}: {len(self.layers)} layers, {self.n_parameters:,} parameters"

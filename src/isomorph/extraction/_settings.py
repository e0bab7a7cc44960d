"""Settings of `extract`."""

from __future__ import annotations

import dataclasses

from .._core.checks import as_count, check_flag, is_finite
from .._core.memory import parse_bytes
from .._core.settings import Settings
from ..errors import InputError, UnknownNameError, quoted
from ..store._entry import DTYPES


@dataclasses.dataclass(frozen=True)
class ExtractSettings(Settings):
    """How an encoder is run over the items, whichever they are.

    Attributes:
        view: View of the items, or None for the one of the encoder's modality; ``"text | shuffle_words(seed=1)"`` is a
            view with its items changed, as a control.
        batch_size: Items a batch.
        storage: ``"float32"``, or ``"float16"`` for half the space and about three digits.
        skip_bad: Leave out items that cannot be read or encoded, rather than stop at the first.
        memory: What the features may take if there is no store, such as ``"4GB"`` or bytes.
        commit_every: Least number of seconds between commits to the store; 0 commits every batch.

    Raises:
        InputError: if a setting does not fit.

    Example:
        >>> ExtractSettings(batch_size=32, memory="1GB").bytes()
        1000000000
    """

    view: str | None = None
    batch_size: int = 16
    storage: str = "float32"
    skip_bad: bool = False
    memory: str | int | float = "4GB"
    commit_every: float = 1.0

    def __post_init__(self) -> None:
        as_count(self.batch_size, "batch_size")
        if not isinstance(self.storage, str) or self.storage not in DTYPES:
            raise UnknownNameError("storage", quoted(self.storage), DTYPES)
        check_flag(self.skip_bad, "skip_bad")
        self.bytes()
        if not is_finite(self.commit_every) or self.commit_every < 0:
            raise InputError(f"commit_every={quoted(self.commit_every)}: a number of seconds of at least 0 is needed.")

    def bytes(self) -> float:
        """The bytes that the features may take; infinity is no limit.

        Raises:
            InputError: if `memory` is no size.
        """
        if isinstance(self.memory, float):
            if not self.memory >= 0:  # nor is NaN
                raise InputError(f"memory={quoted(self.memory)}: at least 0 bytes, or a text like '4GB', are needed.")
            return float(self.memory)
        return parse_bytes(self.memory, least=0)

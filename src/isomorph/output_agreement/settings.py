"""The settings of comparing what models answer, checked once."""

from __future__ import annotations

import dataclasses

from .._core.checks import as_count, as_seed, check_choice, check_flag, is_share
from .._core.settings import Settings
from ..errors import InputError, quoted

KINDS = ("auto", "classification", "retrieval", "rankings", "tokens")


@dataclasses.dataclass(frozen=True)
class OutputsSettings(Settings):
    """How outputs are read and compared.

    Attributes:
        kind: What outputs are: ``"classification"`` (probabilities of classes, or predicted labels), ``"retrieval"``
            (similarities of queries to a gallery, higher first), ``"rankings"`` (names of gallery items, best first),
            ``"tokens"`` (natural log-probabilities of the next token); ``"auto"`` where rows of probabilities,
            log-probabilities or labels tell by themselves.
        logits: Whether scores of classes or tokens are logits, of which the softmax is taken.
        k: Places of the overlap of first ones, in retrieval and of tokens; at most the columns.
        persistence: Of the rank-biased overlap, the weight of each rank in that of the one before.
        bins: Bins of equal mass of the calibration errors.
        alpha: Intervals cover 1 - alpha.
        draws: Bootstrap samples of the items.
        permutations: Random re-pairings of the items, and exchanges of two models.
        seed: Seed of all draws.

    Example:
        >>> OutputsSettings(kind="tokens", k=5).facts()["k"]
        5
    """

    kind: str = "auto"
    logits: bool = False
    k: int = 10
    persistence: float = 0.9
    bins: int = 15
    alpha: float = 0.05
    draws: int = 500
    permutations: int = 999
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self.kind, "kind", KINDS)
        check_flag(self.logits, "logits")
        if self.logits and self.kind in ("retrieval", "rankings"):
            raise InputError(
                f"logits=True is of scores of classes or tokens, and kind={self.kind!r} ranks a gallery by any scores; "
                "leave it out."
            )
        as_count(self.k, "k")
        as_count(self.bins, "bins")
        for name, example in (("persistence", 0.9), ("alpha", 0.05)):
            value = getattr(self, name)
            if not is_share(value):
                raise InputError(f"{name}={quoted(value)} must be a number between 0 and 1, such as {example}.")
        as_count(self.draws, "draws", 20, 10**6)
        as_count(self.permutations, "permutations", 19, 10**6)
        object.__setattr__(self, "seed", as_seed(self.seed))

"""The encoders of a study: loaded where they compute, and otherwise what they said of themselves when they were."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from ..datasets import PairedItems
from ..encoders import Encoder, load_encoder
from ..encoders._base import Features
from ..encoders._kept_facts import FACTS, facts_of, keep_facts, kept_facts
from ..errors import InputError
from ..extraction._ranges import without_missing_files
from ..store import choose_view
from ._entries import EncoderEntry
from ._file import Study


@dataclasses.dataclass(frozen=True)
class Run:
    """One extraction of a study: an encoder, or its untrained twin.

    Attributes:
        study: The study.
        entry: The encoder's table.
        init: ``"pretrained"`` or ``"random"``.
    """

    study: Study
    entry: EncoderEntry
    init: str

    def load(self) -> Encoder:
        """The encoder itself.

        Raises:
            InputError: if its model does not take an option.
        """
        try:
            encoder = load_encoder(self.entry.model, store=self.study.store.root, **self.options)
        except TypeError as error:
            raise InputError(f"encoders.{self.entry.name}: {error}.") from error
        except InputError as error:
            if self.init == "random":
                raise InputError(f"encoders.{self.entry.name}: it cannot have untrained = true: {error}") from error
            raise
        keep_facts(self.entry.model, self.options, encoder)
        return encoder

    @property
    def options(self) -> dict[str, Any]:
        """All that it is loaded with."""
        twin = {"init": self.init, "seed": self.study.seed} if self.init == "random" else {}
        return {**self.entry.options, **twin}

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What it says of itself; the model is not held, for all models of a study together may not fit.

        Raises:
            InputError: as `load`.
        """
        found = kept_facts(self.entry.model, self.options)
        return facts_of(self.load()) if found is None else found

    @property
    def told(self) -> Encoder:
        """The encoder by its facts; whoever lets go of it lets go of the model that it may have loaded.

        Raises:
            InputError: as `load`.
        """
        return Told(self)

    def view(self, items: PairedItems) -> str:
        """The view that it encodes.

        Raises:
            InputError: if none fits it.
        """
        return choose_view(self.told, items, self.entry.settings.view)

    def missing(self, items: PairedItems) -> int:
        """How many items are not in the store now."""
        view, settings = self.view(items), self.entry.settings
        if settings.skip_bad:
            items, _ = without_missing_files(items, view)
        contents = self.study.store.entry(self.told, items, view, settings.storage).contents
        done = {*contents.stored, *(contents.skipped if settings.skip_bad else ())}
        return sum(position not in done for position in range(len(items)))


def _fact(name: str) -> Callable[[Any], Any]:
    return lambda told: told.run.facts[name]


class Told(Encoder):
    """An encoder as it was when it was loaded; what only the model can answer loads it again.

    Args:
        run: What loads it.
    """

    provider = "told"
    name, revision, modality, layers, n_parameters, identity, traits = (property(_fact(name)) for name in FACTS)

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def _loaded(self) -> Encoder:
        found = self.run.load()
        if facts_of(found)["identity"] != self.identity:
            raise InputError(f"encoders.{self.run.entry.name}: its model changed while the study ran; run it again.")
        return found

    def encode(self, batch: Sequence[Any]) -> Features:
        return self._loaded.encode(batch)

    def cost(self, item: Any) -> float:
        return self._loaded.cost(item)


def extractions(study: Study) -> tuple[Run, ...]:
    """Every extraction: each encoder, followed by its untrained twin where asked for."""
    entries = study.encoders.values()
    return tuple(Run(study, e, init) for e in entries for init in ["pretrained", *(["random"] if e.untrained else [])])

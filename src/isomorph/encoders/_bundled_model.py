"""What a bundled model is: the packages that carry its weights, how they are loaded, and what is known about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from .._core.packages import Package
from ..errors import InputError, UnknownNameError, quoted
from ._base import Encoder
from ._provider import ModelFacts, Options

Load = Callable[[str, Options, dict[str, Any]], Encoder]


@dataclasses.dataclass(frozen=True)
class Model:
    """One entry of the list of bundled models.

    Attributes:
        modality: ``"text"``, ``"image"`` or ``"audio"``.
        summary: Architecture, depth and width in one line.
        parameters: Number of parameters of the part that runs by default.
        family: Models that differ in size, and as little as can be in other ways; or in what they were trained for.
        objective: What it was trained for, in the words of `objectives`.
        data: What it was trained on, in a word; "not stated" if nobody says.
        license: Upstream terms of the weights, as their model card states them.
        megabytes: Size of the download.
        packages: What carries the weights, and what else is needed of packages.
        load: Makes the encoder, from its name, the options and the keyword options.
        confounds: What a comparison along the family confounds with size.
    """

    modality: str
    summary: str
    parameters: int
    family: str
    objective: str
    data: str
    license: str
    megabytes: int
    packages: tuple[Package, ...]
    load: Load
    confounds: str = ""

    @property
    def source(self) -> str:
        """The packages, pinned, in one line."""
        return ", ".join(f"{'npm ' if p.client == 'npm' else ''}{p.name}=={p.version}" for p in self.packages)

    @property
    def traits(self) -> dict[str, str]:
        """What it was made for and of, as an encoder reports it."""
        return {"family": self.family, "objective": self.objective, "data": self.data}

    def facts(self, name: str) -> ModelFacts:
        """The entry without its loader."""
        return ModelFacts(
            f"bundled:{name}",
            self.modality,
            self.summary,
            self.source,
            self.license,
            self.megabytes,
            parameters=self.parameters,
            confounds=self.confounds,
            **self.traits,
        )


def no_more(name: str, extra: dict[str, Any], known: tuple[str, ...] = ()) -> None:
    """See that a model is given no options that it does not take.

    Raises:
        UnknownNameError: if it is.
        InputError: if it is told a side, of which bundled models have one.
    """
    for option, given in extra.items():
        if option not in known:
            if option == "side":
                raise InputError(f"side={quoted(given)}: bundled:{name} has one part; leave side= out.")
            raise UnknownNameError(f"option of bundled:{name}", option, known)

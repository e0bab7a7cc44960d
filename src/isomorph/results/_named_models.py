"""Models by name and by their attributes: whom a question is of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import InputError, UnknownNameError, quoted

Value = str | float | None


class NamedModels:
    """Base of results over models that have attributes.

    Attributes:
        models: Names of the models.
        attributes: Attribute -> one value a model, None where it is not known.
    """

    models: tuple[str, ...]
    attributes: Mapping[str, tuple[Value, ...]]

    def attribute(self, name: str) -> tuple[Value, ...]:
        """One value a model, None where it is not known; ``"log NAME"`` is the logarithm to base 2 of a number.

        Raises:
            UnknownNameError: if there is no such attribute.
            InputError: if it is no name, or a logarithm is asked for of what is no positive number.
        """
        if not isinstance(name, str):
            raise InputError(f"{quoted(name)} is no attribute; one is a name, such as {next(iter(self.attributes))!r}.")
        if name in self.attributes:
            return self.attributes[name]
        base = name.removeprefix("log ")
        if base == name or base not in self.attributes:
            raise UnknownNameError("attribute", name, self.attributes)
        values = self.attributes[base]
        odd = next((v for v in values if v is not None and (isinstance(v, str) or not v > 0)), None)
        if odd is not None:
            raise InputError(f"{name}: {base}={quoted(odd)} has no logarithm; only positive numbers have.")
        return tuple(None if v is None else math.log2(float(v)) for v in values)

    def chosen(self, reference: Any, what: str = "reference") -> tuple[str, ...]:
        """The models that a reference names, each once: one, several, or those of an attribute's value; empty for None.

        Args:
            reference: A name, several, or a mapping from attribute to value, such as ``{"modality": "text"}``.
            what: What it is called in messages.

        Raises:
            UnknownNameError: if there is no such model or attribute.
            InputError: if no model has that value.
        """
        if reference is None:
            return ()
        if isinstance(reference, Mapping):
            kept = [
                m
                for k, m in enumerate(self.models)
                if all(self.attribute(a)[k] == value for a, value in reference.items())
            ]
            if not kept:
                told = ", ".join(f"{a}={v!r}" for a, v in reference.items())
                raise InputError(f"{what}: no model has {told}.")
            return tuple(kept)
        if not isinstance(reference, (str, list, tuple, set, frozenset)):
            raise InputError(
                f"{what}: {quoted(reference)} names no model; give a name, several, or an attribute's value."
            )
        names = (reference,) if isinstance(reference, str) else tuple(reference)
        for name in names:
            if not isinstance(name, str) or name not in self.models:
                raise UnknownNameError("model of this atlas", str(name), self.models)
        # a model that is named twice, as by two patterns that overlap, counts once
        return tuple(
            sorted(names, key=self.models.index) if isinstance(reference, (set, frozenset)) else dict.fromkeys(names)
        )

    def _one(self, model: Any) -> str:
        """The name of a model.

        Raises:
            UnknownNameError: if there is none of that name.
        """
        if not isinstance(model, str) or model not in self.models:
            raise UnknownNameError("model of this atlas", str(model), self.models)
        return model

    def _roles(self, specialists: Any, pool: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Specialists, and the pool without them; a pool may be a value of the attribute ``role``.

        Raises:
            UnknownNameError: if there is no such model.
            InputError: if one of the two is empty.
        """
        role = isinstance(pool, str) and pool not in self.models and "role" in self.attributes
        inner, outer = self.chosen({"role": pool} if role else pool, "pool"), self.chosen(specialists, "specialists")
        if not inner or not outer:
            raise InputError("specialists and pool are both needed: names, or an attribute and its value.")
        return outer, tuple(m for m in inner if m not in outer)

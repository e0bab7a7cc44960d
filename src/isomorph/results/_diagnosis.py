"""The result of a diagnosis: named failure signatures, each with its evidence and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from .._core.hints import fits
from ._base import Result
from ._guide import Advice
from ._tables import frame


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Finding(Result):
    """What was found about one signature in one place.

    Attributes:
        signature: Name of the signature, such as ``"hubs"``.
        where: What it was looked for in, such as ``"x, layer_07"``.
        present: Whether it is there.
        evidence: Name -> number or text that the verdict rests on, thresholds included.
        summary: What that means, in one or two sentences.
        advice: What to do about it; empty if it is not present.
        title: What to call it where the name of the signature does not say what was looked at, such as a baseline
            that is no untrained twin; empty where it does.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(100, 16)) + 5
        >>> found = iso.diagnose(x)["anisotropy"][0]
        >>> found.present, found.where
        (True, 'x, x')
        >>> sorted(found.evidence)
        ['after centring', 'mean cosine of two items', 'share of the mean in the squared length', 'threshold']
    """

    kind: ClassVar[str] = "finding"

    signature: str
    where: str
    present: bool
    evidence: Mapping[str, Any]
    summary: str
    advice: str = ""
    title: str = ""

    def __repr__(self) -> str:
        facts = ", ".join(f"{k} {_shown(v)}" for k, v in self.evidence.items())
        return f"Finding({self.signature} in {self.where}: {'present' if self.present else 'not present'}; {facts})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Result):
    """Everything that was looked for: what is there, what is not, and what could not be looked for.

    ``"hubs" in diagnosis`` says whether a signature is present; ``diagnosis["hubs"]`` gives its findings.

    Attributes:
        x_name: What `x` is.
        y_name: What `y` is, or empty.
        findings: In the order of the signatures.
        unchecked: Signature -> what is missing to look for it.
        quadrant: Where geometry and function were both measured: ``geometry`` and ``function``, each from 0 (chance)
            to 1 (the ceiling), and what they are made of.
        n: Number of items, where features were given.
        provenance: How to make it again.
        guide: Which metric to trust for what is asked here, by the league that is packaged (`Guide`).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> found = iso.diagnose(x + 5)
        >>> "anisotropy" in found, "hubs" in found
        (True, False)
        >>> [finding.where for finding in found["anisotropy"]]
        ['x, x']
    """

    kind: ClassVar[str] = "diagnosis"

    x_name: str
    y_name: str
    findings: tuple[Finding, ...]
    unchecked: Mapping[str, str]
    quadrant: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    n: int = 0
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    guide: tuple[Advice, ...] = ()

    def contradictions(self) -> Iterator[str]:
        kinds: dict[str, Any] = {"geometry": float, "function": float, "metric": str, "use": str}
        kinds |= dict.fromkeys(("metrics", "uses"), dict[str, float])
        if self.quadrant and not all(k in self.quadrant and fits(self.quadrant[k], h) for k, h in kinds.items()):
            yield "its quadrant is not made of shares by metric and use"

    @property
    def present(self) -> tuple[Finding, ...]:
        """The findings that are there."""
        return tuple(f for f in self.findings if f.present)

    def __contains__(self, signature: object) -> bool:
        return any(f.signature == signature for f in self.present)

    def __getitem__(self, signature: str) -> tuple[Finding, ...]:
        """All findings about a signature, present or not.

        Raises:
            KeyError: if it was not looked for; the reason is given.
        """
        found = tuple(f for f in self.findings if f.signature == signature)
        if not found:
            known = ", ".join(dict.fromkeys(f.signature for f in self.findings))
            raise KeyError(
                self.unchecked.get(signature, f"no signature {signature!r} was looked for; there are {known}")
            )
        return found

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary a finding."""
        return [
            {"x": self.x_name, "y": self.y_name, "signature": f.signature, "where": f.where, "present": f.present}
            | {"summary": f.summary, "advice": f.advice, "evidence": dict(f.evidence)}
            for f in self.findings
        ]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        what = self.x_name + (f" × {self.y_name}" if self.y_name else "")
        names = list(dict.fromkeys(f.signature for f in self.findings))
        there = list(dict.fromkeys(f.signature for f in self.present))
        lines = [f"Diagnosis of {what}: {len(there)} of {len(names)} signatures present"]
        for name in there:
            found = [f for f in self.present if f.signature == name]
            lines.append(f"  {name} in {_places(found)}: {found[0].summary}")  # the summary names what was looked at
            lines.append("    " + ", ".join(f"{k} {_shown(v)}" for k, v in found[0].evidence.items()))
            lines.append(f"    → {found[0].advice}")
        absent = [n for n in names if n not in there]
        if absent:
            lines.append(f"  not present: {', '.join(absent)}")
        lines += [f"  not looked for: {name} ({reason})" for name, reason in self.unchecked.items()]
        if self.guide:
            lines.append(f"  which metric to trust, by a league over {self.guide[0].family}:")
            lines += [f"    {advice.sentence}" for advice in self.guide]
        return "\n".join(lines)


def _places(found: list[Finding]) -> str:
    return found[0].where if len(found) == 1 else f"{found[0].where} and {len(found) - 1} more"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""The result of stitching two networks: per cut and fit, what the joined network still can do, beside its controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ..errors import UnknownNameError
from ._base import Result
from ._conditions import BASELINE, CEILING, CONTROL, Condition, condition_of
from ._tables import frame

WORKS = 0.5
"""A stitched network works if it keeps this share of what the top scores above chance."""
NETWORK_CONDITIONS = (
    Condition(CEILING, "self_stitch"),
    Condition(BASELINE, "random_bottom"),
    Condition(CONTROL, "permuted"),
)
"""What every cut is compared with: the top as its own bottom, an untrained bottom, a fit to pairs of other items."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class CutStitch(Result):
    """One cut, joined by one kind of stitch, scored on items that the stitch was not fitted on.

    Attributes:
        bottom_layer: Layer whose activations leave the bottom.
        top_layer: Layer of the top whose activations they replace.
        bottom_depth: Where that is in the bottom: share of its elementary modules that have run, in (0, 1].
        top_depth: The same in the top.
        stitch: Form of the stitch, such as ``"conv1x1"``.
        fit: How it was fitted, such as ``"least_squares"``.
        widths: Features of the bottom's layer and of the top's.
        rows: Rows (items × positions) that the stitch was fitted on.
        accuracy: Accuracy of the joined network.
        base_accuracy: Accuracy of the top alone on the same items.
        chance: Accuracy of always saying the most frequent class of these items.
        penalty_interval: 95 % interval of `penalty`, paired over items.
        r2: R² of the stitched against the top's true activations; 1 is perfect, 0 as good as their mean, negative
            farther away than their mean.
        controls: Name -> ``{"accuracy", "r2"}``. ``self_stitch``: the top as its own bottom (what the stitch itself
            costs or adds). ``random_bottom``: the bottom with weights drawn anew, the mean over draws. ``permuted``:
            what the stitch learns from is permuted: the labels for a stitch trained on the task, the pairing of the
            items for one in closed form; not there for the identity, which learns nothing. Then the caller's others.
        above_random: By how much the accuracy exceeds the random bottom's: 95 % interval, paired over items.
        margin: A cut whose accuracy is not more than this above the random bottom's says nothing about the bottom.

    Example:
        >>> controls = {"random_bottom": {"accuracy": 0.55, "r2": 0.1}}
        >>> cut = CutStitch(
        ...     "act1", "act1", 0.5, 0.5, "linear", "least_squares", (8, 8), 200, accuracy=0.8, base_accuracy=0.9,
        ...     chance=0.5, penalty_interval=(0.05, 0.15), r2=0.7, controls=controls,
        ...     above_random=(0.2, 0.3), margin=0.1,
        ... )
        >>> cut.verdict, round(cut.penalty, 2), round(cut.relative_accuracy, 2)
        ('works', 0.1, 0.89)
    """

    kind: ClassVar[str] = "cut_stitch"

    bottom_layer: str
    top_layer: str
    bottom_depth: float
    top_depth: float
    stitch: str
    fit: str
    widths: tuple[int, int]
    rows: int
    accuracy: float
    base_accuracy: float
    chance: float
    penalty_interval: tuple[float, float]
    r2: float
    controls: Mapping[str, Mapping[str, float]]
    above_random: tuple[float, float]
    margin: float

    def contradictions(self) -> Iterator[str]:
        scored = all({"accuracy", "r2"} <= set(scores) for scores in self.controls.values())
        if "random_bottom" not in self.controls or not scored:
            yield "a control is missing, or one of its scores"
        if self.base_accuracy <= 0:
            yield "the top alone scores nothing, so that no share of it can be kept"

    @property
    def relative_accuracy(self) -> float:
        """Accuracy of the joined network over that of the top alone (Csiszárik et al. 2021)."""
        return self.accuracy / self.base_accuracy

    @property
    def penalty(self) -> float:
        """Stitching penalty: error of the joined network minus error of the top (Bansal et al. 2021)."""
        return self.base_accuracy - self.accuracy

    @property
    def works(self) -> bool:
        """Whether at least half of what the top scores above chance is kept."""
        return self.accuracy - self.chance >= WORKS * (self.base_accuracy - self.chance)

    @property
    def leaves_distribution(self) -> bool:
        """Whether it works although its activations are farther from the true ones than their mean is (R² < 0).

        Such a stitch speaks to the top in activations that the top never saw, and shows that something can be decoded
        from the bottom, not that the two represent alike (Balogh & Jelasity 2025).
        """
        return self.works and self.r2 < 0

    @property
    def uninformative(self) -> bool:
        """Whether an untrained bottom is about as good, so that a working stitch here says nothing of the bottom."""
        gain = self.accuracy - self.controls["random_bottom"]["accuracy"]
        return self.works and (gain <= self.margin or self.above_random[0] <= 0)

    @property
    def verdict(self) -> str:
        """In a few words what may be concluded."""
        if not self.works:
            return "does not work"
        notes = []
        if self.uninformative:
            notes.append("uninformative: an untrained bottom is about as good")
        if self.leaves_distribution:
            notes.append("leaves the distribution: R² < 0")
        return "works" + (f", but {'; '.join(notes)}" if notes else "")

    def to_record(self) -> dict[str, Any]:
        """Everything in one flat dictionary."""
        record = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "controls"}
        for name in ("penalty_interval", "above_random"):
            low, high = record.pop(name)
            record |= {f"{name.removesuffix('_interval')}_low": low, f"{name.removesuffix('_interval')}_high": high}
        record["bottom_width"], record["top_width"] = record.pop("widths")
        for name in ("relative_accuracy", "penalty", "works", "leaves_distribution", "uninformative", "verdict"):
            record[name] = getattr(self, name)
        for control, scores in _ordered(self.controls):
            record |= {control: scores["accuracy"], f"{control}_r2": scores["r2"]}
        return record

    def __repr__(self) -> str:
        return f"CutStitch({self.bottom_layer} → {self.top_layer}, {self.fit}: {_line(self)})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NetworkStitch(Result):
    """Two frozen networks, cut and joined at several depths.

    Attributes:
        bottom: What the bottom is.
        top: What the top is.
        cuts: One `CutStitch` for each cut and fit, in the order they were asked for.
        base_accuracy: Accuracy of the top alone on the test items.
        chance: Accuracy of always saying the most frequent class of the test items.
        n_train: Items that stitches were fitted on.
        n_test: Items that everything was scored on.
        n_classes: Classes that the top tells apart.
        random_draws: Untrained bottoms drawn.
        seed: Seed of the split, of untrained bottoms, permutations and training.
        conditions: What each control of the cuts is (`Condition`): role, name, side, what was given.
        provenance: How to make it again.

    Example:
        >>> import torch
        >>> import isomorph as iso
        >>> _ = torch.manual_seed(5)
        >>> x = torch.randn(400, 4)
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> found = iso.stitch_networks(net, net, x, cuts=["0", "1"], labels=net(x).argmax(dim=1))
        >>> found.base_accuracy, [cut.bottom_layer for cut in found.cuts]
        (1.0, ['0', '1'])
        >>> found.at("1").verdict, round(found.at("1").accuracy, 2), round(found.chance, 2)
        ('works, but uninformative: an untrained bottom is about as good', 1.0, 0.5)
    """

    kind: ClassVar[str] = "network_stitch"

    bottom: str
    top: str
    cuts: tuple[CutStitch, ...]
    base_accuracy: float
    chance: float
    n_train: int
    n_test: int
    n_classes: int
    random_draws: int = 1
    seed: int = 0
    conditions: tuple[Condition, ...] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def condition(self, control: str) -> Condition:
        """The condition under which a control of the cuts was had, also of files that hold names alone."""
        return condition_of(self.conditions or NETWORK_CONDITIONS, control, BASELINE, CEILING, CONTROL)

    def at(self, bottom_layer: str, top_layer: str | None = None, fit: str | None = None) -> CutStitch:
        """One cut.

        Args:
            bottom_layer: Layer of the bottom.
            top_layer: Layer of the top; by default of the same name.
            fit: How it was fitted; not needed if there was one fit.

        Raises:
            UnknownNameError: if there is no such cut, or several are meant.
        """
        pair = (bottom_layer, top_layer or bottom_layer)
        found = [c for c in self.cuts if (c.bottom_layer, c.top_layer) == pair and fit in (None, c.fit)]
        if len(found) != 1:
            known = [f"{c.bottom_layer} → {c.top_layer}, {c.fit}" for c in self.cuts]
            hint = "Name the fit too." if found else ""
            raise UnknownNameError("cut", " → ".join(pair) + (f", {fit}" if fit else ""), known, hint)
        return found[0]

    def to_records(self) -> list[dict[str, Any]]:
        """One dictionary for each cut and fit."""
        shared = {"bottom": self.bottom, "top": self.top, "n_train": self.n_train, "n_test": self.n_test}
        return [shared | c.to_record() for c in self.cuts]

    def to_frame(self) -> Any:
        """The records as a pandas data frame.

        Raises:
            MissingExtraError: if pandas is not installed; `to_records` needs nothing.
        """
        return frame(self.to_records())

    def __repr__(self) -> str:
        head = (
            f"NetworkStitch of {self.bottom} into {self.top}: top alone {self.base_accuracy:.3f}, chance "
            f"{self.chance:.3f}, {self.n_train} items fitted on, {self.n_test} scored"
        )
        width = max((len(f"{c.bottom_layer} → {c.top_layer}") for c in self.cuts), default=0)
        fits = max((len(c.fit) for c in self.cuts), default=0)
        lines = [f"  {f'{c.bottom_layer} → {c.top_layer}':<{width}}  {c.fit:<{fits}}  {_line(c)}" for c in self.cuts]
        return "\n".join([head, *lines])


def _ordered(controls: Mapping[str, Mapping[str, float]]) -> list[tuple[str, Mapping[str, float]]]:
    """Controls in one order, whether made or read back: ours first, then the caller's by name."""
    ours = [c.name for c in NETWORK_CONDITIONS]
    return sorted(controls.items(), key=lambda c: (ours.index(c[0]) if c[0] in ours else len(ours), c[0]))


def _line(cut: CutStitch) -> str:
    controls = ", ".join(f"{name} {scores['accuracy']:.3f}" for name, scores in _ordered(cut.controls))
    return f"accuracy {cut.accuracy:.3f} ({controls}), R² {cut.r2:6.2f}: {cut.verdict}"

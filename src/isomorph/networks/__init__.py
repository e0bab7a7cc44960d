"""Stitching inside networks: cut two frozen networks, join them there, and see what the joined one still can do."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.checks import check_name, check_type
from .._core.memory import limited
from .._core.progress import Show, progress
from .._core.provenance import provenance
from ..design import Split
from ..encoders._state import state_fingerprint
from ..encoders._torch import import_torch
from ..errors import InputError
from ..results import BASELINE, NETWORK_CONDITIONS, Condition, CutStitch, NetworkStitch
from ._arguments import read_split, read_targets
from ._controls import calibrate_norms, untrained_twin
from ._files import NetworkData, read_data, read_network
from ._running import Network, NetworkInputs, Place, Rows, batches, frozen
from ._stitches import Fit, Form, read_fits, read_form
from ._training import IGNORED, JoinedScore, Seam, fit_stitch, hits, score, weighted
from .settings import NetworkSettings

__all__ = ["NetworkData", "NetworkSettings", "read_data", "read_network", "stitch_networks"]


def stitch_networks(
    bottom: Any,
    top: Any,
    data: Any,
    *,
    cuts: Sequence[str | tuple[str, str]],
    labels: Any,
    stitch: str = "linear",
    fit: str | Sequence[str] = "least_squares",
    top_data: Any = None,
    test: float | Sequence[int] = 0.5,
    groups: Sequence[Any] | None = None,
    output: Callable[[Any], Any] | None = None,
    random_bottom: Any = None,
    random_draws: int = 1,
    bottom_baselines: Mapping[str, Any] | None = None,
    margin: float = 0.1,
    batch_size: int = 256,
    seed: int = 0,
    memory: str | int | None = None,
    bottom_name: str | None = None,
    top_name: str | None = None,
    show: Show = None,
) -> NetworkStitch:
    """Join the bottom of one frozen network to the top of another, at several depths, with every control.

    The activations of the bottom at a layer pass a stitch, which is all that is fitted, and take the place of the top's
    activations at a layer of its own. What the joined network scores on items that the stitch has not seen says whether
    the one can be used in place of the other there. That the top sees its input through the cut alone is checked.

    Both networks come back as they were: mode, gradients and weights.

    Args:
        bottom: A ``torch.nn.Module``, a transformers checkpoint with its head included.
        top: Another, whose output are class scores (n, classes), or (n, t, classes) if it labels tokens.
        data: Inputs of both: an array or tensor whose first axis is the items, or a mapping of them for keyword
            arguments (``input_ids``, ``attention_mask``). Padded tokens are left out of closed forms and of R².
        cuts: Pairs (layer of the bottom, layer of the top), or one name for both: paths of modules (``"features.3"``;
            ``"act#2"`` is the third call of a module that runs several times), or ``"block_02"`` in a stack of blocks.
        labels: Class of each item (n,), or of each token (n, t), where -100 does not count.
        stitch: ``"linear"``; ``"conv1x1"``, the same on the channels of maps; ``"low_rank(rank=16)"``, the same through
            a bottleneck. Features are the last axis of (n, t, d) and the second of all else, unless ``axis=`` says so.
        fit: One or several of ``"identity"`` (nothing fitted), ``"least_squares"`` and ``"orthogonal"`` (from the
            bottom's to the top's activations, in closed form), ``"task"`` (trained through the top;
            ``"task(epochs=15, learning_rate=0.001, batch_size=64, init='random', norm=True)"`` is the default: batch
            norms around a random start, Bansal et al. 2021; ``init='least_squares'`` is that of Csiszárik et al. 2021).
        top_data: Inputs of the top, where it takes other ones than the bottom.
        test: Share of the items on which everything is scored, or their row numbers; all others are fitted on. Use
            items that the networks were not trained on for the test.
        groups: One group an item; a group is never both fitted on and scored.
        output: Turns what the top returns into class scores; by default its ``logits``, or what it returns.
        random_bottom: The untrained baseline: a network, or a function from a seed to one; by default the bottom with
            weights drawn anew. Its batch norms get the statistics of the training items.
        random_draws: How many untrained bottoms.
        bottom_baselines: Name -> networks that take the place of the bottom, such as one trained on permuted labels.
        margin: A cut that gains no more accuracy than this over the random bottom is called uninformative.
        batch_size: Items that run together.
        seed: Seed of the split, untrained bottoms, permutations and training.
        memory: Working memory beside networks and batches, such as ``"4GB"`` or bytes; None takes what the machine has.
        bottom_name: What to call the bottom.
        top_name: What to call the top.
        show: How progress is shown, as for `isomorph.show_progress`; None leaves it to that switch.

    Returns:
        A `NetworkStitch`. Accuracy is in [0, 1]; its chance level is that of always saying the most frequent class.

    Raises:
        MissingExtraError: if torch is not installed.
        UnknownNameError: if a layer, a stitch or a fit is not known.
        InputError: if networks, data, labels or cuts do not fit each other, the top is not above chance, or a cut does
            not separate the top.

    Example:
        >>> import torch
        >>> import isomorph as iso
        >>> _ = torch.manual_seed(5)
        >>> x = torch.randn(400, 4)
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> other = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh())  # the same units in another order
        >>> _ = other.load_state_dict({f"0.{name}": values.flip(0) for name, values in net[0].named_parameters()})
        >>> cut = iso.stitch_networks(other, net, x, cuts=["1"], labels=net(x).argmax(dim=1)).cuts[0]
        >>> cut.verdict, round(cut.accuracy, 2), round(cut.chance, 2)
        ('works, but uninformative: an untrained bottom is about as good', 1.0, 0.5)
        >>> {name: round(scores["accuracy"], 2) for name, scores in cut.controls.items()}
        {'self_stitch': 1.0, 'random_bottom': 0.96, 'permuted': 0.57}
    """
    torch = import_torch("stitch_networks")
    check_type(bottom_baselines, "bottom_baselines", Mapping, "a mapping from name to network")
    check_type(output, "output", Callable, "a function of what the top returns")  # type: ignore[arg-type]  # it has an instance check
    check_name(bottom_name, "bottom_name")
    check_name(top_name, "top_name")
    for which, module in (("bottom", bottom), ("top", top), *(bottom_baselines or {}).items()):
        if not isinstance(module, torch.nn.Module):
            raise InputError(f"{which} must be a torch.nn.Module, found {type(module).__name__}.")
    settings = NetworkSettings(
        cuts=cuts,
        stitch=stitch,
        fit=fit,  # type: ignore[arg-type]  # the value makes a tuple of any sequence
        test=test,  # type: ignore[arg-type]  # row numbers may be any sequence
        random_draws=random_draws,
        margin=margin,
        batch_size=batch_size,
        seed=seed,
        memory=memory,
    )
    form, fits = read_form(stitch), read_fits(fit)
    below = NetworkInputs(data, "data")
    above = below if top_data is None else NetworkInputs(top_data, "top_data")
    if above.n != below.n:
        raise InputError(f"data has {below.n} items and top_data has {above.n}; row i of both must be the same item.")
    wanted = read_targets(labels, below.n)
    split = read_split(below.n, test, groups, seed)
    pairs = list(settings.cuts)
    twins = [copy.deepcopy(untrained_twin(bottom, random_bottom, seed, i)) for i in range(random_draws)]
    others = dict(bottom_baselines or {})
    with limited(memory), frozen(bottom, top, *twins, *others.values()):
        for twin in twins:
            calibrate_norms(twin, below, split.train, batch_size)
        study = _Study(
            Network(bottom, below, output),
            Network(top, above, output),
            tuple(Network(t, below) for t in twins),
            {name: Network(m, below) for name, m in others.items()},
            form,
            wanted,
            split,
            float(margin),
            int(batch_size),
            seed,
        )
        base, n_classes = study.base()
        found = study.results(pairs, fits, base, show)
    return NetworkStitch(
        bottom=bottom_name or type(bottom).__name__,
        top=top_name or type(top).__name__,
        cuts=tuple(found),
        base_accuracy=base.accuracy,
        chance=study.chance(),
        n_train=len(split.train),
        n_test=len(split.test),
        n_classes=n_classes,
        random_draws=random_draws,
        seed=seed,
        conditions=study.conditions(fits),
        provenance=provenance(
            call="stitch_networks",
            cuts=[list(p) for p in pairs],
            fit=[f.spec for f in fits],
            random_draws=random_draws,
            **study.facts(),
        ),
    )


@dataclasses.dataclass(frozen=True)
class _Study:
    """All that the cuts of one call share."""

    bottom: Network
    top: Network
    twins: tuple[Network, ...]
    others: Mapping[str, Network]
    form: Form
    labels: Any
    split: Split
    margin: float
    size: int
    seed: int

    def facts(self) -> dict[str, Any]:
        """What the scores depend on."""
        return {
            "bottom": state_fingerprint(self.bottom.module),
            "top": state_fingerprint(self.top.module),
            "random_bottoms": [state_fingerprint(t.module) for t in self.twins],
            "bottom_baselines": {name: state_fingerprint(n.module) for name, n in self.others.items()},
            "data": self.bottom.inputs.content,
            "top_data": self.top.inputs.content,
            "labels": NetworkInputs(self.labels, "labels").content,
            "test": [int(i) for i in self.split.test],
            "stitch": self.form.spec,
            "margin": self.margin,
            "batch_size": self.size,
            "seed": self.seed,
        }

    def conditions(self, fits: Sequence[Fit]) -> tuple[Condition, ...]:
        """What the joined networks are compared with."""
        given = [(n, type(net.module).__name__) for n, net in self.others.items()]
        ours = (c for c in NETWORK_CONDITIONS if c.name != "permuted" or any(f.name != "identity" for f in fits))
        return (*ours, *(Condition(BASELINE, name, given=module) for name, module in given))

    def base(self) -> tuple[JoinedScore, int]:
        """The top alone, and its number of classes.

        Raises:
            InputError: if its class scores do not fit the labels, or are not above chance.
        """
        import torch

        right = []
        with torch.no_grad():
            for part in batches(self.split.test, self.size):
                logits = self.top.logits(part)
                if tuple(logits.shape[:-1]) != (len(part), *self.labels.shape[1:]):
                    raise InputError(
                        f"labels have shape {tuple(self.labels.shape)}, the top's class scores "
                        f"{('n', *logits.shape[1:])}; one label a row of scores is needed."
                    )
                right.append(hits(logits, self.labels, part))
        classes, highest = int(logits.shape[-1]), int(self.labels.max())
        if highest >= classes:
            raise InputError(
                f"labels go up to {highest}, but the top tells only {classes} classes apart (0 to {classes - 1})."
            )
        base = JoinedScore(weighted(np.concatenate(right), self.labels, self.split.test), 1.0)
        if base.accuracy <= self.chance():
            raise InputError(
                f"The top alone has accuracy {base.accuracy:.3f} on the test items, no more than the most frequent "
                f"class ({self.chance():.3f}): there is nothing that a stitch could keep. Check labels and output."
            )
        return base, classes

    def chance(self) -> float:
        """Accuracy of always saying the most frequent class of the test items."""
        import torch

        labels = self.labels[torch.as_tensor(self.split.test)].reshape(-1)
        counts = torch.bincount(labels[labels != IGNORED])
        return float(counts.max() / counts.sum())

    def results(
        self, pairs: Sequence[tuple[str, str]], fits: Sequence[Fit], base: JoinedScore, show: Show
    ) -> list[CutStitch]:
        """Every cut with every fit."""
        places = [(self.bottom.locate(a, "bottom"), self.top.locate(b, "top")) for a, b in pairs]
        for enters in {p.layer: p for _, p in places}.values():
            self.top.require_cut(enters)
        for leaves, enters in places:  # shapes first: an error after an hour of training would be late
            Seam.of(self.bottom, self.top, leaves, enters, self.form, self.size)
        one = 2 + len(self.twins) + len(self.others)
        total = len(places) * sum(one + (f.name != "identity") for f in fits)
        with progress(total, "stitching networks", unit="stitches", show=show) as advance:
            return [self._cut(leaves, enters, fit, base, advance) for leaves, enters in places for fit in fits]

    def _cut(
        self, leaves: Place, enters: Place, fit: Fit, base: JoinedScore, advance: Callable[[int], object]
    ) -> CutStitch:
        def joined(network: Network, place: Place, *, permuted: bool = False) -> tuple[JoinedScore, int, Seam]:
            seam = Seam.of(network, self.top, place, enters, self.form, self.size)
            made, rows = fit_stitch(seam, fit, self.labels, self.split.train, self.seed, permuted=permuted)
            scored = score(seam, made, self.labels, self.split.test)
            advance(1)
            return scored, rows, seam

        main, rows, seam = joined(self.bottom, leaves)
        twins = [joined(t, t.locate(leaves.layer, "random bottom"))[0] for t in self.twins]
        untrained = JoinedScore(np.mean([t.hits for t in twins], axis=0), float(np.mean([t.r2 for t in twins])))
        controls = {"self_stitch": joined(self.top, enters)[0], "random_bottom": untrained}
        if fit.name != "identity":
            controls["permuted"] = joined(self.bottom, leaves, permuted=True)[0]
        for name, network in self.others.items():
            controls[name] = joined(network, network.locate(leaves.layer, name))[0]
        return CutStitch(
            bottom_layer=leaves.layer,
            top_layer=enters.layer,
            bottom_depth=leaves.depth,
            top_depth=enters.depth,
            stitch=self.form.spec,
            fit=fit.spec,
            widths=seam.layout.widths,
            rows=rows,
            accuracy=main.accuracy,
            base_accuracy=base.accuracy,
            chance=self.chance(),
            penalty_interval=_interval(base.hits - main.hits),
            r2=main.r2,
            controls={name: {"accuracy": s.accuracy, "r2": s.r2} for name, s in controls.items()},
            above_random=_interval(main.hits - untrained.hits),
            margin=self.margin,
        )


def _interval(differences: Rows) -> tuple[float, float]:
    """95 % interval of a mean paired difference: Wald's, half an item added to each outcome (Agresti & Min 2005)."""
    n, total = len(differences) + 2, float(differences.sum())
    half = 1.959964 * (float((differences**2).sum()) + 1 - total**2 / n) ** 0.5 / n
    return max(-1.0, total / n - half), min(1.0, total / n + half)

"""A family of networks with a known truth: what each network makes of the same items, and how it was trained."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from .._core.arrays import as_features, to_numpy
from .._core.provenance import fingerprint
from ..conditions import content
from ..errors import InputError, UnknownNameError, quoted

Floats = np.ndarray[Any, np.dtype[np.float64]]
Value = str | float
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """One network of a family: its representations and answers on the items of the family.

    Attributes:
        name: Its name, unique in the family.
        layers: Layer -> features (n_items, d), from input to output; the last stands for the network.
        outputs: Probabilities of the classes (n_items, n_classes), or None.
        attributes: What is known of it: a number or word each, such as ``label_noise=0.25`` or ``seed=3``. A criterion
            reads those that it is about, and leaves out networks that have none.
        head: Weights (d, n_classes) and biases (n_classes,) that turn the last layer into logits, or None.
        pooled: The same layers averaged over places (n_items, channels), or None; for what asks for few features.

    Raises:
        InputError: if it has no layers, or what belongs to one item does not have one entry each.

    Example:
        >>> made = Network("first", {"last": np.eye(4)}, attributes={"label_noise": 0.25})
        >>> made.n, made.last.shape
        (4, (4, 4))
    """

    name: str
    layers: Mapping[str, Any]
    outputs: Any = None
    attributes: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    head: tuple[Any, Any] | None = None
    pooled: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"A network's name must be a text, found {quoted(self.name)}.")
        if not self.layers:
            raise InputError(f"The network {self.name!r} has no layers; one or more are needed.")
        for field in ("layers", "pooled"):
            given = getattr(self, field)
            if given is not None:
                held = {k: to_numpy(as_features(v, f"{self.name}, {field} {k!r}")) for k, v in given.items()}
                object.__setattr__(self, field, held)
        sizes = {len(v) for part in (self.layers, self.pooled or {}) for v in part.values()}
        if len(sizes) > 1:
            raise InputError(f"The layers of the network {self.name!r} have different numbers of items: {sizes}.")
        if self.outputs is not None:
            object.__setattr__(self, "outputs", _probabilities(self.outputs, self.n, self.name))
        if self.head is not None:
            weight, bias = (np.asarray(to_numpy(v), dtype=np.float64) for v in self.head)
            if weight.ndim != 2 or weight.shape[0] != self.last.shape[1] or bias.shape != (weight.shape[1],):
                raise InputError(
                    f"The head of the network {self.name!r} has weights {weight.shape} and biases {bias.shape}; "
                    f"({self.last.shape[1]}, n_classes) and (n_classes,) are needed."
                )
            object.__setattr__(self, "head", (weight, bias))

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.last)

    @property
    def last(self) -> Any:
        """The features that stand for the network: those of its last layer."""
        return self.layers[next(reversed([*self.layers]))]


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """Networks that saw the same items, and the classes of these.

    Attributes:
        name: What it is.
        networks: The networks.
        labels: The class of each item as a number (n_items,), or None.
        members: Criterion -> names of the networks that it is asked of; by default those that have what it reads.
        provenance: How it came about.

    Raises:
        InputError: if there are fewer than two networks, two have one name, or they saw different numbers of items.

    Example:
        >>> made = Family("toys", [Network(name, {"last": np.eye(4)}) for name in ("a", "b", "c")], labels=[0, 0, 1, 1])
        >>> made, made.n, made["b"].name
        (Family(toys: 3 networks × 4 items), 4, 'b')
    """

    name: str
    networks: Sequence[Network]
    labels: Any = None
    members: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    _made: dict[Any, Any] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        networks = tuple(self.networks)
        for network in networks:
            if not isinstance(network, Network):
                raise InputError(
                    f"networks must hold isomorph.leagues.Network, found {type(network).__name__}; "
                    "Network(name, {layer: features}, outputs=…, attributes={…}) makes one."
                )
        if len(networks) < 2:
            raise InputError(f"The family {self.name!r} has {len(networks)} networks; two or more are compared.")
        names = [network.name for network in networks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"The family {self.name!r} has several networks called {twice[0]!r}; names must differ.")
        sizes = {network.n for network in networks}
        if len(sizes) > 1:
            raise InputError(
                f"The networks of the family {self.name!r} saw different numbers of items, {sorted(sizes)}; row i of "
                "all must be the same item."
            )
        object.__setattr__(self, "networks", networks)
        if self.labels is not None:
            object.__setattr__(self, "labels", _classes(self.labels, self.n))
        for name in (name for chosen in self.members.values() for name in chosen):
            if name not in names:
                raise UnknownNameError(f"network of the family {self.name!r}", name, names)

    @property
    def n(self) -> int:
        """Number of items."""
        return self.networks[0].n

    @functools.cached_property
    def key(self) -> str:
        """A fingerprint of all that the networks hold."""
        facts = [
            [
                network.name,
                content(network.layers),
                content(network.pooled or {}),
                None if network.outputs is None else content({"outputs": network.outputs}),
                dict(network.attributes),
            ]
            for network in self.networks
        ]
        classes = None if self.labels is None else self.labels.tolist()
        return fingerprint([facts, classes, {k: list(v) for k, v in self.members.items()}])

    def asked(self, criterion: str) -> tuple[Network, ...]:
        """The networks that a criterion may be asked of."""
        names = self.members.get(criterion)
        return tuple(self.networks) if names is None else tuple(self[name] for name in names)

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What several criteria need of the family, such as its networks' maps to each other, made once."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]  # type: ignore[no-any-return]  # made by `make`

    def __len__(self) -> int:
        return len(self.networks)

    def __iter__(self) -> Iterator[Network]:
        return iter(self.networks)

    def __getitem__(self, name: str) -> Network:
        for network in self.networks:
            if network.name == name:
                return network
        raise UnknownNameError(f"network of the family {self.name!r}", str(name), [v.name for v in self.networks])

    def __repr__(self) -> str:
        return f"Family({self.name}: {len(self.networks)} networks × {self.n:,} items)"


def having(networks: Iterable[Network], attribute: str) -> tuple[Network, ...]:
    """The networks of which an attribute is known."""
    return tuple(network for network in networks if attribute in network.attributes)


def _probabilities(given: Any, n: int, name: str) -> Floats:
    """Outputs (n, classes), checked.

    Raises:
        InputError: if they are no probabilities of so many items.
    """
    outputs = np.asarray(to_numpy(given), dtype=np.float64)
    if outputs.ndim != 2 or len(outputs) != n:
        raise InputError(f"The outputs of {name!r} have shape {outputs.shape}; ({n} items, n_classes) is needed.")
    if not np.isfinite(outputs).all() or (outputs < 0).any() or np.abs(outputs.sum(axis=1) - 1).max() > 1e-3:
        raise InputError(
            f"The outputs of {name!r} are no probabilities: rows must be 0 or more and sum to 1. Of logits take the "
            "softmax first."
        )
    return outputs


def _classes(given: Any, n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    labels = np.asarray(to_numpy(given))
    if labels.shape != (n,):
        raise InputError(f"labels have shape {labels.shape}; one class an item, ({n},), is needed.")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)

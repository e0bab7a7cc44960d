"""What a metric is: prepare one representation, compare prepared ones in blocks, permute a prepared one.

The split is what makes a scan fast: all work that needs one layer only is done once per layer, all layer pairs are
one block, and a permutation of the items never prepares again.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from .._core.arrays import Array, Unread, as_features, as_pair, is_traced, to_numpy
from .._core.linalg import center, require_variation
from .._core.memory import require_copies
from .._core.progress import notice
from .._core.rdm import Rdm
from .._core.registry import format_spec, spellings
from ..errors import InputError
from ..nulls import Influence, ItemScores, Null
from ..nulls.judge import FEW, every_order
from ._engines.rdms.collection import RDMs, only_rdm
from ._engines.rdms.squares import is_square_rdm

State = TypeVar("State")
Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

_SAMPLED = 9_999  # re-pairings of few items: they leave a level of 0.05 a standard error of 0.002

INVARIANCES = {
    "rotation": "x -> x Q, Q orthogonal with determinant +1",
    "reflection": "x -> x Q, Q orthogonal with determinant -1",
    "isotropic_scale": "x -> c x, c > 0",
    "invertible_linear": "x -> x A, A invertible",
    "translation": "x -> x + 1 v'",
    "unit_permutation": "x -> x P, P a permutation of the features",
    "item_permutation": "x, y -> P x, P y: the same reordering of the items on both sides",
}
"""The transformations of one side under which a metric may declare its score unchanged."""

SITUATIONS = {
    "constant layer": "all items of a layer have the same features, not zero",
    "zero layer": "all features of a layer are zero",
    "one feature": "both layers have a single feature",
    "as many features as items": "both layers have as many features as items, of full rank",
    "more features than items": "both layers have more features than items, of full rank",
    "uncorrelated features": "the features of each layer are centred, uncorrelated and of the same variance",
    "equidistant items": "the items of each layer are orthogonal and of the same norm, so all are equally far apart",
    "zero items": "a few items of each layer have zeros only",
    "many equal items": "a third or more of the items of each layer are the same",
    "items equal in twos": "each item occurs twice, in both layers",
    "two values": "each feature is -1 or 1, so items coincide and some are flat",
    "one-hot labels": "each item is one of four unit vectors",
    "far item": "one item of each layer is a million standard deviations away",
    "far scale": "one layer in huge units, the other in tiny ones: 1e±8, 1e±30 in float32, 1e±150",
    "fewest items": "the fewest items that the metric takes, of two features",
}
"""Hard data on which a metric may declare that it has no score (`Metric.refuses`).

The contract suite executes each: what is declared is refused in words that name the cause, all else gets a score in
the range. What is not on this list, such as other dtypes, widths, offsets, unrelated or opposite layers, rank
deficiency and constant columns, no metric may refuse.
"""

NOTHING_VARIES = dict.fromkeys(("constant layer", "zero layer"), "nothing varies that could be alike")
NO_DIRECTION = dict.fromkeys(("zero layer", "zero items"), "an item of zeros has no direction, so no cosine")
NO_NEIGHBORS = {
    "cosine": NO_DIRECTION,
    "euclidean": NOTHING_VARIES,
    "dot": {"zero layer": "all inner products are zero, so no item is nearer than another"},
}
EQUALLY_ALIKE = {"equidistant items": "all pairs of items are equally alike, so the score is 0/0"}


@dataclasses.dataclass(frozen=True)
class Metric(ABC, Generic[State]):
    """A measure of how alike two representations of the same items are; higher means more alike.

    A concrete metric is a frozen dataclass whose fields are its parameters. It sets the class attributes below
    (plain assignments, or properties where they depend on a parameter) and the three methods, whose laws are tested
    for every registered metric by `tests/contracts`.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> cka = iso.metric("cka")
        >>> round(cka(x, x + noise), 2), round(cka.null(x, x + noise).p_value(0.05), 3)
        (0.54, 0.027)
        >>> round(float(cka.per_item(x, x + noise).mean()), 2)  # the mean of what each item gives to it
        0.54
        >>> cka.range, cka.chance
        ((-1.0, 1.0), '0, exactly, for any data')
    """

    name: ClassVar[str]
    """Registered name."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Names that the field uses -> spec of the same variant."""
    shown: ClassVar[tuple[str, ...]] = ()
    """Parameters that are always shown in `spec`, even at their defaults."""
    variants: ClassVar[tuple[str, ...]] = ()
    """Specs of the main variants, each of which the generated contract suite tests; the default one if empty."""

    @property
    @abstractmethod
    def range(self) -> tuple[float, float]:
        """Lowest and highest possible score."""

    @property
    def bound(self) -> str:
        """Why a finite `range` is a bound that scores do not come near; empty where they reach both halves of it."""
        return ""

    @property
    @abstractmethod
    def invariances(self) -> frozenset[str]:
        """Names out of `INVARIANCES` that hold for this variant."""

    @property
    @abstractmethod
    def chance(self) -> str:
        """The expected score of unrelated representations, in words or a formula of n, d, k."""

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        """The expected score of independent isotropic Gaussian features (n, d1) and (n, d2), None if not known."""
        return None

    @property
    @abstractmethod
    def reference(self) -> str:
        """Paper and equation, and where we differ."""

    @property
    def distance(self) -> bool:
        """Whether lower means more alike; such a metric says so by its name."""
        return False

    @property
    def symmetric(self) -> bool:
        """Whether metric(x, y) == metric(y, x)."""
        return True

    @property
    def differentiable(self) -> bool:
        """Whether gradients flow through `score` on torch and JAX arrays."""
        return False

    @property
    def identity(self) -> float | None:
        """The score of a representation with itself, None if it depends on the data."""
        return self.range[0] if self.distance else self.range[1]

    @property
    def min_items(self) -> int:
        """The fewest items for which the metric is defined."""
        return 3

    @property
    def refuses(self) -> Mapping[str, str]:
        """Names out of `SITUATIONS` in which this variant has no score, each with the reason."""
        return NOTHING_VARIES

    @property
    def streams(self) -> bool:
        """Whether `prepare` takes many items as `Unread` features too, and checks their values while it reads them."""
        return False

    @property
    def copies(self) -> int:
        """Copies of a layer's features, in double precision, that scoring a pair holds at once, as measured.

        0 where blocks of rows shrink to the limit of working memory. What does not fit is refused before it is read.
        """
        return 6

    @property
    def reads_rdms(self) -> bool:
        """Whether `prepare` takes an `Rdm` in place of features too: the metric compares RDMs."""
        return False

    @abstractmethod
    def prepare(self, x: Array) -> State:
        """All the work that needs one representation only.

        Args:
            x: Checked features of shape (n_items, n_features); many of them may be `Unread` if the metric `streams`,
                and it may be an `Rdm` if the metric `reads_rdms`.
        """

    @abstractmethod
    def compare(self, xs: Sequence[State], ys: Sequence[State]) -> Array:
        """Scores of all pairs, shape (len(xs), len(ys)), float64, in the namespace of the features."""

    @abstractmethod
    def permute(self, state: State, order: np.ndarray[Any, Any]) -> State:
        """The law: ``permute(prepare(x), p)`` equals ``prepare(x[p])``, at less cost."""

    def null_moments(self, xs: Sequence[State], ys: Sequence[State]) -> Null | None:
        """Exact moments for all pairs (fields of shape (len(xs), len(ys))), None where no closed form is known."""
        return None

    def null_mean(self, xs: Sequence[State], ys: Sequence[State]) -> Floats | None:
        """The mean of `null_moments` (len(xs), len(ys)), which some metrics know at less cost than the rest of it."""
        null = self.null_moments(xs, ys)
        return None if null is None else np.asarray(null.mean)

    def influence(self, xs: Sequence[State], ys: Sequence[State]) -> Influence | None:
        """How much each item moves each score, for standard errors; None where no such form is implemented."""
        return None

    @property
    def contribution(self) -> str:
        """What an item gives to the score, in words; empty where the score is no mean over items (`contributions`)."""
        return ""

    def contributions(self, xs: Sequence[State], ys: Sequence[State]) -> Floats | None:
        """What each item gives to each score: a host array (n_items, len(xs), len(ys)), its mean over items the score.

        Where a score is a mean over items, these are its terms: shared neighbours, found partners, explained variance.
        An inner product of two kernels, RDMs or layers is a sum over rows, so the item's term is n times its row's
        share of the normalised product. A root or an angle of such a sum is shared out like the sum. `contribution`
        says which it is. A term is no score by itself: it may lie outside `range`, and it moves with the other items.
        None, for all data, where an item's part has no meaning.
        """
        return None

    @property
    def item_score(self) -> str:
        """What the score of a single item is, in words; empty where there is none (`item_scores`)."""
        return self.contribution

    def item_scores(self, x: State, y: State) -> ItemScores | None:
        """How alike both sides are at each item, with its chance where that is known; None where it has no meaning.

        By default what the item gives to the score, `contributions`. Metrics of kernels and RDMs, whose terms grow with
        an item's distance from the others, give the correlation of the item's similarities instead.
        """
        found = self.contributions([x], [y])
        if found is None:
            return None

        def permuted(orders: Any) -> Iterator[Floats]:
            for order in np.asarray(orders, dtype=np.int64):
                again = self.contributions([x], [self.permute(y, order)])
                assert again is not None  # as for the items in their own order
                yield sign * again[:, 0, 0]

        sign = -1.0 if self.distance else 1.0
        return ItemScores(sign * found[:, 0, 0], permuted)

    def neighbors(self, state: State, count: int) -> Ints | None:
        """The neighbours that the metric reads of a layer: host array (n_items, min(count, k)), nearest first.

        None, for all data, where it reads none.
        """
        return None

    def compare_permuted(
        self, xs: Sequence[State], ys: Sequence[State], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        """For each row of `orders`, the scores of `xs` with the permuted `ys`: arrays (len(xs), len(ys)).

        Metrics override this where several permutations can share a product.
        """
        for order in orders:
            yield to_numpy(self.compare(xs, [self.permute(y, order) for y in ys]))

    # ---- derived -------------------------------------------------------------------------------------------

    def score(self, x: Any, y: Any) -> Array:
        """The score as a 0-d array where the inputs live, so that gradients can flow.

        Raises:
            InputError: if the inputs are not two representations of the same items, or are too few.
        """
        x, y = self._gated(x, y, unread=self.streams)
        _tell_rdms(x, y)
        return self.compare([self.prepare(x)], [self.prepare(y)])[0, 0]

    def __call__(self, x: Any, y: Any) -> float:
        """The score of two representations of the same items.

        Args:
            x: Features of shape (n_items, d1), of any array library; one RDM (`RDMs`) where the metric compares RDMs.
            y: Features of shape (n_items, d2); row i is the same item as row i of `x`.

        Raises:
            InputError: if the inputs are not two representations of the same items, are too few, or if the metric
                is not defined on them.
        """
        return float(self._finite(float(to_numpy(self.score(x, y)))))

    def _gated(self, x: Any, y: Any, *, unread: bool = False) -> tuple[Array, Array]:
        """Both representations through the gate.

        Raises:
            InputError: as `as_pair`, or if one is several RDMs.
        """
        x, y = (only_rdm(z, name) if isinstance(z, RDMs) else z for z, name in ((x, "x"), (y, "y")))
        x, y = as_pair(x, y, min_items=self.min_items, unread=unread, rdms=self.reads_rdms)
        for z in (x, y):
            self.require_room(z)
        return x, y

    def require_room(self, x: Array) -> None:
        """Refuse, under a limit of working memory, a layer whose copies do not fit it.

        Raises:
            InputError: if they do not.
        """
        if not isinstance(x, Rdm):
            require_copies(self.copies, tuple(x.shape), self.spec)

    def _finite(self, value: Any) -> Any:
        """Pass what is a number.

        Raises:
            InputError: if it, or one of several, is infinite or NaN: no score and no chance level.
        """
        if not np.all(np.isfinite(np.asarray(value, dtype=np.float64))):
            raise InputError(
                f"{self.spec} gives {value} on these features, beyond what a float can hold: its score is in their "
                "units. Divide the features by a number first, such as their largest magnitude."
            )
        return value

    def per_item(self, x: Any, y: Any) -> Floats:
        """What each item gives to the score, whose mean over items is the score: `contributions` of one pair.

        Args:
            x: Features of shape (n_items, d1), of any array library.
            y: Features of shape (n_items, d2); row i is the same item as row i of `x`.

        Returns:
            Host array (n_items,), in the units of the score; lower is more alike where the metric is a distance.

        Raises:
            InputError: as the score, or if the score is no mean over items.
        """
        if not self.contribution:
            raise InputError(
                f"{self.spec} has no score per item: its score is no mean or sum over items. Use a metric that has "
                "one, such as mutual_knn, cka, rsa, procrustes or ridge_predictivity."
            )
        x, y = self._gated(x, y)
        found = self.contributions([self.prepare(x)], [self.prepare(y)])
        assert found is not None  # it says what an item gives
        return np.asarray(found[:, 0, 0])

    def null(self, x: Any, y: Any, *, permutations: int = 1000, seed: int = 0) -> Null:
        """The score's distribution under random re-pairing of the items: exact where known, sampled otherwise.

        Of seven items or fewer all pairings are scored, and p is counted among them. Of fewer than 28 items moments are
        exact where they are known, but no tail is known to hold, so p is counted among sampled re-pairings: at least
        9,999, which cost little there.

        Args:
            x: Features of shape (n_items, d1).
            y: Features of shape (n_items, d2).
            permutations: How many re-pairings to sample where no closed form is known; 0 leaves exact moments alone,
                whose p is a bound where no tail is known.
            seed: Seed of that sampling.

        Raises:
            InputError: as the score.
        """
        x, y = self._gated(x, y)
        xs, ys = [self.prepare(x)], [self.prepare(y)]
        n, exact = x.shape[0], self.null_moments(xs, ys)
        if exact is not None and exact.std is not None:
            scalars = {f: _scalar(getattr(exact, f)) for f in ("mean", "std", "skewness", "scale")}
            weights = None if exact.weights is None else np.reshape(exact.weights, (-1,))
            known = dataclasses.replace(exact, **scalars, weights=weights, distance=self.distance)
            self._finite([v for v in (known.mean, known.std, known.skewness) if v is not None])
            if n > FEW:
                told = n >= known.tail_from or permutations < 1
                return known if told else self._with_sample(known, xs, ys, permutations, seed)
            sample = self._sample(xs, ys, every_order(n))
            return dataclasses.replace(known, sample=sample, source=f"all {len(sample)} pairings of the items")
        few = n <= FEW
        orders = every_order(n) if few else _drawn(n, permutations, seed)
        sample = self._sample(xs, ys, orders)
        largest = float(np.abs(sample).max())
        unit = largest if largest > 0 and not 1e-60 < largest < 1e60 else 1.0  # cubes are floats within
        mean = float(sample.mean()) if exact is None else _scalar(exact.mean)
        std = float((sample / unit).std(ddof=0 if few else 1)) * unit
        if std <= 1e-12 * largest:  # a score that no re-pairing changes varies by rounding alone
            std = 0.0
        source = f"all {len(sample)} pairings of the items" if few else f"{permutations} sampled permutations"
        return Null(mean, std, _skewness(sample / unit), few, n, source, sample=sample, distance=self.distance)

    def _with_sample(self, known: Null, xs: Any, ys: Any, permutations: int, seed: int) -> Null:
        sample = self._sample(xs, ys, _drawn(known.n, max(permutations, _SAMPLED), seed))
        why = known.tail_unknown.format("this pair")
        return dataclasses.replace(
            known, sample=sample, source=f"{known.source}; {why}, so p is from {len(sample):,} sampled permutations"
        )

    def _sample(self, xs: Sequence[State], ys: Sequence[State], orders: Any) -> np.ndarray[Any, Any]:
        return np.asarray(self._finite(np.array([s[0, 0] for s in self.compare_permuted(xs, ys, orders)])))

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter of this variant by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @property
    def spec(self) -> str:
        """Short canonical spelling: the `shown` parameters and those that differ from their defaults."""
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        keep = {k: v for k, v in self.parameters.items() if k in self.shown or v != defaults[k]}
        return format_spec(self.name, keep)

    @property
    def variant(self) -> str:
        """Full canonical spelling, with every parameter but `centered` at its default, which came later than results.

        Results of before it name the same variant so.
        """
        return format_spec(self.name, {k: v for k, v in self.parameters.items() if k != "centered" or v})

    @property
    def spellings(self) -> tuple[str, ...]:
        """The shortest spec, without parameters at their defaults, and the other names that mean this variant."""
        defaults = {f.name: f.default for f in dataclasses.fields(self) if f.default is not dataclasses.MISSING}
        return spellings(self.name, self.parameters, defaults, self.aliases)

    @property
    def meaning(self) -> str:
        """What it measures: the first sentences of its documentation."""
        words = (type(self).__doc__ or "").strip().split("\n\n")[0]
        unwritten = words.startswith(f"{type(self).__name__}(")  # what dataclasses write where nobody wrote anything
        return "" if unwritten else " ".join(words.replace("``", "").split())

    def __str__(self) -> str:
        return self.spec


def _tell_rdms(x: Array, y: Array) -> None:
    """Ask whether square symmetric features with a zero diagonal are meant as features."""
    whole = [not isinstance(z, Unread | Rdm) and not is_traced(z) for z in (x, y)]  # of so many items it is no RDM
    square = [look and z.shape[0] == z.shape[1] for z, look in zip((x, y), whole, strict=True)]
    rdms = [name for name, z, look in zip("xy", (x, y), square, strict=True) if look and is_square_rdm(to_numpy(z))]
    if rdms:
        notice(
            f"{' and '.join(rdms)}: square and symmetric with a zero diagonal, as RDMs are, and read as features: each "
            "item's dissimilarities to all others. If RDMs are meant, give iso.RDMs.from_arrays(x)."
        )


def check_layer(x: Any, name: str, metric: Metric[Any]) -> Array:
    """Gate for one layer that a metric is about to prepare; what it reads once is checked while it is read.

    Raises:
        InputError: if the layer is not a representation, or has too few items for the metric.
    """
    return as_features(x, name, min_items=metric.min_items, unread=metric.streams, rdms=metric.reads_rdms)


def check_centered(owner: str, centered: object, reads: str, *, moved: bool) -> None:
    """Check the option to take the mean over items out first.

    Args:
        owner: The metric.
        centered: The option.
        reads: What the metric reads of the features, for the message.
        moved: Whether an offset of all items changes that.

    Raises:
        InputError: if it is neither True nor False, or is asked for where it does nothing.
    """
    choice(owner, "centered", centered, (False, True))
    if centered and not moved:
        raise InputError(f"{owner}: centered=True does nothing with {reads}, which no offset changes; leave it out.")


def about_mean(x: Array, centered: bool) -> Array:
    """The features, less their mean over items if `centered`.

    Raises:
        InputError: if nothing varies but the mean.
    """
    if not centered:
        return x
    c = center(x)
    require_variation(x, c)
    return c


def choice(owner: str, parameter: str, value: object, allowed: Sequence[object]) -> None:
    """Check a parameter that has named options.

    Raises:
        InputError: if `value` is none of them.
    """
    if value not in allowed:
        raise InputError(f"{owner}: {parameter}={value!r} is not known; use one of {', '.join(map(repr, allowed))}.")


def _drawn(n: int, count: int, seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(n) for _ in range(count)])


def _skewness(sample: np.ndarray[Any, Any]) -> float:
    away = sample - sample.mean()
    spread = float(np.mean(away**2))
    return float(np.mean(away**3)) / spread**1.5 if spread > 0 else 0.0


def _scalar(value: Any) -> Any:
    return None if value is None else float(np.asarray(to_numpy(value)).reshape(-1)[0])

"""Representational similarity analysis: do two representations find the same pairs of items unlike?"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy
from array_api_compat import array_namespace

from .._core.arrays import Array, as_features, is_traced, to_numpy
from .._core.linalg import double_center
from .._core.progress import notice
from .._core.rdm import Rdm
from ..errors import InputError
from ..nulls import Influence, ItemScores, Null
from ..nulls.null import LATE_TAIL_FROM, TAIL_FROM
from ..nulls.permuted import PairTable, pair_tables, permuted_products
from ..nulls.rows import row_scores
from ..nulls.tails import leading_eigenvalues, leading_weights
from ..nulls.ucentered import Invariants, invariants, moments, skewness
from ._base import EQUALLY_ALIKE, NO_DIRECTION, NOTHING_VARIES, Metric, about_mean, check_centered, choice
from ._engines.neighbors.graphs import Home
from ._engines.pairs import over_pairs
from ._engines.rdms.collection import RDMs, read_rdms, write_rdms
from ._engines.rdms.crossnobis import crossed, crossnobis, fold_means
from ._engines.rdms.influence import item_sums, rdm_influence
from ._engines.rdms.missing import compared, filled, shared_entries
from ._engines.rdms.noise import noise_precision
from ._engines.rdms.patterns import condition_means, labeled
from ._engines.rdms.pcm import PcmFit, fit_pcm, pcm_log_likelihood
from ._engines.rdms.pooling import entries_of, mean_rdm, regressors, scaled_rdms
from ._engines.rdms.squares import is_square_rdm
from ._engines.rdms.stacks import rdm_pair
from ._engines.rdms.vectors import (
    COMPARISONS,
    DISSIMILARITIES,
    RANKED,
    comparable,
    condensed,
    n_items,
    permuted_index,
    rooted,
    square,
    take,
    whitened,
)

Floats = np.ndarray[Any, np.dtype[np.float64]]
Rdms = RDMs  # what it was called before it was public
_CHUNK = 1 << 14  # entries a product: keeps single-precision sums short


@dataclasses.dataclass(frozen=True, eq=False)
class Pattern:
    """One layer's RDM, made ready for one comparison.

    Attributes:
        n: Number of items.
        vector: What the comparison reads of the condensed RDM (n (n - 1) / 2), where the features live.
        gaps: Whether the RDM lacks entries: the vector is then the RDM itself, NaN where it does.
    """

    n: int
    vector: Array
    gaps: bool = False

    @cached_property
    def invariants(self) -> Invariants:
        """What the exact null needs; no permutation changes it."""
        xp = array_namespace(self.vector)
        return invariants(square(xp.astype(self.vector, xp.float64), self.n))

    @cached_property
    def leading(self) -> Floats:
        """What carries the far tail of that null: eigenvalues of the pattern without its row means."""
        return leading_eigenvalues(double_center(square(self.vector, self.n)))


@dataclasses.dataclass(frozen=True)
class Rsa(Metric[Pattern]):
    """Correlation of two representational dissimilarity matrices (RDMs) over all pairs of items.

    Chance is exactly 0 for the correlations, whatever the data; for the cosines it is high, since dissimilarities are
    positive. rsatoolbox's ``euclidean`` is our ``squared_euclidean`` over the number of features.

    A side may be RDMs (``iso.RDMs``) in place of features: ``dissimilarity``, ``shrinkage`` and ``centered`` then say
    nothing about it. Entries that an RDM lacks (NaN) are left out pair by pair, and p comes from sampled permutations.

    Args:
        dissimilarity: ``"correlation"`` (1 - Pearson of two items' features), ``"cosine"``, ``"euclidean"``,
            ``"squared_euclidean"``, or ``"mahalanobis"`` (squared, by the features' covariance over items).
        comparison: ``"spearman"``, ``"pearson"``, ``"kendall"`` (τ-a), ``"rho_a"`` (Spearman under random breaking of
            ties), ``"cosine"``, ``"whitened_cosine"`` and ``"whitened_pearson"`` (entries decorrelated for the noise
            that pairs with a common item share; with ``squared_euclidean`` the former is biased linear CKA).
        shrinkage: For ``"mahalanobis"``: share of the mean variance mixed into the covariance, in [0, 1].
        centered: For cosine and correlation: whether the mean over items is taken out of each feature first. A mean
            that all items share (anisotropic features, as those of language models are) makes all angles alike; on
            embeddings of 1,854 nouns RSA with human judgements rose from 0.41 to 0.50 without it.

    Formula:
        corr over pairs i < j of D_x[i, j] and D_y[i, j], D the matrix of dissimilarities of items
        corr: Pearson, Spearman, Kendall τ-a, ρ-a, cosine a'b / √(a'a · b'b), or whitened: a'V⁻¹b / √(a'V⁻¹a · b'V⁻¹b)

    Cost:
        O(n² d) and n² / 2 numbers a layer, ranks O(n² log n) more; O(n²) a pair and a sampled permutation (Kendall O(n²
        log n)). The exact null one n x n x n product a layer; for Kendall only its mean, 0, is exact.

    Misleads:
        One coarse division of the items (animals against tools) fills most pairs and gives a high score though nothing
        agrees within the halves. Pairs share items, so the p-value of an ordinary correlation over n² / 2 pairs is far
        too small: ours permutes items. Correlation distance takes each item's mean over units out and so depends on the
        basis of the features. Rows that are nearly constant get a dissimilarity that is noise.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100, 8))
        >>> others = {"scaled and moved": 3 * x + 1, "half noise": x + noise, "unrelated": noise}
        >>> {name: round(iso.metric("rsa")(x, y), 2) for name, y in others.items()}
        {'scaled and moved': 1.0, 'half noise': 0.47, 'unrelated': -0.01}
    """

    name: ClassVar[str] = "rsa"
    shown: ClassVar[tuple[str, ...]] = ("dissimilarity", "comparison")
    aliases: ClassVar[Mapping[str, str]] = {
        f"rsa-rdm={theirs}-compare={compare}": f"rsa(dissimilarity={ours!r}, comparison={comparison!r})"
        for (theirs, ours), (compare, comparison) in itertools.product(
            ((d, d) for d in ("correlation", "cosine", "euclidean", "squared_euclidean")),
            (
                ("pearson", "pearson"),
                ("spearman", "spearman"),
                ("tau_a", "kendall"),
                ("rho_a", "rho_a"),
                ("cosine", "cosine"),
                ("cosine_cov", "whitened_cosine"),
                ("corr_cov", "whitened_pearson"),
            ),
        )
    } | {"mantel": "rsa(comparison='pearson')"}
    variants: ClassVar[tuple[str, ...]] = (
        "rsa",
        "rsa(dissimilarity='squared_euclidean', comparison='pearson')",
        "rsa(dissimilarity='cosine', comparison='cosine')",
        "rsa(dissimilarity='euclidean', comparison='whitened_cosine')",
        "rsa(dissimilarity='mahalanobis', comparison='whitened_pearson')",
        "rsa(dissimilarity='euclidean', comparison='rho_a')",
        "rsa(dissimilarity='euclidean', comparison='kendall')",
    )

    dissimilarity: str = "correlation"
    comparison: str = "spearman"
    shrinkage: float = 0.1
    centered: bool = False

    def __post_init__(self) -> None:
        angular = self.dissimilarity in ("cosine", "correlation")
        check_centered(self.name, self.centered, "distances between items", moved=angular)
        choice(self.name, "dissimilarity", self.dissimilarity, DISSIMILARITIES)
        choice(self.name, "comparison", self.comparison, COMPARISONS)
        _check_shrinkage(self.name, self.shrinkage)

    @property
    def range(self) -> tuple[float, float]:
        positive = self.comparison == "cosine"
        return (0.0 if positive else -1.0, 1.0)

    @property
    def bound(self) -> str:
        return "negative only for RDMs with negative entries" if self.comparison == "whitened_cosine" else ""

    @property
    def invariances(self) -> frozenset[str]:
        held = {"isotropic_scale", "unit_permutation", "item_permutation"}
        if self.dissimilarity != "correlation":
            held |= {"rotation", "reflection"}
        if self.centered or self.dissimilarity not in ("correlation", "cosine"):
            held |= {"translation"}
        if self.dissimilarity == "mahalanobis" and self.shrinkage == 0:
            held |= {"invertible_linear"}
        return frozenset(held)

    @property
    def refuses(self) -> Mapping[str, str]:
        refused = {**NOTHING_VARIES}
        if self.dissimilarity == "correlation":
            flat = ("one feature", "zero items", "two values")
            refused |= dict.fromkeys(flat, "an item whose features are all equal has no correlation with another")
        if self.dissimilarity == "cosine" and not self.centered:
            refused |= NO_DIRECTION
        return refused if self.comparison in ("cosine", "whitened_cosine") else refused | EQUALLY_ALIKE

    @property
    def chance(self) -> str:
        if self.comparison in ("cosine", "whitened_cosine"):
            return "product of the two patterns' means over their norms: high, since dissimilarities are positive"
        return "0, exactly"

    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        return None if self.comparison in ("cosine", "whitened_cosine") else 0.0

    @property
    def reference(self) -> str:
        return (
            "Kriegeskorte, Mur and Bandettini 2008; comparisons: Nili et al. 2014 (τ-a), Schütt et al. 2023 (ρ-a), "
            "Diedrichsen et al. 2020 (whitened); null: Mantel 1967, with the third moment"
        )

    @property
    def differentiable(self) -> bool:
        return self.comparison not in RANKED and self.dissimilarity != "mahalanobis"

    @property
    def reads_rdms(self) -> bool:
        return True

    def prepare(self, x: Array) -> Pattern:
        if isinstance(x, Rdm):
            return self._given(x)
        x = about_mean(x, self.centered)
        vector, _ = condensed(x, self.dissimilarity, self.shrinkage)
        if self.dissimilarity == "euclidean" and self.comparison not in RANKED:
            vector = rooted(vector)
        return Pattern(x.shape[0], comparable(vector, self.comparison, x.dtype))

    def _given(self, rdm: Rdm) -> Pattern:
        """The state of an RDM that was given as such."""
        vector = rdm.condensed
        largest = float(np.nanmax(np.abs(vector))) if rdm.missing < len(vector) else 0.0
        vector = vector / (largest or 1.0)
        if rdm.missing:
            return Pattern(len(rdm), vector, gaps=True)
        return Pattern(len(rdm), comparable(vector, self.comparison, vector.dtype))

    def permute(self, state: Pattern, order: np.ndarray[Any, Any]) -> Pattern:
        index = permuted_index(np.asarray(order, dtype=np.int64))
        return Pattern(state.n, take(state.vector, index), state.gaps)

    def compare(self, xs: Sequence[Pattern], ys: Sequence[Pattern]) -> Array:
        a, b = [x.vector for x in xs], [y.vector for y in ys]
        score = _tau_a if self.comparison == "kendall" else _products
        return compared(a, b, self.comparison, score) if _gaps(xs, ys) else score(a, b)

    def compare_permuted(
        self, xs: Sequence[Pattern], ys: Sequence[Pattern], orders: np.ndarray[Any, Any]
    ) -> Iterator[np.ndarray[Any, Any]]:
        if self.comparison == "kendall" or _gaps(xs, ys):
            yield from super().compare_permuted(xs, ys, orders)
            return

        def table(side: Sequence[Pattern]) -> PairTable:
            return PairTable.of((square(p.vector, p.n) for p in side), len(side))

        for products in permuted_products(*pair_tables(xs, ys, table), orders):
            yield products / 2  # both triangles are in the products, one in the score

    def null_moments(self, xs: Sequence[Pattern], ys: Sequence[Pattern]) -> Null | None:
        n = xs[0].n
        if _gaps(xs, ys):
            return None  # which entries are compared changes with the pairing
        if self.comparison == "kendall":
            mean = np.zeros((len(xs), len(ys)))
            return Null(mean, None, None, True, n, "exact mean; the variance of τ-a is not closed under re-pairing")
        m = moments([x.invariants for x in xs], [y.invariants for y in ys])
        mean = m.mean / 2  # both triangles are in the moments, one in the score
        if self.comparison not in ("cosine", "whitened_cosine"):
            mean = np.zeros_like(mean)  # the patterns are centred; what is left is rounding
        source = "exact moments over all n! re-pairings of the two RDMs (Mantel)"
        std = np.sqrt(m.variance) / 2
        weights = leading_weights([x.leading for x in xs], [y.leading for y in ys], n) / 2
        weights = weights / np.where(std > 0, std, 1.0)[:, :, None]
        # single far items decide Pearson's sums of distances longer than they do ranks or cosines
        least = LATE_TAIL_FROM if self.comparison == "pearson" else TAIL_FROM
        return Null(mean, std, skewness(m), True, n, source, weights=weights, scale=m.scale, tail_from=least)

    @property
    def contribution(self) -> str:
        if self.comparison == "kendall":
            return ""  # pairs of pairs of items are concordant, and belong to up to four items
        return "n / 2 times the sum of the products of the two patterns over all pairs with the item"

    def contributions(self, xs: Sequence[Pattern], ys: Sequence[Pattern]) -> Floats | None:
        if self.comparison == "kendall":
            return None
        n = xs[0].n

        def pair(x: Pattern, y: Pattern) -> Floats:
            a, b = (np.asarray(to_numpy(p.vector)) for p in (x, y))
            if x.gaps or y.gaps:
                a, b = filled(a, b, self.comparison)
            return np.asarray(n / 2 * item_sums(np.multiply(a, b, dtype=np.float64), n))

        return over_pairs(pair, xs, ys)

    @property
    def item_score(self) -> str:
        return "correlation of the item's dissimilarities to all others, as they are compared, on both sides"

    def item_scores(self, x: Pattern, y: Pattern) -> ItemScores | None:
        if x.gaps or y.gaps:
            return None  # rows would be of other items each
        return row_scores(*(square(np.asarray(to_numpy(p.vector)), p.n) for p in (x, y)))

    def influence(self, xs: Sequence[Pattern], ys: Sequence[Pattern]) -> Influence | None:
        if self.comparison in ("kendall", "whitened_cosine", "whitened_pearson") or self.dissimilarity == "mahalanobis":
            return None  # one item also moves the covariance or the weights of all others
        if _gaps(xs, ys):
            return None
        left, right = ([to_numpy(p.vector) for p in side] for side in (xs, ys))
        ranked = self.comparison in RANKED
        return rdm_influence(left, right, xs[0].n, ranked=ranked, rescaled=self.comparison != "rho_a")


def compute_rdm(x: Any, dissimilarity: str = "correlation", *, shrinkage: float = 0.1) -> Array:
    """The condensed RDM of one representation, in the order of SciPy and rsatoolbox.

    Args:
        x: Features of shape (n_items, n_features), of any array library.
        dissimilarity: As for `Rsa`. ``mahalanobis`` is squared.
        shrinkage: As for `Rsa`.

    Returns:
        Double-precision vector of n (n - 1) / 2 dissimilarities, where `x` lives.

    Raises:
        InputError: if `x` is not a representation, the dissimilarity is not defined for some item, or squared
            distances are too large for a float.
    """
    choice("compute_rdm", "dissimilarity", dissimilarity, DISSIMILARITIES)
    _check_shrinkage("compute_rdm", shrinkage)
    vector, unit = condensed(as_features(x, min_items=2), dissimilarity, shrinkage)
    if not is_traced(unit) and not np.isfinite(float(unit)):
        raise InputError(
            "compute_rdm: the squared distances of these features are beyond what a float can hold. Divide the "
            "features by a number first, such as their largest magnitude."
        )
    return rooted(vector) * unit**0.5 if dissimilarity == "euclidean" else vector * unit


def compare_rdms(a: Any, b: Any, comparison: str = "spearman", *, by: str | None = None) -> Floats:
    """Compare RDMs that come from anywhere.

    Args:
        a: One condensed RDM, several as rows, one square RDM (n, n), several (n_rdms, n, n), or `RDMs`. A square matrix
            is one square RDM, never a stack of condensed ones.
        b: The same, of the same items in the same order; where both are `RDMs` that name their items, RDMs are joined
            by these names, and items that one side lacks are left out and told of.
        comparison: As for `Rsa`.
        by: Which descriptor of the items holds the names, where both share several.

    Returns:
        Scores, shape (RDMs in a, RDMs in b). Entries that are NaN on one side are left out pair by pair, and told of.

    Raises:
        InputError: if the RDMs are not RDMs of the same items, a square one is not symmetric with a zero
            diagonal, names do not tell items apart, or an RDM is constant.
    """
    choice("compare_rdms", "comparison", comparison, COMPARISONS)
    stacks = rdm_pair(a, b, by)
    lost = [int(np.isnan(s).sum()) for s in stacks]
    if any(lost):
        notice(
            f"compare_rdms: a lacks {lost[0]} of {stacks[0].size} dissimilarities and b {lost[1]} of "
            f"{stacks[1].size}; those are left out of each comparison."
        )
    return comparison_scores(*stacks, comparison)


def comparison_scores(a: Floats, b: Floats, comparison: str) -> Floats:
    """Scores of all pairs of condensed RDMs over the same items, (RDMs in a, RDMs in b).

    Args:
        a: Condensed RDMs as rows, NaN where they lack an entry, which is left out pair by pair.
        b: The same.
        comparison: As for `Rsa`.

    Raises:
        InputError: if the comparison is not known, or an RDM has no pattern.
    """
    choice("comparison_scores", "comparison", comparison, COMPARISONS)
    stacks, score = (a, b), _tau_a if comparison == "kendall" else _products
    if any(np.isnan(s).any() for s in stacks):
        return compared(list(a), list(b), comparison, score)
    first, second = ([comparable(v / np.abs(v).max(initial=1e-300), comparison, v.dtype) for v in s] for s in stacks)
    return np.asarray(score(first, second))


def square_form(vector: Floats) -> Floats:
    """A condensed RDM as a symmetric matrix (n, n) with a zero diagonal.

    Args:
        vector: Condensed RDM (n (n - 1) / 2).
    """
    return np.asarray(square(vector, n_items(len(vector))))


def _gaps(xs: Sequence[Pattern], ys: Sequence[Pattern]) -> bool:
    return any(p.gaps for p in (*xs, *ys))


def _check_shrinkage(owner: str, shrinkage: object) -> None:
    if isinstance(shrinkage, bool) or not isinstance(shrinkage, int | float) or not 0 <= shrinkage <= 1:
        raise InputError(f"{owner}: shrinkage={shrinkage!r} is not a share; use a number from 0 to 1.")


def _products(a: Sequence[Array], b: Sequence[Array]) -> Array:
    """All inner products, summed in double precision over chunks."""
    xp = array_namespace(*a, *b)
    total: Any = None
    entries = a[0].shape[0]
    for begin in range(0, entries, _CHUNK):
        cut = slice(begin, min(entries, begin + _CHUNK))
        part = xp.stack([v[cut] for v in a]) @ xp.stack([v[cut] for v in b]).T
        part = xp.astype(part, xp.float64)
        total = part if total is None else total + part
    return total


def _tau_a(a: Sequence[Array], b: Sequence[Array]) -> Array:
    """Kendall's τ-a of all pairs of rank vectors: (concordant - discordant) / all pairs of entries."""
    out = np.empty((len(a), len(b)))
    first, second = ([np.asarray(to_numpy(v)) for v in side] for side in (a, b))
    m = len(first[0])
    pairs = m * (m - 1) / 2
    untied = [[pairs - np.sum(c * (c - 1) / 2) for c in _tie_sizes(side)] for side in (first, second)]
    for i, j in itertools.product(range(len(a)), range(len(b))):
        tau_b = float(scipy.stats.kendalltau(first[i], second[j], method="asymptotic").statistic)
        out[i, j] = tau_b * np.sqrt(untied[0][i] * untied[1][j]) / pairs
    return Home.of(a[0]).put(out)


def _tie_sizes(side: Sequence[Floats]) -> Iterator[Floats]:
    for v in side:
        yield np.unique(v, return_counts=True)[1].astype(np.float64)


__all__ = [
    "COMPARISONS",
    "DISSIMILARITIES",
    "RANKED",
    "Pattern",
    "PcmFit",
    "RDMs",
    "Rdms",
    "Rsa",
    "comparable",
    "compare_rdms",
    "comparison_scores",
    "compute_rdm",
    "condition_means",
    "crossed",
    "crossnobis",
    "entries_of",
    "fit_pcm",
    "fold_means",
    "is_square_rdm",
    "labeled",
    "mean_rdm",
    "noise_precision",
    "pcm_log_likelihood",
    "rdm_pair",
    "read_rdms",
    "regressors",
    "scaled_rdms",
    "shared_entries",
    "square_form",
    "whitened",
    "write_rdms",
]

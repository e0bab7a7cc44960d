"""The contract of metrics catches what it is there for: each planted metric breaks the law that it cheats on.

The honest one keeps every law, so what catches a cheat is its lie and nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from array_api_compat import array_namespace

from isomorph._core.arrays import take_rows, to_numpy
from isomorph.errors import InputError
from isomorph.metrics import REGISTRY, SITUATIONS, Metric, Null

from . import metric_laws  # noqa: F401  # which registers the laws
from .metric_cases import N
from .metric_shared import METRICS, SLOW_LAWS

RIGID = frozenset({"rotation", "reflection", "unit_permutation", "translation", "isotropic_scale", "item_permutation"})


@dataclasses.dataclass(frozen=True)
class Honest(Metric[Any]):
    """Cosine of two double-centred Gram matrices, for which all is known: biased linear CKA."""

    name: ClassVar[str] = "planted"

    @property
    def range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def invariances(self) -> frozenset[str]:
        return RIGID

    @property
    def chance(self) -> str:
        return "above 0: tr K tr L / ((n - 1) ‖K‖ ‖L‖), exactly"

    @property
    def differentiable(self) -> bool:
        return True

    @property
    def reference(self) -> str:
        return "Robert and Escoufier (1976)"

    def prepare(self, x: Any) -> Any:
        xp = array_namespace(x)
        x = xp.astype(x, xp.float64)
        top = float(xp.max(xp.abs(x.detach() if hasattr(x, "detach") else x)))
        if top == 0:
            raise InputError("The layer is constant: all its items have the same features.")
        centered = x / top - xp.mean(x / top, axis=0, keepdims=True)
        gram = centered @ xp.matrix_transpose(centered)
        size = xp.sqrt(xp.sum(gram * gram))
        if float(size.detach() if hasattr(size, "detach") else size) < 1e-13 * x.shape[0]:
            raise InputError("The layer is constant: all its items have the same features.")
        return gram / size

    def compare(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        xp = array_namespace(xs[0])
        return xp.stack([xp.stack([xp.clip(xp.sum(a * b), 0.0, 1.0) for b in ys]) for a in xs])

    def permute(self, state: Any, order: Any) -> Any:
        turn = array_namespace(state).matrix_transpose
        return turn(take_rows(turn(take_rows(state, order)), order))

    @property
    def contribution(self) -> str:
        return "n times the item's row of the inner product of the two Gram matrices"

    def contributions(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        rows = [[np.sum(to_numpy(a) * to_numpy(b), axis=1) for b in ys] for a in xs]
        return np.moveaxis(np.array(rows), -1, 0) * xs[0].shape[0]

    def null_moments(self, xs: Sequence[Any], ys: Sequence[Any]) -> Null | None:
        n = xs[0].shape[0]
        traces = [np.array([np.trace(to_numpy(s)) for s in side]) for side in (xs, ys)]
        return Null(np.outer(*traces) / (n - 1), None, None, True, n, "exact mean")


class RefusesEverything(Honest):
    def prepare(self, x: Any) -> Any:
        raise InputError("x is constant, zero, has one feature, rank 3 of 3 items, or item 0 alone.")


class DeclaresAllRefusals(RefusesEverything):
    """Declares chance that nobody can measure, too."""

    @property
    def refuses(self) -> Mapping[str, str]:
        return dict.fromkeys(SITUATIONS, "this metric has no score on such data")

    @property
    def chance(self) -> str:
        return "0.7, exactly"


class RefusesNearlyEverything(Honest):
    """Scores plain float64 of the suite's favourite size and refuses the rest, hard data honestly."""

    def prepare(self, x: Any) -> Any:
        x64 = to_numpy(x)
        if x64.dtype != np.float64 or x64.shape[0] != N or x64.shape[1] not in (5, 7) or np.ptp(x64, axis=0).min() == 0:
            raise InputError("x is constant, or all zero.")
        return super().prepare(x)

    @property
    def refuses(self) -> Mapping[str, str]:
        hard = ("constant layer", "zero layer", "one feature", "more features than items", "far item", "far scale")
        return dict.fromkeys(hard, "this metric has no score on such data")


class HidesARefusal(Honest):
    def prepare(self, x: Any) -> Any:
        if x.shape[1] == 1:
            raise InputError("x has one feature: two are needed.")
        return super().prepare(x)


class RefusesWithoutTheCause(Honest):
    def prepare(self, x: Any) -> Any:
        try:
            return super().prepare(x)
        except InputError:
            raise InputError("Something went wrong.") from None


class DeclaresARefusalThatItDoesNotMake(Honest):
    @property
    def refuses(self) -> Mapping[str, str]:
        return {**super().refuses, "one feature": "one feature is no space at all"}


class AsksForManyItems(Honest):
    @property
    def min_items(self) -> int:
        return 5000


class FalseChanceInWords(Honest):
    @property
    def chance(self) -> str:
        return "0.7, exactly"


class ChanceThatNobodyCanCheck(Honest):
    @property
    def chance(self) -> str:
        return "that of Robert and Escoufier, exactly"

    def null_moments(self, xs: Sequence[Any], ys: Sequence[Any]) -> Null | None:
        return None


class FalseChanceLevel(Honest):
    def chance_level(self, n: int, d1: int, d2: int) -> float | None:
        return 0.19  # it is 0.14


class FalseMean(Honest):
    """Wrong by 5 %."""

    def null_moments(self, xs: Sequence[Any], ys: Sequence[Any]) -> Null | None:
        null = super().null_moments(xs, ys)
        assert null is not None
        return dataclasses.replace(null, mean=1.05 * null.mean)


Cka: Any = REGISTRY.classes["cka"]


class FalseSpread(Cka):
    """Its exact null is known to the third moment; the second is wrong by 5 %."""

    def null_moments(self, xs: Sequence[Any], ys: Sequence[Any]) -> Null | None:
        null = super().null_moments(xs, ys)
        return dataclasses.replace(null, std=1.05 * null.std)


class FalseSkewness(Cka):
    def null_moments(self, xs: Sequence[Any], ys: Sequence[Any]) -> Null | None:
        null = super().null_moments(xs, ys)
        return dataclasses.replace(null, skewness=1.05 * null.skewness)


class FalseInvariance(Honest):
    @property
    def invariances(self) -> frozenset[str]:
        return RIGID | {"invertible_linear"}


class MissingInvariance(Honest):
    @property
    def invariances(self) -> frozenset[str]:
        return RIGID - {"translation"}


class RangeTooNarrow(Honest):
    @property
    def range(self) -> tuple[float, float]:
        return 0.1, 1.0


class RangeTooWide(Honest):
    @property
    def range(self) -> tuple[float, float]:
        return -2.0, 1.0


class BoundThatIsNone(Honest):
    @property
    def bound(self) -> str:
        return "scores never come near the ends"


class PermutesOneSideOnly(Honest):
    def permute(self, state: Any, order: Any) -> Any:
        return take_rows(state, order)


class PermutesNothing(Honest):
    def permute(self, state: Any, order: Any) -> Any:
        return state


class ContributionsOfNobody(Honest):
    def contributions(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        own = super().contributions(xs, ys)
        return own * 0 + own.mean(axis=0)


class ContributionsWithoutWords(Honest):
    @property
    def contribution(self) -> str:
        return ""


class ContributionsOfOthers(Honest):
    def contributions(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        return np.sort(super().contributions(xs, ys), axis=0)


class ContributionsOfAnotherScore(Honest):
    def contributions(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        return 1.01 * super().contributions(xs, ys)


class NotSymmetric(Honest):
    def compare(self, xs: Sequence[Any], ys: Sequence[Any]) -> Any:
        return super().compare(xs, ys) ** (1 + array_namespace(xs[0]).stack([x[0, 0] for x in xs])[:, None])


class SaysThatItIsADistance(Honest):
    @property
    def distance(self) -> bool:
        return True

    @property
    def identity(self) -> float | None:
        return 1.0


class FalseIdentity(Honest):
    @property
    def identity(self) -> float | None:
        return 0.9


class GradientLeftOut(Honest):
    """Half of the graph is lost on the way."""

    def prepare(self, x: Any) -> Any:
        state = super().prepare(x)
        return 0.5 * (state + state.detach()) if hasattr(state, "detach") else state


class NoGradient(Honest):
    def prepare(self, x: Any) -> Any:
        state = super().prepare(x)
        return state.detach() if hasattr(state, "detach") else state


class SaysThatItStreams(Honest):
    @property
    def streams(self) -> bool:
        return True

    def prepare(self, x: Any) -> Any:
        return super().prepare(getattr(x, "source", x)[:1000, :])


def broken(m: Metric[Any], *names: str) -> set[str]:
    """The laws that a metric breaks: of those named, or of all."""
    out = set()
    for name, args in METRICS.calls(m, names or [n for n in METRICS.by_name if n not in SLOW_LAWS]):
        try:
            METRICS.by_name[name](m, *args)
        except AssertionError:
            out.add(name)
    return out


def test_an_honest_metric_keeps_every_law() -> None:
    assert broken(Honest()) == set()


ORDINARY, HARD = "ordinary_data_get_a_score_in_the_range", "hard_data_are_refused_or_scored_as_declared"


@pytest.mark.parametrize(
    ("cheat", "law"),
    [
        (RefusesEverything, ORDINARY),
        (DeclaresAllRefusals, ORDINARY),
        (DeclaresAllRefusals, "what_is_declared_can_be_read"),
        (DeclaresAllRefusals, "what_is_said_of_chance_is_so"),
        (RefusesNearlyEverything, ORDINARY),
        (RefusesNearlyEverything, HARD),
        (HidesARefusal, HARD),
        (RefusesWithoutTheCause, HARD),
        (DeclaresARefusalThatItDoesNotMake, HARD),
        (AsksForManyItems, "what_is_declared_can_be_read"),
        (FalseChanceInWords, "what_is_said_of_chance_is_so"),
        (ChanceThatNobodyCanCheck, "what_is_said_of_chance_is_so"),
        (FalseChanceLevel, "the_chance_level_is_the_mean_score_of_noise_and_of_its_pairings"),
        (FalseMean, "exact_null_moments_equal_enumeration_of_all_pairings"),
        (FalseSpread, "exact_null_moments_equal_enumeration_of_all_pairings"),
        (FalseSkewness, "exact_null_moments_equal_enumeration_of_all_pairings"),
        (FalseInvariance, "declared_invariances_hold"),
        (MissingInvariance, "an_undeclared_invariance_breaks_on_an_example"),
        (RangeTooNarrow, ORDINARY),
        (RangeTooWide, "scores_reach_both_halves_of_the_range"),
        (BoundThatIsNone, "scores_reach_both_halves_of_the_range"),
        (PermutesOneSideOnly, "permuting_a_prepared_state_equals_preparing_permuted_items"),
        (PermutesNothing, "compare_permuted_equals_comparing_permuted_items"),
        (ContributionsOfNobody, "contributions_average_to_the_score_and_belong_to_their_items"),
        (ContributionsWithoutWords, "what_an_item_gives_is_in_words_where_it_is_in_numbers"),
        (ContributionsOfOthers, "contributions_average_to_the_score_and_belong_to_their_items"),
        (ContributionsOfAnotherScore, "contributions_average_to_the_score_and_belong_to_their_items"),
        (NotSymmetric, "symmetry_is_as_declared"),
        (SaysThatItIsADistance, "a_representation_scores_the_declared_identity_with_itself"),
        (FalseIdentity, "a_representation_scores_the_declared_identity_with_itself"),
        (GradientLeftOut, "torch_gradients_are_right_and_flow_where_declared"),
        (NoGradient, "torch_gradients_are_right_and_flow_where_declared"),
        (SaysThatItStreams, "streamed_features_score_as_others_and_are_checked"),
    ],
    ids=lambda v: v if isinstance(v, str) else v.__name__,
)
def test_a_cheat_breaks_the_law(cheat: type[Honest], law: str) -> None:
    assert broken(cheat(), law), f"{cheat.__name__} passes {law}"

"""Planted cheats: a kind of every room that breaks its contract, and the laws that must catch it.

The laws are the functions that the suites run over what is registered. Each cheat differs in one thing from an honest
kind that keeps every law, here or as one of those registered, so that a law cannot pass by failing everything.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from markupsafe import Markup

from isomorph.datasets import REGISTRY as DATASET_KINDS
from isomorph.datasets import Dataset, PairedItems
from isomorph.diagnosis import REGISTRY as SIGNATURE_KINDS
from isomorph.diagnosis import Signature
from isomorph.encoders import Encoder, Provider, providers
from isomorph.errors import InputError
from isomorph.heads import REGISTRY as HEAD_KINDS
from isomorph.leagues import REGISTRY as CRITERION_KINDS
from isomorph.maps import REGISTRY as MAP_KINDS
from isomorph.reporting._section import Block, Section, Shown
from isomorph.reporting.sections import sections
from isomorph.results import Result

from .criterion_laws import CRITERIA
from .dataset_laws import DATASETS
from .head_laws import HEADS
from .laws import Laws
from .map_laws import MAPS
from .provider_laws import PROVIDERS, loader
from .section_laws import SECTIONS
from .signature_laws import SIGNATURES


def check(laws: Laws, cheat: Any, caught_by: set[str], *args: Any) -> None:
    """A cheat breaks the laws that are named, and perhaps more."""
    broken = laws.broken(cheat, *args, names=caught_by)
    assert caught_by == set(broken), f"only {set(broken)} caught it"


# ---- maps -----------------------------------------------------------------------------------------------------------

Ridge: Any = MAP_KINDS.classes["ridge"]
Orthogonal: Any = MAP_KINDS.classes["orthogonal"]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers a kind for one test, so that it is found by name."""

    def add(registry: Any, kind: Any) -> Any:
        monkeypatch.setitem(registry.classes, kind.name, kind)
        return kind

    return add


class HonestMap(Ridge):  # type: ignore[misc]  # found in the registry
    """As ridge.

    Args:
        penalties: As ridge's.
    """

    name: ClassVar[str] = "honest_map"

    def fit_grid(self, xs: Any, ys: Any) -> Iterator[Any]:
        return super(Ridge, self).fit_grid(xs, ys)


class IgnoresX(HonestMap):
    name: ClassVar[str] = "ignores_x"

    def embed_x(self, x: Any) -> Any:
        return np.zeros((len(self._rows(x)), 1)) + self.y_mean_


class DrawsAtRandom(HonestMap):
    name: ClassVar[str] = "draws_at_random"

    def embed_x(self, x: Any) -> Any:
        return super().embed_x(x) + 1e-3 * np.random.default_rng().standard_normal(self.n_targets_)


class SeesTheBatch(HonestMap):
    name: ClassVar[str] = "sees_the_batch"

    def embed_x(self, x: Any) -> Any:
        rows = super().embed_x(x)
        return rows - rows.mean(axis=0)


class MatchesByPosition(HonestMap):
    name: ClassVar[str] = "matches_by_position"

    def _fit(self, x: Any, y: Any, factor: Any) -> None:
        y = np.roll(y, 1, axis=0)
        super()._fit(x, y, factor)


class RefusesNothing(HonestMap):
    name: ClassVar[str] = "refuses_nothing"

    def _checked(self, x: Any, y: Any) -> Any:
        rows = min(len(x), len(y))
        return np.nan_to_num(np.asarray(x, dtype=float)[:rows]), np.asarray(y, dtype=float)[:rows]


class ForgetsWhenSaved(HonestMap):
    name: ClassVar[str] = "forgets_when_saved"

    def learned(self) -> dict[str, Any]:
        return {k: v if k != "coef_" else np.round(v, 3) for k, v in super().learned().items()}


class SaysItIgnoresX(HonestMap):
    name: ClassVar[str] = "says_it_ignores_x"
    reads_x: ClassVar[bool] = False


class SaysOrderCounts(HonestMap):
    name: ClassVar[str] = "says_order_counts"
    order_free: ClassVar[bool] = False


class WrongInverse(Orthogonal):  # type: ignore[misc]  # found in the registry
    """As orthogonal, but for its inverse."""

    name: ClassVar[str] = "wrong_inverse"

    def inverse(self) -> Any:
        back = super().inverse()
        back.coef_ = 1.01 * back.coef_
        return back


@pytest.mark.parametrize(
    ("cheat", "caught_by"),
    [
        (IgnoresX, {"x_counts_unless_the_contrary_is_declared"}),
        (DrawsAtRandom, {"a_second_fit_on_the_same_pairs_gives_the_same_map", "rows_are_mapped_one_by_one"}),
        (SeesTheBatch, {"rows_are_mapped_one_by_one"}),
        (MatchesByPosition, {"the_order_of_the_pairs_counts_only_where_that_is_declared"}),
        (RefusesNothing, {"bad_input_is_refused_in_words"}),
        (ForgetsWhenSaved, {"a_saved_map_comes_back_as_it_was"}),
        (SaysItIgnoresX, {"x_counts_unless_the_contrary_is_declared"}),
        (SaysOrderCounts, {"the_order_of_the_pairs_counts_only_where_that_is_declared"}),
    ],
)
def test_a_cheating_map_is_caught(cheat: Any, caught_by: set[str], registered: Any) -> None:
    check(MAPS, registered(MAP_KINDS, cheat), caught_by)


def test_an_honest_map_keeps_every_law(registered: Any) -> None:
    assert not MAPS.broken(registered(MAP_KINDS, HonestMap))


def test_a_map_with_a_wrong_inverse_is_caught(registered: Any) -> None:
    law = "the_inverse_undoes_the_map_and_its_own_inverse_is_the_map"
    check(MAPS, registered(MAP_KINDS, WrongInverse), {law})


# ---- heads ----------------------------------------------------------------------------------------------------------

Concat: Any = HEAD_KINDS.classes["concat"]


class HonestHead(Concat):  # type: ignore[misc]  # found in the registry
    """As concat.

    Args:
        banded: As concat's.
        view_dropout: As concat's.
    """

    name: ClassVar[str] = "honest_head"


class RefusesToFit(HonestHead):
    name: ClassVar[str] = "refuses_to_fit"

    def _fit(self, spaces: Any, target: Any, folds: Any, seed: int) -> None:
        raise InputError("x and y are constant, not finite at item 3, or of another length: the same item is needed.")


class DeclaresNoTarget(HonestHead):
    name: ClassVar[str] = "declares_no_target"
    kinds: ClassVar[frozenset[str]] = frozenset()


class LooksAtTheBatch(HonestHead):
    name: ClassVar[str] = "looks_at_the_batch"

    def _predict(self, spaces: Any) -> Any:
        return super()._predict({s: rows if rows is None else rows - rows.mean(axis=0) for s, rows in spaces.items()})


class SaysThePrior(HonestHead):
    name: ClassVar[str] = "says_the_prior"

    def _predict(self, spaces: Any) -> Any:
        return 0 * super()._predict(spaces) + self.target_.prior


class ReadsOneSpace(HonestHead):
    name: ClassVar[str] = "reads_one_space"

    def _predict(self, spaces: Any) -> Any:
        first = next(s for s, rows in spaces.items() if rows is not None)
        return super()._predict({first: spaces[first]})


class FillsInNothing(HonestHead):
    name: ClassVar[str] = "fills_in_nothing"

    def _predict(self, spaces: Any) -> Any:
        found = super()._predict(spaces)
        return found * np.nan if any(rows is None for rows in spaces.values()) else found


class NotShares(HonestHead):
    name: ClassVar[str] = "not_shares"

    def _predict(self, spaces: Any) -> Any:
        return 1.01 * super()._predict(spaces)


class LoudSpacesWin(HonestHead):
    name: ClassVar[str] = "loud_spaces_win"

    def _fit(self, spaces: Any, target: Any, folds: Any, seed: int) -> None:
        super()._fit({"whole": np.hstack(list(spaces.values()))}, target, folds, seed)

    def _predict(self, spaces: Any) -> Any:
        n = len(next(rows for rows in spaces.values() if rows is not None))
        parts = [np.zeros((n, *self.widths_[s])) if rows is None else rows for s, rows in spaces.items()]
        return super()._predict({"whole": np.hstack(parts)})


class DrawsItsSeed(HonestHead):
    name: ClassVar[str] = "draws_its_seed"

    def _predict(self, spaces: Any) -> Any:
        return super()._predict(spaces) + 1e-12 * np.random.random()  # noqa: NPY002  # the cheat


class TakesTokensUnasked(HonestHead):
    name: ClassVar[str] = "takes_tokens_unasked"
    tokens: ClassVar[bool] = True

    def _fit(self, spaces: Any, target: Any, folds: Any, seed: int) -> None:
        super()._fit({s: rows.reshape(len(rows), -1) for s, rows in spaces.items()}, target, folds, seed)

    def _predict(self, spaces: Any) -> Any:
        flat = {s: rows if rows is None else rows.reshape(len(rows), -1) for s, rows in spaces.items()}
        return super()._predict(flat)

    def _views(self, spaces: Any) -> Any:  # any number of tokens
        self.widths_ = {s: spaces[s].shape[1:] for s in spaces if spaces[s] is not None} or self.widths_
        return super()._views(spaces)


LEARNT = "every_declared_kind_of_target_is_learnt_and_the_others_are_refused"


@pytest.mark.parametrize(
    ("cheat", "caught_by"),
    [
        (RefusesToFit, {LEARNT, "any_number_of_spaces_is_read", "an_item_is_read_by_itself"}),
        (DeclaresNoTarget, {LEARNT}),
        (LooksAtTheBatch, {"an_item_is_read_by_itself"}),
        (SaysThePrior, {LEARNT, "every_space_counts_where_each_holds_a_part"}),
        (ReadsOneSpace, {"every_space_counts_where_each_holds_a_part"}),
        (FillsInNothing, {"an_item_that_lacks_a_space_is_served_by_the_others"}),
        (NotShares, {"probabilities_are_probabilities"}),
        (LoudSpacesWin, {"scale_and_shift_of_a_space_play_no_part"}),
        (DrawsItsSeed, {"the_same_seed_gives_the_same_bits_and_leaves_other_generators_alone"}),
        (TakesTokensUnasked, {"several_tokens_an_item_are_taken_or_refused_as_declared"}),
    ],
)
def test_a_head_that_cheats_is_caught(cheat: Any, caught_by: set[str], registered: Any) -> None:
    check(HEADS, registered(HEAD_KINDS, cheat), caught_by)


def test_an_honest_head_keeps_every_law(registered: Any) -> None:
    assert not HEADS.broken(registered(HEAD_KINDS, HonestHead))


# ---- datasets -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class HonestDataset(Dataset):
    """Words drawn from a list.

    Attributes:
        n: How many.
        seed: Seed of the draw.
    """

    name: ClassVar[str] = "honest_dataset"
    reference: ClassVar[str] = "Made for this test."

    n: int = 10
    seed: int = 0

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Any:
        return cls(n)

    def load(self) -> PairedItems:
        drawn = np.random.default_rng(self.seed).permutation(1000)[: self.n]
        return self.paired(
            [f"word-{i}" for i in drawn],
            {
                "text": [f"the word {i}" for i in drawn],
                "features": np.random.default_rng(0).standard_normal((1000, 3))[drawn],
            },
            [str(i % 3) for i in drawn],
        )

    def paired(self, ids: Any, views: Any, labels: Any) -> PairedItems:
        source = f"{self.name}(n={self.n}, seed={self.seed})"
        return PairedItems("words", tuple(ids), views, {"class": tuple(labels)}, source=source)


class IdsAreRowNumbers(HonestDataset):
    name: ClassVar[str] = "ids_are_row_numbers"

    def paired(self, ids: Any, views: Any, labels: Any) -> PairedItems:
        return super().paired(map(str, range(len(ids))), views, labels)


class IdsAreSorted(HonestDataset):
    name: ClassVar[str] = "ids_are_sorted"

    def paired(self, ids: Any, views: Any, labels: Any) -> PairedItems:
        return super().paired(sorted(ids), views, labels)


class IdsAreNew(HonestDataset):
    name: ClassVar[str] = "ids_are_new"

    def paired(self, ids: Any, views: Any, labels: Any) -> PairedItems:
        return super().paired([uuid.uuid4().hex for _ in ids], views, labels)


class OneViewIsShuffled(HonestDataset):
    name: ClassVar[str] = "one_view_is_shuffled"

    def paired(self, ids: Any, views: Any, labels: Any) -> PairedItems:
        rows = views["features"]
        order = np.random.default_rng(len(rows)).permutation(len(rows))
        return super().paired(ids, {**views, "features": rows[order]}, labels)


class LabelsAreShuffled(HonestDataset):
    name: ClassVar[str] = "labels_are_shuffled"

    def paired(self, ids: Any, views: Any, labels: Any) -> PairedItems:
        return super().paired(ids, views, labels[::-1])


class IgnoresItsSeed(HonestDataset):
    name: ClassVar[str] = "ignores_its_seed"

    def load(self) -> PairedItems:
        drawn = HonestDataset(self.n, 0).load()
        return self.paired(drawn.ids, drawn.views, drawn.labels["class"])


class WrongSource(HonestDataset):
    name: ClassVar[str] = "wrong_source"

    def paired(self, ids: Any, views: Any, labels: Any) -> PairedItems:
        return dataclasses.replace(super().paired(ids, views, labels), source=f"{self.name}(n=3)")


BY_ID = "an_id_names_the_same_item_whatever_else_is_loaded"


@pytest.mark.parametrize(
    ("cheat", "caught_by"),
    [
        (IdsAreRowNumbers, {"an_id_names_the_same_item_whatever_the_seed_and_the_seed_counts"}),
        (IdsAreSorted, {BY_ID}),
        (IdsAreNew, {BY_ID, "two_loads_give_the_same_items_under_the_same_ids"}),
        (OneViewIsShuffled, {BY_ID}),
        (LabelsAreShuffled, {BY_ID}),
        (IgnoresItsSeed, {"an_id_names_the_same_item_whatever_the_seed_and_the_seed_counts"}),
        (WrongSource, {"what_it_says_of_its_making_makes_it_again"}),
    ],
)
def test_a_dataset_that_cheats_is_caught(cheat: Any, caught_by: set[str], registered: Any, tmp_path: Path) -> None:
    check(DATASETS, registered(DATASET_KINDS, cheat), caught_by, tmp_path)


def test_an_honest_dataset_keeps_every_law(registered: Any, tmp_path: Path) -> None:
    elsewhere = "another_process_gives_the_same_items_under_the_same_ids"  # which has only what is installed
    broken = DATASETS.broken(registered(DATASET_KINDS, HonestDataset), tmp_path)
    assert set(broken) == {elsewhere}
    assert "no-such" not in broken[elsewhere]


# ---- signatures -----------------------------------------------------------------------------------------------------

Anisotropy: Any = SIGNATURE_KINDS.classes["anisotropy"]


class AlwaysPresent(Anisotropy):  # type: ignore[misc]  # found in the registry
    """All items point the same way."""

    name: ClassVar[str] = "always_present"

    def measure(self, rows: Any) -> Any:
        _, evidence, summary = super().measure(rows)
        return 2.0, evidence, summary


class NeverPresent(Anisotropy):  # type: ignore[misc]  # found in the registry
    """All items point the same way."""

    name: ClassVar[str] = "never_present"

    def measure(self, rows: Any) -> Any:
        _, evidence, summary = super().measure(rows)
        return 0.5, evidence, summary


class NeverLooked(Anisotropy):  # type: ignore[misc]  # found in the registry
    """All items point the same way."""

    name: ClassVar[str] = "never_looked"

    def missing(self, case: Any) -> str:
        return "needs what nobody has"


class NotANumber(Anisotropy):  # type: ignore[misc]  # found in the registry
    """All items point the same way."""

    name: ClassVar[str] = "not_a_number"

    def measure(self, rows: Any) -> Any:
        severity, evidence, summary = super().measure(rows)
        return severity, {**evidence, "ratio": float("nan")}, summary


class NoAdvice(Anisotropy):  # type: ignore[misc]  # found in the registry
    """All items point the same way."""

    name: ClassVar[str] = "no_advice"
    advice: ClassVar[str] = ""


class PlantsNothing(Anisotropy):  # type: ignore[misc]  # found in the registry
    """All items point the same way."""

    name: ClassVar[str] = "plants_nothing"
    planted = Signature.planted


@pytest.mark.parametrize(
    ("cheat", "caught_by"),
    [
        (AlwaysPresent, {"it_is_absent_where_nothing_is_wrong"}),
        (NeverPresent, {"it_is_present_where_it_was_planted"}),
        (NeverLooked, {"it_is_absent_where_nothing_is_wrong", "it_is_present_where_it_was_planted"}),
        (NotANumber, {"every_finding_has_evidence_in_finite_numbers_words_and_advice"}),
        (NoAdvice, {"its_question_advice_and_meaning_are_stated"}),
        (PlantsNothing, {"it_is_present_where_it_was_planted"}),
    ],
)
def test_a_signature_that_cheats_is_caught(cheat: Any, caught_by: set[str], registered: Any) -> None:
    check(SIGNATURES, registered(SIGNATURE_KINDS, cheat), caught_by)


# ---- providers ------------------------------------------------------------------------------------------------------

Honest: Any = providers.classes["statistics"]


class _Frozen(Encoder):
    """Features that are those of the words, whatever was asked for."""

    provider, modality, layers, n_parameters = "ignores", "text", ("one", "two"), 0  # type: ignore[assignment]
    name, revision = "ignores:it", "1"  # type: ignore[assignment]
    identity: Mapping[str, Any] = {}  # type: ignore[assignment]  # the cheat

    def encode(self, batch: Any) -> Any:
        rows = np.array([[len(t), t.count("a"), t.count("e") + 1] for t in batch], dtype=np.float32)
        return {"one": rows, "two": rows + 1}


class IgnoresOptions(Provider):
    """Takes every option and does nothing with it."""

    name: ClassVar[str] = "ignores"
    spec: ClassVar[str] = "ignores:NAME"

    def load(self, id: str, revision: Any, options: Any, **extra: Any) -> Encoder:
        return _Frozen()


class _Told(_Frozen):
    def __init__(self, options: Any) -> None:
        self.identity = {"provider": "ignores", **dataclasses.asdict(options)}


class OnlySaysThatItObeys(IgnoresOptions):
    """Writes the options into its identity and does nothing with them."""

    def load(self, id: str, revision: Any, options: Any, **extra: Any) -> Encoder:
        return _Told(options)


class _Alike(_Frozen):
    identity: ClassVar[Mapping[str, Any]] = {"provider": "ignores"}

    def encode(self, batch: Any) -> Any:
        return {"one": np.ones((len(batch), 3), np.float32), "two": np.ones((len(batch), 3), np.float32)}


class SaysNothing(IgnoresOptions):
    """Gives every item the same features."""

    def load(self, id: str, revision: Any, options: Any, **extra: Any) -> Encoder:
        return _Alike()


OBEYS = "a_common_option_changes_features_and_identity_or_is_refused_by_name"


@pytest.mark.parametrize(
    ("cheat", "caught_by"),
    [
        (
            IgnoresOptions,
            {OBEYS, "what_determines_the_features_is_its_identity", "an_untrained_twin_says_so_and_hangs_on_its_seed",
             "layers_are_picked_by_name_and_pattern", "unknown_options_sides_and_devices_are_refused"},
        ),
        (OnlySaysThatItObeys, {OBEYS, "an_untrained_twin_says_so_and_hangs_on_its_seed"}),
        (SaysNothing, {"an_encoder_is_as_its_class_says"}),
    ],
)  # fmt: skip
def test_a_provider_that_cheats_is_caught(
    cheat: Any, caught_by: set[str], registered: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isomorph.encoders.cache_dir", lambda: tmp_path)  # no certificate of an earlier run
    check(PROVIDERS, registered(providers, cheat), caught_by, loader("ignores:it", {}))


def test_an_honest_provider_keeps_every_law(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isomorph.encoders.cache_dir", lambda: tmp_path)  # no certificate of an earlier run
    assert not PROVIDERS.broken(Honest, loader(*Honest.example(tmp_path)))


# ---- sections -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class _Named(Result):
    kind: ClassVar[str] = "named_for_this_test"

    model: str


class HonestSection(Section):
    """A name, escaped."""

    name: ClassVar[str] = "named_for_this_test"

    @classmethod
    def example(cls, text: str) -> Any:
        return _Named(text)

    def models(self, result: Any) -> list[str]:
        return [result.model]

    def html(self, model: str) -> Markup:
        return Markup("<p>{}</p>").format(model)

    def anchor(self, k: int) -> str:
        return f"named-{k}"

    def show(self, results: Any, context: Any) -> Shown:
        parts = [(self.anchor(k), self.html(r.model.replace("\0", ""))) for k, r in enumerate(results)]
        return Shown("what is it called?", None, tuple(Block(anchor, "A name", html) for anchor, html in parts))


class RunsNames(HonestSection):
    def html(self, model: str) -> Markup:
        return Markup(f"<p>{model}</p>")


class AsksElsewhere(HonestSection):
    def html(self, model: str) -> Markup:
        return super().html(model) + Markup('<img src="https://example.org/a.png">')


class ShowsNan(HonestSection):
    def html(self, model: str) -> Markup:
        return super().html(model) + Markup(f"<p>{float('nan')} of all</p>")


class LeavesOpen(HonestSection):
    def html(self, model: str) -> Markup:
        return super().html(model) + Markup("<div>")


class OneAnchor(HonestSection):
    def anchor(self, k: int) -> str:
        return "named"


class DrawsNothing(HonestSection):
    def show(self, results: Any, context: Any) -> Shown:
        return Shown("what is it called?", None, ())


class OneModeOnly(HonestSection):
    def html(self, model: str) -> Markup:
        return super().html(model) + Markup('<p style="color:#000">dark on dark</p>')


@pytest.mark.parametrize(
    ("cheat", "caught_by"),
    [
        (RunsNames, {"names_are_shown_and_never_run"}),
        (AsksElsewhere, {"it_asks_nothing_of_any_network"}),
        (ShowsNan, {"every_number_is_finite"}),
        (LeavesOpen, {"it_draws_results_of_its_kind"}),
        (OneAnchor, {"two_results_stand_on_one_page_apart"}),
        (DrawsNothing, {"it_draws_results_of_its_kind"}),
        (OneModeOnly, {"it_can_be_read_on_light_and_dark_pages"}),
    ],
)
def test_a_section_that_cheats_is_caught(cheat: Any, caught_by: set[str], registered: Any) -> None:
    check(SECTIONS, registered(sections, cheat), caught_by, HonestSection.example)


def test_an_honest_section_keeps_every_law(registered: Any) -> None:
    assert not SECTIONS.broken(registered(sections, HonestSection), HonestSection.example)


# ---- criteria -------------------------------------------------------------------------------------------------------

LabelNoise: Any = CRITERION_KINDS.classes["label_noise"]


class FlatteringQuestion:
    """A question whose statistic is high whatever the scores."""

    def __init__(self, honest: Any) -> None:
        self.honest, self.units, self.items, self.chance = honest, honest.units, honest.items, honest.chance

    def scores(self, scorer: Any) -> Any:
        return self.honest.scores(scorer)

    def value(self, scores: Any, keep: Any) -> float:
        return 0.9

    def permuted(self, scores: Any, rng: Any) -> float:
        return float(rng.random()) * 0.5


class UnorderedQuestion(FlatteringQuestion):
    """A question whose answer hangs on the order in which networks are given."""

    def value(self, scores: Any, keep: Any) -> float:
        return float(self.honest.value(scores, keep)) - 0.01 * float(self.units[keep[0]][0] == "2")

    def permuted(self, scores: Any, rng: Any) -> float:
        return float(self.honest.permuted(scores, rng))


@pytest.mark.parametrize(
    ("question", "caught_by"),
    [
        (FlatteringQuestion, {"a_constant_metric_tells_nothing", "random_metrics_tell_no_more_than_chance"}),
        (UnorderedQuestion, {"the_order_of_networks_plays_no_part"}),
    ],
)
def test_a_criterion_that_flatters_or_hangs_on_the_order_is_caught(question: Any, caught_by: set[str]) -> None:
    @dataclasses.dataclass(frozen=True)
    class Cheat(LabelNoise):  # type: ignore[misc]  # a class that is found by its name
        def ask(self, family: Any, seed: int) -> Any:
            return question(super().ask(family, seed))

    check(CRITERIA, Cheat, caught_by)

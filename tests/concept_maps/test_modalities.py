"""What three modalities share: rules by hand, rates on planted labels, and that open is not none."""

import itertools

import numpy as np
import pytest
from scipy import stats

from isomorph.concept_maps._modalities import modalities
from isomorph.concept_maps._ranks import map_items
from isomorph.errors import InputError
from isomorph.results import MapLabels, Modalities

IT, IS, TS = ("image", "text"), ("image", "speech"), ("text", "speech")
PAIRS = (IT, IS, TS)
KINDS = {
    "all": (1, 1, 1),
    "image+text": (1, 0, 0),
    "image+speech": (0, 1, 0),
    "text+speech": (0, 0, 1),
    "through image": (1, 1, 0),
    "through text": (1, 0, 1),
    "through speech": (0, 1, 1),
    "none": (0, 0, 0),
}


def record(scores, error=0.02, counts=40, chance=0.1, names=None, **more):
    """Label scores as a t test over so many items has them; chance-corrected agreement is given."""
    agreement = np.atleast_1d(np.asarray(scores, dtype=float))
    n = len(agreement)
    counts, error = np.broadcast_to(counts, n), np.broadcast_to(error, n)
    reach = stats.t.isf(0.025, counts - 1) * error
    room = 1 - chance
    return {
        "names": tuple(f"l{k:03d}" for k in range(n)) if names is None else names,
        "counts": counts,
        "scores": chance + room * agreement,
        "chance": np.full(n, chance),
        "low": chance + room * (agreement - reach),
        "high": chance + room * (agreement + reach),
        "p_values": stats.t.sf(agreement / np.where(error > 0, error, 1e-9), counts - 1),
    } | more


def three(table, **more):
    """Records of three pairs from agreements (labels, 3)."""
    return {pair: record(np.asarray(table)[:, k], **more) for k, pair in enumerate(PAIRS)}


def test_every_pattern_has_its_name():
    found = modalities(three([[0.6 * v for v in kind] for kind in KINDS.values()]))
    assert found.verdicts == tuple(KINDS)
    assert found.tally["all"] == 1
    assert found.of("none") == ("l007",)
    assert found.reasons == ("",) * 8
    assert np.isnan(found.needed).all()
    assert found.agreement[0] == pytest.approx([0.6] * 3)


def test_that_nothing_was_found_is_not_none():
    found = modalities(three([[0.02] * 3, [0.02] * 3], error=np.array([0.2, 0.01])))
    assert found.verdicts == ("undecided", "none")
    assert found.reasons[0].startswith("image+text is open at 0.02; image+speech is open")
    assert found.needed[0] > 40
    # items enough are enough: with that many the same agreement is decided
    decided = modalities(
        three(
            [[0.02] * 3, [0.02] * 3],
            error=np.array([0.2 * np.sqrt(40 / found.needed[0]), 0.01]),
            counts=int(found.needed[0]),
        )
    )
    assert decided.verdicts == ("none", "none")


def test_what_is_above_chance_and_less_than_counts_is_not_shared():
    found = modalities(three([[0.05, 0.05, 0.05], [0.5, 0.5, 0.05]], error=0.005))
    assert found.verdicts == ("none", "through image")


def test_one_open_pair_leaves_a_label_open():
    pairs = three([[0.6, 0.6, 0.6]])
    pairs[TS] = record([0.3], error=0.2)
    found = modalities(pairs)
    assert found.verdicts == ("undecided",)
    assert found.status.tolist() == [[1, 1, 0]]
    assert found.reasons == ("text+speech is open at 0.30",)


def test_p_values_are_adjusted_over_labels_and_pairs_by_holm():
    rng = np.random.default_rng(0)
    pairs = three(rng.uniform(0.2, 0.3, size=(5, 3)), error=0.1)
    found = modalities(pairs)
    p = np.stack([pairs[k]["p_values"] for k in PAIRS], axis=1).ravel()
    # the closed test that Holm's procedure is a shortcut of: over all subsets that hold a hypothesis, Bonferroni
    few = p[:9]
    closed = np.zeros(9)
    for size in range(1, 10):
        for subset in itertools.combinations(range(9), size):
            bound = min(1.0, size * few[list(subset)].min())
            for k in subset:
                closed[k] = max(closed[k], bound)
    small = modalities(three(found.agreement[:3], error=0.1))
    assert small.p_values.ravel() == pytest.approx(closed)
    for correction, method in (("bh", "bh"), ("by", "by")):
        adjusted = modalities(pairs, correction=correction).p_values.ravel()
        assert adjusted == pytest.approx(stats.false_discovery_control(p, method=method))


def test_agreement_is_held_against_the_ceilings_of_both():
    high = np.tile([0.5, 0.45, 0.55], (1, 1))
    low = np.tile([0.02, -0.1, 0.1], (1, 1))
    pairs = three([[0.4, 0.4, 0.4]], error=0.01)
    found = modalities({k: v | {"x_ceilings": high, "y_ceilings": high} for k, v in pairs.items()})
    assert found.agreement[0] == pytest.approx([0.8] * 3)
    error = found.high[0, 0] - 0.8
    reach = stats.t.isf(0.025, 39) * 0.01
    assert error == pytest.approx(np.sqrt((reach / 0.5) ** 2 + 2 * (0.8 * 0.05 / (2 * 0.5)) ** 2))
    apart = three([[0.0, 0.0, 0.0]], error=0.01)
    assert modalities({k: v | {"x_ceilings": high, "y_ceilings": high} for k, v in apart.items()}).verdicts == ("none",)
    unstable = modalities(apart | {IT: apart[IT] | {"x_ceilings": low, "y_ceilings": high}})
    assert unstable.verdicts == ("undecided",)
    assert "not shown to be stable" in unstable.reasons[0]
    assert np.isnan(unstable.needed[0])  # more items would not help
    # a ceiling of one alone rescales nothing, and still decides whether a label can be apart
    for ceiling, verdict in ((high, "none"), (low, "undecided")):
        assert modalities(apart | {IT: apart[IT] | {"x_ceilings": ceiling}}).verdicts == (verdict,)


def test_an_interval_of_no_width_is_no_certainty():
    """Two items without a common neighbour each say little; hundreds say much."""
    few, many = (modalities(three([[0.0] * 3], error=0.0, counts=c)) for c in (2, 200))
    assert few.verdicts == ("undecided",)
    assert many.verdicts == ("none",)
    assert few.p_values.max() <= 1
    assert many.p_values[0, 0] == pytest.approx(3 * 0.9**200)


def test_labels_are_met_by_name_and_pairs_may_be_turned():
    table = [[0.6, 0.6, 0.6], [0.6, 0.0, 0.0]]
    pairs = three(table, names=("a", "b"))
    turned = record([0.0, 0.6], names=("b", "a"))
    found = modalities({IT: pairs[IT], IS: pairs[IS], ("speech", "text"): turned})
    assert found.verdicts == modalities(pairs).verdicts == ("all", "image+text")


def test_a_score_that_is_missing_leaves_the_label_open():
    pairs = three([[0.6, 0.6, np.nan]])
    found = modalities(pairs)
    assert found.verdicts == ("undecided",)
    assert found.reasons == ("text+speech has no score",)
    assert found.records()[0]["text+speech"] is None


def planted(rng, size, noise, each):
    """Three spaces of 5 directions; a label of each kind, whose items are of one mind in the pairs that share it."""
    groups = [((0, 1, 2),), ((0, 1), (2,)), ((0, 2), (1,)), ((1, 2), (0,)), ((0,), (1,), (2,))]
    truth = ["all", "image+text", "image+speech", "text+speech", "none"]
    rows, names = [], []
    for k, parts in enumerate(groups):
        for copy in range(each):
            own = np.empty((3, size, 5))
            for part in parts:
                own[list(part)] = rng.normal(size=(size, 5))
            rows.append(own + noise * rng.normal(size=own.shape))
            names += [f"{truth[k]} {copy}"] * size
    return np.concatenate(rows, axis=1), names


@pytest.mark.thorough
@pytest.mark.parametrize(("size", "noise", "least_right"), [(120, 0.3, 0.9), (10, 0.8, 0.0)])
def test_verdicts_on_planted_labels_are_right_where_they_can_be_and_open_where_they_cannot(size, noise, least_right):
    """Partners ranked under held-out maps, three pairs, verdicts: the whole way."""
    right, wrong, runs = [], [], 4
    for t in range(runs):
        rows, names = planted(np.random.default_rng([t, size]), size, noise, 3)
        pairs = {
            (a, b): map_items("procrustes", rows[i], rows[j], labels=names, permutations=1999, seed=t).labels
            for (a, b), (i, j) in zip(PAIRS, ((0, 1), (0, 2), (1, 2)), strict=True)
        }
        found = modalities(pairs, least=0.25)
        said = [(v, label.rsplit(" ", 1)[0]) for label, v in zip(found.labels, found.verdicts, strict=True)]
        right.append(np.mean([v == truth for v, truth in said]))
        wrong.append(np.mean([v not in (truth, "undecided") for v, truth in said]))
    assert np.mean(right) >= least_right
    assert np.mean(wrong) <= 0.02
    assert size > 20 or np.mean(right) < 0.7  # else this case shows nothing


def test_one_wrong_verdict_or_more_is_as_rare_as_the_level():
    """Agreements drawn about their truth with known errors: of 400 maps of 20 labels at most 5 in 100 have one."""
    rng, trials, wrong, decided = np.random.default_rng(2), 400, 0, 0
    truth = rng.choice(list(KINDS), size=20)
    mean = np.array([[0.3 * v for v in KINDS[t]] for t in truth])
    for error in (0.03, 0.08):
        for _ in range(trials // 2):
            drawn = mean + error * rng.normal(size=mean.shape)
            estimate = error * np.sqrt(rng.chisquare(39, size=mean.shape) / 39)  # as t has it
            pairs = {p: record(drawn[:, k], error=estimate[:, k]) for k, p in enumerate(PAIRS)}
            found = modalities(pairs)
            wrong += any(v not in (t, "undecided") for v, t in zip(found.verdicts, truth, strict=True))
            decided += sum(v != "undecided" for v in found.verdicts)
    assert wrong / trials <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / trials)
    assert decided > 0.1 * 20 * trials


def test_items_are_counted_by_the_pairs_that_tell_them():
    q = {IT: [0.01, 0.01, 0.5, 0.9], IS: [0.02, 0.9, 0.5, 0.9], TS: [0.03, 0.9, 0.04, 0.9]}
    found = modalities(three([[0.6] * 3]), items={(b, a): v for (a, b), v in q.items()})
    assert found.items == {
        "image+text": 1,
        "image+text and image+speech and text+speech": 1,
        "text+speech": 1,
        "no pair": 1,
    }


def test_saved_and_read_again_it_is_the_same(tmp_path):
    found = modalities(three([[0.6] * 3, [0.1] * 3], error=0.1), items={pair: [0.1, 0.01] for pair in PAIRS})
    again = Modalities.load(found.save(tmp_path / "m.json"))
    assert again.to_json() == found.to_json()
    assert repr(again) == "Modalities(image, text and speech, 2 labels: 1 all and 1 undecided)"
    assert again.records() == found.records()


def test_records_of_a_map_are_taken_as_they_are():
    rows, names = planted(np.random.default_rng(0), 20, 0.2, 1)
    labels = map_items("ridge", rows[0], rows[1], labels=names, permutations=99).labels
    assert isinstance(labels, MapLabels)
    assert modalities(dict.fromkeys(PAIRS, labels)).labels == labels.names


GOOD = three([[0.6] * 3, [0.1] * 3])


@pytest.mark.parametrize(
    ("pairs", "more", "words"),
    [
        ([], {}, "pairs must be a mapping"),
        ({IT: GOOD[IT]}, {}, "names two modalities only, image and text"),
        ({IT: GOOD[IT], IS: GOOD[IS]}, {}, "holds 2 pairs of 3 modalities"),
        (GOOD | {("text", "touch"): GOOD[IT]}, {}, "holds 4 pairs of 4 modalities"),
        (GOOD | {"image": GOOD[IT]}, {}, "'image' is no pair of two names"),
        (GOOD | {TS: record([0.6])}, {}, r"pairs\[\('text', 'speech'\)\] lacks 1 of 2 labels, such as 'l001'"),
        (GOOD | {TS: record([0.6] * 2, names=("a", "a"))}, {}, "holds 'a' twice"),
        (GOOD | {TS: {"names": ("l000", "l001")}}, {}, "has no counts"),
        (GOOD | {TS: GOOD[TS] | {"p_values": [0.1]}}, {}, r"p_values has shape \(1,\) for 2 labels"),
        (GOOD | {TS: GOOD[TS] | {"p_values": [0.1, 2]}}, {}, "p_values outside"),
        (GOOD | {TS: GOOD[TS] | {"low": [0.9, 0.9]}}, {}, "scores outside low and high"),
        (GOOD | {TS: GOOD[TS] | {"scores": ["a", "b"]}}, {}, "must be numbers"),
        (GOOD | {TS: GOOD[TS] | {"x_ceilings": [1, 2]}}, {}, "value, low and high of 2 labels"),
        (GOOD | {TS: GOOD[TS] | {"x_ceilings": "ab"}}, {}, r"x_ceilings must be numbers"),
        (GOOD, {"items": 5}, "items must be a mapping"),
        (GOOD, {"items": dict.fromkeys(PAIRS, "a")}, "items must be a mapping"),
        (GOOD, {"least": 0}, "least=0"),
        (GOOD, {"alpha": 1}, "alpha=1"),
        (GOOD, {"correction": "none"}, "correction='none' is not known; use one of 'holm', 'bh', 'by'"),
        (GOOD, {"items": {IT: [0.1]}}, "items must have the q of each item for the same pairs"),
        (GOOD, {"items": {IT: [0.1], IS: [0.1, 0.2], TS: [0.1]}}, "they must be of the same items"),
        (GOOD, {"items": {IT: [0.1], IS: [0.1], TS: [3.0]}}, "a q outside"),
    ],
)
def test_what_cannot_be_is_answered_in_words(pairs, more, words):
    with pytest.raises(InputError, match=words):
        modalities(pairs, **more)

"""The verb: what comes in, how it is joined, what comes out of every kind, and what is refused in words."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import special
from typer.testing import CliRunner

import isomorph as iso
from isomorph.cli import app
from isomorph.design import Split
from isomorph.heldout.bootstrap import Bootstrap
from isomorph.output_agreement import agreement, cohen_kappa, error_consistency, jensen_shannon, kullback_leibler
from isomorph.output_agreement._calibration import CalibrationScore, Stated
from isomorph.output_agreement._rows import one_hot
from isomorph.output_agreement._scores import KappaScore, sides_of

QUICK = {"draws": 60, "permutations": 39}
RNG = np.random.default_rng(0)
N = 60
LABELS = np.arange(N) % 3
LOGITS = {name: 2 * np.eye(3)[LABELS] + RNG.normal(size=(N, 3)) for name in "abc"}
P = {name: np.exp(v) / np.exp(v).sum(axis=1, keepdims=True) for name, v in LOGITS.items()}
IDS = [f"item-{k}" for k in range(N)]
SIMILAR = RNG.normal(size=(30, 25))
FOUND = iso.outputs(P, LABELS, **QUICK)


def compared(*given, **settings):
    """The pair of two models' outputs."""
    return iso.outputs(dict(zip("ab", given, strict=True)), **{**QUICK, **settings})["a", "b"]


def test_the_measures_of_the_verb_are_the_plain_ones():
    for x, y in (("a", "b"), ("a", "c"), ("b", "c")):
        pair = FOUND[x, y]
        plain = {
            "agreement": agreement(P[x], P[y]),
            "kappa": cohen_kappa(P[x], P[y]),
            "error_consistency": error_consistency(P[x], P[y], LABELS),
            "jsd": jensen_shannon(P[x], P[y]),
            "accuracy_difference": FOUND.each[x]["accuracy"].value - FOUND.each[y]["accuracy"].value,
        }
        for name, value in plain.items():
            assert pair[name].value == pytest.approx(value, abs=1e-12), name
        assert pair["disagreement"].value == 1 - pair["agreement"].value
        for m in pair.measures.values():
            assert m.low <= m.value <= m.high
    assert FOUND.each["a"]["accuracy"].value == pytest.approx(np.mean(P["a"].argmax(axis=1) == LABELS), abs=1e-12)


def test_related_answers_are_beyond_chance_and_independent_errors_are_not():
    pair = FOUND["a", "b"]
    assert pair["agreement"].p_value < 1e-6
    assert pair["jsd"].p_value < 1e-6
    assert pair["error_consistency"].p_value > 0.01
    assert pair["agreement"].chance == pytest.approx(1 / 3, abs=0.02)
    least, most = pair["error_consistency"].bounds
    assert least <= pair["error_consistency"].value <= most < 1


def test_q_is_the_false_discovery_rate_over_the_pairs_of_a_measure():
    p, q = (FOUND.matrix("error_consistency", w)[np.triu_indices(3, 1)] for w in ("p_value", "q_value"))
    order = np.argsort(p)
    expected = np.minimum.accumulate((p[order] * 3 / [1, 2, 3])[::-1])[::-1]
    assert q[order] == pytest.approx(expected, abs=1e-12)


def test_logits_said_to_be_such_give_what_their_softmax_gives():
    found = iso.outputs(LOGITS, LABELS, logits=True, **QUICK)
    np.testing.assert_allclose(found.matrix("jsd"), FOUND.matrix("jsd"), atol=1e-12)


def test_predicted_labels_are_compared_as_far_as_they_go():
    said = {name: np.array(["x", "y", "z"])[v.argmax(axis=1)] for name, v in P.items()}
    found = iso.outputs(said, np.array(["x", "y", "z"])[LABELS], **QUICK)
    np.testing.assert_allclose(found.matrix("agreement"), FOUND.matrix("agreement"), atol=1e-12)
    assert "jsd" not in found.measures
    mixed = compared(P["a"], said["b"], classes={"a": ["x", "y", "z"]})
    assert mixed["agreement"].value == FOUND["a", "b"]["agreement"].value


def test_a_right_answer_that_nobody_gives_is_wrong_for_all():
    found = iso.outputs({"a": ["x", "y"] * 10, "b": ["x", "y"] * 10}, ["x", "w"] * 10, **QUICK)
    assert found.each["a"]["accuracy"].value == 0.5


def test_classes_are_joined_by_name_in_any_order_and_unknown_ones_have_probability_zero():
    order = [2, 0, 1]
    names = np.array(["cat", "dog", "cow"])
    tables = [pd.DataFrame(P["a"], columns=names), pd.DataFrame(P["b"][:, order], columns=names[order])]
    assert compared(*tables)["jsd"].value == pytest.approx(FOUND["a", "b"]["jsd"].value, abs=1e-12)
    wider = np.hstack([P["b"], np.zeros((N, 1))])
    pair = compared(P["a"], wider, classes={"a": names, "b": [*names, "ant"]})
    assert pair["jsd"].value == pytest.approx(FOUND["a", "b"]["jsd"].value, abs=1e-12)


def test_items_are_joined_by_id_and_labels_too(tmp_path):
    order = np.random.default_rng(4).permutation(N)[:50]
    a = iso.Layers.from_arrays({"p": P["a"]}, ids=IDS)
    b = iso.Layers.from_arrays({"p": P["b"][order]}, ids=[IDS[k] for k in order])
    kept = np.sort(order)
    expected = compared(P["a"][kept], P["b"][kept], labels=LABELS[kept])
    truth = dict(zip(IDS, LABELS, strict=True))
    for given in (truth, pd.Series(truth)):
        assert compared(a, b, labels=given).measures == expected.measures
    assert compared(a, b, labels=list(LABELS), ids=IDS).measures == expected.measures
    files = [layers.save(tmp_path / name) for layers, name in ((a, "a.npz"), (b, "b.npz"))]
    assert compared(*files, labels=truth).measures == expected.measures
    with pytest.raises(iso.InputError, match=r"10 of the 60 items of a .* give ids="):
        compared(a, b, labels=list(LABELS))


def test_retrieval_compares_first_places_and_whole_rankings():
    noisy = [SIMILAR + np.random.default_rng(k).normal(size=SIMILAR.shape) for k in (4, 5)]
    pair = compared(*noisy, kind="retrieval", k=5, labels=SIMILAR.argmax(axis=1))
    lists = [np.argsort(-v, axis=1)[:, :5] for v in noisy]
    assert pair["top_k"].value == pytest.approx(
        np.mean([len({*x} & {*y}) / 5 for x, y in zip(*lists, strict=True)]), abs=1e-12
    )
    as_lists = compared(*lists, kind="rankings", k=5, labels=SIMILAR.argmax(axis=1))
    for name in ("agreement", "top_k", "error_consistency"):
        assert as_lists[name].value == pytest.approx(pair[name].value, abs=1e-12)
    names = np.array([f"g{k}" for k in range(25)])
    by_name = compared(*(names[v] for v in lists), kind="rankings", k=5)
    assert by_name["rbo"].value == pytest.approx(as_lists["rbo"].value, abs=1e-12)
    turned = compared(noisy[0], noisy[1][:, ::-1], kind="retrieval", k=5, classes={"a": names, "b": names[::-1]})
    assert turned["rbo"].value == pytest.approx(pair["rbo"].value, abs=1e-12)


def test_scores_without_order_agree_at_chance_only():
    flat = compared(np.zeros((20, 8)), np.zeros((20, 8)), kind="retrieval", k=2)
    assert flat["top_k"].value == pytest.approx(2 / 8, abs=1e-12)
    assert flat["top_k"].p_value == 1
    assert flat["agreement"].value == pytest.approx(1 / 8, abs=1e-12)


def test_tokens_have_a_divergence_in_both_directions():
    logs = [v - np.log(np.exp(v).sum(axis=1, keepdims=True)) for v in np.random.default_rng(4).normal(size=(2, 40, 50))]
    found = iso.outputs(dict(zip("ab", logs, strict=True)), **QUICK)
    assert found.output_kind == "tokens"
    kl = found.matrix("kl")
    assert kl[0, 1] == pytest.approx(kullback_leibler(*logs), abs=1e-12)
    assert kl[1, 0] == pytest.approx(kullback_leibler(*logs[::-1]), abs=1e-12)
    assert found["b", "a"]["kl"].value == kl[1, 0]
    single = iso.outputs({k: v.astype(np.float32) for k, v in zip("ab", logs, strict=True)}, kind="tokens", **QUICK)
    np.testing.assert_allclose(single.matrix("kl"), kl, rtol=1e-4)


def test_a_pair_the_other_way_round_has_its_differences_negated():
    one, other = FOUND["a", "b"]["accuracy_difference"], FOUND["b", "a"]["accuracy_difference"]
    assert (other.value, other.low, other.high) == (-one.value, -one.high, -one.low)
    matrix = FOUND.matrix("accuracy_difference")
    np.testing.assert_array_equal(matrix, -matrix.T)


def test_kappa_of_constant_answers_is_said_not_to_be_defined():
    pair = compared(["x"] * 20, ["x"] * 20)
    assert "kappa" not in pair
    assert "not defined" in pair.undefined["kappa"]
    with pytest.raises(KeyError, match="not defined"):
        pair["kappa"]
    found = iso.outputs({"a": ["x"] * 20, "b": ["x"] * 20, "c": ["x", "y"] * 10}, **QUICK)
    assert np.isnan(found.matrix("kappa")[0, 1])
    assert found.matrix("kappa")[0, 2] == 0
    assert "not defined" in repr(found)


def test_groups_widen_intervals_and_are_paired_anew_whole():
    group = np.arange(N) // 6
    answers = [np.random.default_rng(k).integers(0, 3, 10)[group] for k in (4, 5)]
    free, grouped = compared(*answers)["agreement"], compared(*answers, groups=group)["agreement"]
    assert grouped.high - grouped.low > 1.5 * (free.high - free.low)
    assert "whole groups" in grouped.source
    items = iso.PairedItems("i", tuple(IDS), {}, {"kind": tuple(map(str, LABELS))}, groups=tuple(map(str, group)))
    by_items = iso.outputs(P, "kind", items=items, **QUICK)
    assert by_items.n_groups == 10
    assert by_items.each["a"]["accuracy"].value == FOUND.each["a"]["accuracy"].value


def test_intervals_of_agreement_cover_what_they_say():
    rng, inside = np.random.default_rng(3), 0
    for k in range(60):
        a = rng.integers(0, 3, 80)
        b = np.where(rng.random(80) < 0.5, a, (a + 1) % 3)
        m = compared(a, b, draws=100, permutations=19, seed=k)["agreement"]
        inside += m.low <= 0.5 <= m.high
    assert inside >= 57 - 3 * np.sqrt(60 * 0.05 * 0.95)


def measured(n, rng):
    """κ, error consistency and debiased calibration error of two models drawn anew."""
    labels, hard = rng.integers(0, 3, n), rng.normal(size=(n, 3))
    logits = [1.5 * np.eye(3)[labels] + hard + noise * rng.normal(size=(n, 3)) for noise in (0.5, 1.0)]
    said = [one_hot(z.argmax(axis=1), 3) for z in logits]
    right = [(z.argmax(axis=1) == labels) * 1.0 for z in logits]
    stated = Stated(special.softmax(1.5 * logits[0], axis=1).max(axis=1), right[0], 15)
    return KappaScore.of(*said), KappaScore.of(*map(sides_of, right)), CalibrationScore.of(stated, debiased=True)


def test_intervals_of_kappa_and_calibration_cover_what_they_say():
    rng, n, repeats = np.random.default_rng(0), 300, 100
    truth = np.array([score.value for score in measured(200_000, rng)])
    inside = np.zeros(3)
    for k in range(repeats):
        drawn = Bootstrap([Split(np.arange(0), np.arange(n))], None, n, 200, 0.95, k)
        found = [drawn.score([score]) for score in measured(n, rng)]
        inside += [s.low <= t <= s.high for s, t in zip(found, truth, strict=True)]
    # percentiles of a bootstrap of this size cover some points in a hundred less than they say
    assert np.all(inside / repeats >= 0.93 - 3 * np.sqrt(0.93 * 0.07 / repeats))


def test_a_saved_result_is_the_same_and_the_same_call_gives_the_same_bytes(tmp_path):
    again = iso.load_result(FOUND.save(tmp_path / "o.json"))
    anew = dataclasses.replace(
        iso.outputs(P, LABELS, **QUICK), provenance=FOUND.provenance
    )  # which libraries are loaded
    assert again.to_json() == FOUND.to_json() == anew.to_json()
    assert again["c", "a"] == FOUND["c", "a"]
    assert len(FOUND.to_frame()) == len(FOUND.to_records())
    assert "3 of 3 pairs answer alike" in FOUND.verdict


def test_a_damaged_file_is_said_to_be_one(tmp_path):
    path = FOUND.save(tmp_path / "o.json")
    path.write_text(path.read_text().replace('"first": "a"', '"first": "q"', 1))
    with pytest.raises(iso.InputError, match="pairs are not those"):
        iso.load_result(path)


def test_the_command_gives_what_the_verb_gives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        iso.Layers.from_arrays({"p": P[name]}, ids=IDS).save(f"{name}.npz")
    (tmp_path / "t.csv").write_text("\n".join(["id,kind", *(f"{i},{k}" for i, k in zip(IDS, LABELS, strict=True))]))
    done = CliRunner().invoke(app, ["outputs", "a.npz", "second=b.npz", "--labels", "t.csv", "--draws", "60",
                                    "--permutations", "39", "--to", "o.json"])  # fmt: skip
    assert done.exit_code == 0, done.output
    found = iso.load_result("o.json")
    assert found["a", "second"].measures == compared(P["a"], P["b"], labels=LABELS).measures
    assert "answer alike beyond chance" in done.output


BAD = np.full((N, 3), np.nan)
REFUSED = {
    "one model": (lambda: iso.outputs({"a": P["a"]}), "models has 1"),
    "no mapping": (lambda: iso.outputs([P["a"], P["b"]]), "must map names"),
    "other lengths": (lambda: compared(P["a"], P["b"][:9]), "60 items and y has 9"),
    "NaN": (lambda: compared(P["a"], BAD), "non-finite"),
    "a label is missing": (lambda: compared(["x", None] * 5, ["x", "y"] * 5), "no answer for item 1"),
    "negative": (lambda: compared(P["a"], LOGITS["b"], kind="classification"), "a probability is not negative"),
    "logits": (lambda: compared(*(np.abs(LOGITS[k]) for k in "ab"), kind="classification"), "give logits=True"),
    "unknown": (lambda: compared(LOGITS["a"], LOGITS["b"]), "Say kind="),
    "two kinds": (lambda: compared(P["a"], np.log(P["b"])), "'a' is classification and 'b' is tokens"),
    "labels no classes": (lambda: compared(P["a"], P["b"], labels=["cat"] * N), "'cat', which is no class"),
    "labels too few": (lambda: compared(P["a"], P["b"], labels=LABELS[:9]), "labels has 9 labels for 60"),
    "classes too few": (lambda: compared(P["a"], P["b"], classes=["x"]), "has 3 columns, and classes has 1"),
    "classes twice": (lambda: compared(P["a"], P["b"], classes=list("xxy")), "'x' is there twice"),
    "other widths": (lambda: compared(P["a"], np.full((N, 4), 0.25)), "different numbers of columns"),
    "half named": (lambda: compared(P["a"], P["b"], classes={"a": list("xyz")}), "'b'.*no names of its columns"),
    "nothing shared": (
        lambda: compared(P["a"], P["b"], classes={"a": list("xyz"), "b": list("uvw")}),
        "no class in common",
    ),
    "vocabularies": (
        lambda: compared(np.log(P["a"]), np.log(P["b"]), classes={"a": list("xyz"), "b": list("xyw")}),
        "different vocabularies",
    ),
    "one number an item": (lambda: compared(P["a"][:, 0], P["b"][:, 0]), "predicted labels are texts or whole"),
    "one column": (lambda: compared(P["a"][:, :1], P["b"][:, :1], kind="retrieval"), "has one column"),
    "twice in a ranking": (lambda: compared([[1, 1]] * 9, [[1, 2]] * 9, kind="rankings"), "names an item twice"),
    "logits of rankings": (lambda: compared(SIMILAR, SIMILAR, kind="retrieval", logits=True), "leave it out"),
    "labels of a retrieval": (lambda: compared(["x"] * 9, ["y"] * 9, kind="retrieval"), "one answer an item"),
    "few items": (lambda: compared([1, 2, 1], [1, 2, 2]), "at least 5"),
    "one group": (lambda: compared(P["a"], P["b"], groups=["g"] * N), "single group"),
    "two layers": (lambda: compared({"u": P["a"], "v": P["b"]}, P["b"]), "holds 2 layers"),
    "kind": (lambda: compared(P["a"], P["b"], kind="words"), "kind='words'"),
    "alpha": (lambda: compared(P["a"], P["b"], alpha=2), "alpha=2"),
    "ids": (lambda: compared(P["a"], P["b"], ids=["x"]), "ids has 1"),
    "measure": (lambda: FOUND.matrix("cka"), "Unknown measure"),
    "model": (lambda: FOUND["a", "z"], "Unknown model"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_compared_is_said(what):
    made, says = REFUSED[what]
    with pytest.raises(iso.InputError, match=says):
        made()

"""Odd-one-out judgements: planted minds, chance, intervals by simulation, ceilings by hand, files, and mistakes."""

import itertools

import numpy as np
import pytest

import isomorph as iso
from isomorph import InputError
from isomorph.human_judgments import read_triplets
from isomorph.human_judgments._odd_one_out import agreement, node_robust_error, right

N = 40
RNG = np.random.default_rng(0)
MIND = RNG.normal(size=(N, 5))


def asked(count, n=N, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(n)[:3] for _ in range(count)])


def judged(space, rows, noise=0.0, seed=0):
    """Judgements of someone who sees `space` by dot products: the odd item last."""
    near = space @ space.T
    of_pair = near[rows[:, [1, 2, 0]], rows[:, [2, 0, 1]]]
    of_pair = of_pair + noise * np.random.default_rng(seed).gumbel(size=of_pair.shape)
    odd = of_pair.argmax(axis=1)
    rest = rows[np.arange(3) != odd[:, None]].reshape(-1, 2)
    return np.concatenate([rest, np.take_along_axis(rows, odd[:, None], axis=1)], axis=1)


def test_the_layer_that_judges_is_found_among_others():
    layers = {"noise": RNG.normal(size=(N, 5)), "half": MIND + RNG.normal(size=MIND.shape), "mind": MIND}
    found = iso.odd_one_out(layers, judged(MIND, asked(600)), similarity="dot", permutations=99)
    assert found["mind"].accuracy == 1.0
    assert 0.4 < found["half"].accuracy < 0.9
    assert (found.best, found.p_maximum) == ("mind", 0.01)
    assert found["noise"].p_value > 0.05
    assert found["noise"].low < 1 / 3 < found["noise"].high
    assert found["noise"].permuted == pytest.approx(1 / 3, abs=0.01)


def test_a_choice_is_the_item_outside_the_most_similar_pair():
    space = RNG.normal(size=(9, 3))
    near = space @ space.T
    for i, j, k in itertools.permutations(range(9), 3):
        wanted = near[i, j] > max(near[i, k], near[j, k])
        assert right(near, np.array([[i, j, k]]))[0] == wanted
    np.testing.assert_allclose(right(np.ones((3, 3)), np.array([[0, 1, 2]])), 1 / 3)  # no pair is nearer


def test_similarities_are_those_that_they_say():
    long = MIND * np.exp(RNG.normal(size=(N, 1)))  # lengths that mean nothing
    judgements = judged(MIND / np.linalg.norm(MIND, axis=1, keepdims=True), asked(400))
    by = {s: iso.odd_one_out(long, judgements, similarity=s, permutations=0)["x"].accuracy
          for s in ("cosine", "dot", "euclidean")}  # fmt: skip
    assert by["cosine"] == 1.0
    assert max(by["dot"], by["euclidean"]) < 0.9
    square = ((MIND[:, None] - MIND) ** 2).sum(axis=2)
    rows = asked(300)
    straight = iso.odd_one_out(MIND, judgements[:300], similarity="euclidean", permutations=0)["x"].accuracy
    rdm = iso.odd_one_out(iso.RDMs.from_arrays([square]), judgements[:300], permutations=0)
    assert next(iter(rdm.scores.values())).accuracy == straight
    assert len(rows) == 300


def test_ids_and_rows_and_files_are_one(tmp_path):
    ids = [f"thing {k}" for k in range(N)]
    x = iso.Layers.from_arrays({"mind": MIND}, ids=ids)
    rows = judged(MIND, asked(120), noise=1.0)
    names = [[ids[i] for i in row] for row in rows]
    files = {"plain.csv": [",".join(r) for r in names], "tabs.tsv": ["\t".join(r) for r in names],
             "rows.txt": [" ".join(map(str, r)) for r in rows.tolist()],
             "head.csv": ["odd;item_1;item_2;who", *(f"{r[2]};{r[0]};{r[1]};me" for r in names)]}  # fmt: skip
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    np.save(tmp_path / "rows.npy", rows)
    wanted = iso.odd_one_out(x, rows, permutations=0)["mind"].accuracy
    for given in (names, *(tmp_path / f for f in [*files, "rows.npy"])):
        assert iso.odd_one_out(x, given, permutations=0)["mind"].accuracy == wanted
    reordered = x.subset(ids[::-1])
    assert iso.odd_one_out(reordered, names, permutations=0)["mind"].accuracy == wanted
    fewer = iso.odd_one_out(x.subset(ids[:-1]), names, permutations=0)
    assert fewer.missing == np.sum((rows == N - 1).any(axis=1)) > 0
    assert "judgements are left out" in repr(fewer)


def test_agreement_of_people_by_hand():
    rows = np.array([[0, 1, 2]] * 3 + [[2, 1, 0]] + [[3, 4, 5], [4, 3, 5]] + [[6, 7, 8]])
    lower, upper, count = agreement(rows)
    # of the first triplet three are told by the others (2 of 3, or 2 against 1), the fourth is not; of the second both
    assert (lower, upper, count) == (5 / 6, 5 / 6, 2)
    assert agreement(np.array([[0, 1, 2], [0, 1, 3]])) is None


def test_ceilings_hold_what_a_perfect_model_scores():
    rows = asked(150)
    people = np.concatenate([judged(MIND, rows, 1.0, seed) for seed in range(12)])
    found = iso.odd_one_out(MIND, people, similarity="dot", permutations=0)
    assert found.n_repeated == len(np.unique(np.sort(rows, axis=1), axis=0))
    assert found.lower <= found["x"].accuracy + 0.03
    assert found["x"].accuracy <= found.upper
    assert found.share("x") == pytest.approx(1, abs=0.15)
    given = iso.odd_one_out(MIND, people[:150], similarity="dot", ceiling=0.6722, permutations=0)
    assert (given.lower, given.upper) == (0.6722, 0.6722)
    apart = iso.odd_one_out(MIND, rows, ceiling=people, permutations=0)
    assert (apart.lower, apart.upper) == (found.lower, found.upper)


def test_the_error_is_that_of_judgements_that_share_items():
    """Items that pull their triplets: the spread over draws of items is found, and one of independent ones is not."""
    values, errors, plain = [], [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        pull = rng.normal(size=30)
        rows = asked(400, 30, seed)
        hit = (pull[rows].sum(axis=1) + rng.normal(size=400) > 0).astype(float)
        values.append(hit.mean())
        errors.append(node_robust_error(hit, rows))
        plain.append(hit.std() / np.sqrt(400))
    spread = np.std(values)
    assert np.mean(plain) < 0.5 * spread
    assert np.mean(errors) == pytest.approx(spread, rel=0.15)


def test_the_error_of_all_pairs_that_share_an_item_by_brute_force():
    rows, values = asked(60, 8), RNG.normal(size=60)
    rest = values - values.mean()
    together = np.array([[bool(set(a) & set(b)) for b in rows.tolist()] for a in rows.tolist()])
    shared = rest @ together @ rest - rest @ rest
    wanted = rest @ rest + max(shared, 0) / (1 - 3 / 8) ** 2
    assert node_robust_error(values, rows) == pytest.approx(np.sqrt(wanted) / 60)


@pytest.mark.thorough
@pytest.mark.slow
def test_p_keeps_its_level_where_model_and_people_share_nothing():
    p = [iso.odd_one_out(np.random.default_rng(s).normal(size=(20, 4)), judged(MIND[:20], asked(60, 20, s)), seed=s,
                         permutations=19)["x"].p_value for s in range(400)]  # fmt: skip
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 400))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([[0, 1]], "three|3"),
        ([[0, 1, N]], f"names rows 0 to {N}, and the features have rows 0 to {N - 1}"),
        ([[1, 2, N]], "may be counted from 1"),
        ([[0, 0, 1]], "judgement 0 names an item twice"),
        ([["a", "b", "c"]], "the features have no ids"),
        ([], "judgements"),
        (5, "judgements"),
        ([[0.5, 1, 2]], "holds float64"),
        ("none.csv", "none.csv"),
        ("pairs.xlsx", "expected .npy, .csv, .tsv or .txt"),
    ],
)
def test_mistakes_are_answered_in_words(given, words):
    with pytest.raises(InputError, match=words):
        iso.odd_one_out(MIND, given)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ceiling": 0.2}, "between chance, 1/3, and 1"),
        ({"ceiling": [[0, 1, 2]]}, "none of these triplets was judged twice"),
        ({"similarity": "manhattan"}, "similarity='manhattan' is not known"),
        ({"permutations": 3}, "permutations=3"),
        ({"layers": []}, "layers must be"),
    ],
)
def test_settings_are_checked(settings, words):
    with pytest.raises(InputError, match=words):
        iso.odd_one_out(MIND, [[0, 1, 2]], **settings)


def test_ids_that_nobody_shares_are_told():
    x = iso.Layers.from_arrays({"mind": MIND[:3]}, ids=["cat", "dog", "cow"])
    with pytest.raises(InputError, match=r"have no three items in common.*'hat'.*'cat'"):
        iso.odd_one_out(x, [["hat", "mat", "rat"]])


def test_files_that_are_wrong_say_where(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="judgement 1 has 2 items"):
        read_triplets(path, ["a", "b", "c"])
    path.write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="is empty"):
        read_triplets(path, ["a", "b", "c"])


def test_the_same_result_from_its_file(tmp_path):
    found = iso.odd_one_out({"a": MIND, "b": MIND[::-1]}, judged(MIND, asked(50)), permutations=19)
    again = iso.OddOneOut.load(found.save(tmp_path / "o.json"))
    assert again.to_json() == found.to_json()
    assert list(again.to_frame()["layer"]) == ["a", "b"]

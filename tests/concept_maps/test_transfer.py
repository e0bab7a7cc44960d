"""Transfer between three spaces against maps fitted by hand, and detours through spaces that lack something."""

import numpy as np
import pytest

import isomorph as iso
from isomorph.concept_maps._ranks import map_items
from isomorph.concept_maps._transfer import transfer
from isomorph.design import fold_of_items
from isomorph.errors import InputError
from isomorph.maps import make_map
from isomorph.maps.linear import Ridge
from isomorph.results import Transfer

NAMES = ("image", "text", "speech")


def spaces(n=120, seed=0, noise=0.3, lacking=0):
    """Three spaces that share six directions, of which speech lacks some."""
    z, *e = np.random.default_rng(seed).normal(size=(4, n, 6))
    turn = np.linalg.qr(np.random.default_rng([seed, 1]).normal(size=(3, 6, 6)))[0]
    found = {name: (z + noise * own) @ q for name, own, q in zip(NAMES, e, turn, strict=True)}
    if lacking:
        found["speech"] = (z + noise * e[2])[:, lacking:] @ turn[2][lacking:, lacking:]
    return found


@pytest.mark.parametrize("spec", ["ridge", "procrustes"])
def test_paths_are_maps_in_a_row_fitted_on_the_same_items_and_tested_on_the_same(spec):
    given = spaces(60)
    found = transfer(given, spec, folds=3, seed=2, permutations=19)
    fold = fold_of_items(60, 3, 2)
    for path in found.paths:
        rows, first, five, cosine = (np.empty(60) for _ in range(4))
        for k in range(3):
            test, train = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
            at = given[path.spaces[0]][test]
            for a, b in zip(path.spaces, path.spaces[1:], strict=False):
                at = make_map(spec).fit(given[a][train], given[b][train]).predict(at)
            last = given[path.spaces[-1]]
            q, g = at - last[train].mean(axis=0), last[test] - last[train].mean(axis=0)
            s = (q / np.linalg.norm(q, axis=1)[:, None]) @ (g / np.linalg.norm(g, axis=1)[:, None]).T
            place = np.sum(s > np.diag(s)[:, None], axis=1)
            rows[test], first[test], five[test], cosine[test] = place + 1, place < 1, place < 5, np.diag(s)
        assert path.values["R@1"] == pytest.approx(first.mean())
        assert path.values["R@5"] == pytest.approx(five.mean())
        assert path.values["median_rank"] == pytest.approx(np.median(rows))
        assert path.values["cosine"] == pytest.approx(cosine.mean())
        assert path.values["score"] == pytest.approx(np.mean(1 - (rows - 1) / 19))
        assert path.chance["R@1"] == pytest.approx(1 / 20)
        assert path.chance["R@5"] == pytest.approx(5 / 20)
        assert path.chance["median_rank"] == pytest.approx(10.5)
    assert len(found.direct) == len(found.detours) == len(found.cycles) == 6
    assert found.gallery == (20, 20, 20)


def test_no_map_is_fitted_twice(monkeypatch):
    fits, fit = [], Ridge._fit
    monkeypatch.setattr(Ridge, "_fit", lambda self, x, y, factor: fits.append(1) or fit(self, x, y, factor))
    transfer(spaces(40), folds=4, permutations=1)
    assert len(fits) == 4 * 6


def test_a_direct_path_is_what_items_under_the_map_show():
    given, labels = spaces(80), ["a", "b"] * 40
    found = transfer(given, "ridge", labels=labels, permutations=99, seed=5)["image", "text"]
    own = map_items("ridge", given["image"], given["text"], labels=labels, permutations=99, seed=5)
    assert found.values["score"] == pytest.approx(own.scores.mean())
    assert found.labels.scores == pytest.approx(own.labels.scores)
    assert found.labels.p_values == pytest.approx(own.labels.p_values)


def test_a_detour_loses_what_the_third_space_lacks():
    found = transfer(spaces(300, lacking=3), permutations=99)
    lost = {p.spaces: p.lost for p in found.detours}
    for name in ("score", "R@1", "cosine"):
        loss = lost["image", "speech", "text"][name]
        assert loss.low > 0
        assert loss.p_value < 1e-3
        direct, detour = found["image", "text"], found["image", "speech", "text"]
        assert loss.value == pytest.approx(direct.values[name] - detour.values[name])
    # speech knows three directions: through text nothing that it shares with image is lost, but for noise
    through_text = lost["image", "text", "speech"]["score"]
    assert through_text.high < lost["image", "speech", "text"]["score"].low
    assert found["image", "speech", "image"].values["score"] < found["image", "text", "image"].values["score"]


def test_a_label_whose_directions_the_third_space_lacks_is_lost_on_the_way():
    rng = np.random.default_rng(9)
    unknown, z = np.arange(400) < 200, rng.normal(size=(400, 6))
    z[unknown, 3:] *= 0.1  # laws differ along directions that speech lacks, dogs along those that it has
    z[~unknown, :3] *= 0.1
    image, text, speech = z + 0.2 * rng.normal(size=(3, 400, 6))
    labels = np.where(unknown, "law", "dog")
    found = transfer({"image": image, "text": text, "speech": speech[:, 3:]}, labels=labels, permutations=199)
    path = found["image", "speech", "text"]
    (dog, law) = path.labels_lost
    assert path.labels.names == ("dog", "law")
    assert path.labels_lost.shape == (2, 4)
    assert law[1] > 0.05
    assert law[3] < 1e-3
    assert dog[2] < law[1]
    assert found["image", "text"].labels_lost.shape == (0, 4)


@pytest.mark.parametrize("trials", [15, pytest.param(40, marks=pytest.mark.thorough)])
def test_nothing_is_lost_where_there_is_nothing(trials):
    """Over unrelated spaces p-values of a path and of a loss are those of no effect."""
    p, lost = [], []
    for t in range(trials):
        given = dict(zip(NAMES, np.random.default_rng([3, t]).normal(size=(3, 60, 3)), strict=True))
        found = transfer(given, folds=3, permutations=39, seed=t)
        p.append(found["image", "text"].p_value <= 0.05)
        lost.append(found["image", "speech", "text"].lost["score"].p_value <= 0.05)
    limit = 0.05 + 4 * np.sqrt(0.05 * 0.95 / trials)
    assert np.mean(p) <= limit
    assert np.mean(lost) <= limit


def test_spaces_are_joined_by_id():
    given = spaces(50)
    ids = [f"i{k}" for k in range(50)]
    order = np.random.default_rng(1).permutation(50)
    stored = {name: iso.Layers.from_arrays({"l": rows}, ids=ids) for name, rows in given.items()}
    stored["speech"] = iso.Layers.from_arrays({"l": given["speech"][order][:45]}, ids=[ids[i] for i in order[:45]])
    found = transfer(stored, permutations=19)
    assert found.n == 45
    assert "left out" in found.notes[0]
    kept = np.sort(order[:45])
    by_row = transfer({name: rows[kept] for name, rows in given.items()}, permutations=19)
    score = {t.direct[0].values["score"] for t in (found, by_row)}
    assert len({round(s, 9) for s in score}) == 1


def test_groups_and_four_spaces():
    given = spaces(60) | {"touch": spaces(60, seed=4)["image"]}
    groups = np.repeat(np.arange(30), 2)
    found = transfer(given, groups=groups, permutations=19)
    assert (len(found.direct), len(found.detours), len(found.cycles)) == (12, 24, 12)
    assert found.gallery == (6,) * 5
    assert found["image", "text"].p_value <= 0.05
    assert found["image", "touch"].p_value > 0.05
    assert found["image", "touch"].chance["R@1"] == pytest.approx(2 / 12)


def test_saved_and_read_again_it_is_the_same(tmp_path):
    found = transfer(spaces(40), labels=["a", "b"] * 20, permutations=19)
    again = Transfer.load(found.save(tmp_path / "transfer.json"))
    assert again.to_json() == found.to_json()
    assert repr(again) == repr(found)
    assert "image → speech → text: score" in repr(found)
    assert len(again.records()) == 18
    assert (tmp_path / "transfer.json").stat().st_size < 100_000
    with pytest.raises(iso.errors.UnknownNameError, match="Unknown path 'image → touch'"):
        found["image", "touch"]


GIVEN = spaces(30)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spaces": {k: GIVEN[k] for k in ("image", "text")}}, "three spaces or more.*found 2 spaces.*use stitch"),
        ({"spaces": list(GIVEN.values())}, "found list"),
        ({"spaces": GIVEN | {"text": GIVEN["text"][:20]}}, "image .* and text .*30 items and y has 20"),
        ({"spaces": GIVEN | {"text": [GIVEN["text"]] * 2}}, r"spaces\['text'\] has 2 layers"),
        ({"map": "relative(anchors=5)"}, "predicts no rows; use one that does"),
        ({"folds": 16}, "16 folds of 30 items hold out fewer than 2"),
        ({"permutations": 0}, "permutations=0"),
        ({"alpha": 0}, "alpha=0"),
        ({"labels": ["a"]}, "labels has 1 labels for 30 items"),
        ({"strata": range(30)}, "No held-out partner can take the place"),
    ],
)
def test_what_cannot_be_is_answered_in_words(change, words):
    given = {"spaces": GIVEN, "map": "ridge"} | change
    with pytest.raises(InputError, match=words):
        transfer(given.pop("spaces"), given.pop("map"), **given)

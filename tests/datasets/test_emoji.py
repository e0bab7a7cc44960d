from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isomorph._core.packages import Package
from isomorph.datasets import PairedItems, load_dataset
from isomorph.datasets import emoji as module
from isomorph.datasets.emoji import Emoji
from isomorph.errors import InputError, UnknownNameError


@pytest.fixture(scope="module")
def packages(have: Callable[[Package], None]) -> None:
    for package in (module.NAMES, module.IMAGES, module.GROUPS):
        have(package)


def load(**parameters: Any) -> PairedItems:
    return Emoji(**parameters).load()


@pytest.mark.parametrize("parameters", [{"n": 0}, {"n": -3}, {"n": 2.5}, {"n": True}, {"seed": -1}, {"seed": "x"}])
def test_senseless_parameters_are_refused_before_anything_is_fetched(parameters: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"emoji: {next(iter(parameters))} must be"):
        Emoji(**parameters)


def test_english_is_always_there_and_languages_are_taken_once() -> None:
    assert Emoji(languages="de").languages == ("de",)
    assert Emoji(languages=["en", "de", "fr", "de"]).languages == ("de", "fr")


@pytest.mark.real
@pytest.mark.usefixtures("packages")
def test_pictures_and_names_of_known_emoji_are_paired() -> None:
    items = load(n=None, languages=["de", "ja"])
    row = items.ids.index("1F955")
    assert items.view("text")[row] == "carrot"
    assert items.view("text_de")[row] == "karotte"
    assert items.view("text_ja")[row] == "人参"
    assert items.labels["group"][row] == "Food & Drink"
    assert items.labels["subgroup"][row] == "food-vegetable"
    picture = items.view("image")[row]
    assert (picture.shape, picture.dtype) == ((72, 72, 3), np.uint8)
    assert (picture[0, -1] == 255).all()  # the corner is transparent, hence white
    orange = (picture[..., 0] > 200) & (picture[..., 1] < 170) & (picture[..., 2] < 100)
    assert orange.mean() > 0.1


@pytest.mark.real
@pytest.mark.usefixtures("packages")
def test_there_are_1644_emoji_without_flags_and_skin_tones_with_distinct_names_and_pictures() -> None:
    items = load(n=None)
    assert len(items) == 1644
    assert len(set(items.view("text"))) == 1644
    assert len({items.view("image").digest(i) for i in range(1644)}) == 1644
    assert "Flags" not in items.labels["group"]
    assert not any(f"1F3F{k}" in id_.split("-") for id_ in items.ids for k in "BCDEF")
    assert not any(t[0] == ":" or "_" in t for t in items.view("text"))
    assert {"0030-FE0F-20E3", "2764-FE0F", "1F469-200D-1F52C"} <= set(items.ids)  # keycap, selector, joined


@pytest.mark.real
@pytest.mark.usefixtures("packages")
def test_flags_and_skin_tones_are_let_in_on_request() -> None:
    assert "1F1EF-1F1F5" in load(n=None, flags=True).ids
    toned = load(n=None, skin_tones=True)
    assert toned.groups is not None
    group = dict(zip(toned.ids, toned.groups, strict=True))
    assert group["1F44D"] == group["1F44D-1F3FB"] == group["1F44D-1F3FF"]
    assert group["261D-FE0F"] == group["261D-1F3FB"]  # only the plain one carries a variation selector
    assert group["1F44D"] != group["1F44E"]


@pytest.mark.real
@pytest.mark.usefixtures("packages")
def test_a_smaller_draw_is_the_beginning_of_a_larger_one_whatever_the_views() -> None:
    small, large = load(n=20), load(n=50, languages=["de", "zh"])
    assert large.ids[:20] == small.ids
    assert load(n=20, seed=1).ids != small.ids


@pytest.mark.real
@pytest.mark.usefixtures("packages")
def test_the_source_makes_the_same_items_again() -> None:
    items = load(n=7, seed=3, languages=["fr"], flags=True)
    assert items.source == "emoji(n=7, seed=3, languages=('fr',), flags=True)"
    assert load_dataset(items.source).fingerprint == items.fingerprint


@pytest.mark.real
@pytest.mark.usefixtures("packages")
def test_the_content_is_pinned() -> None:
    """Features in a store are addressed by these."""
    items = load(n=10, languages=["de"])
    assert {k: items.view_fingerprint(k)[:12] for k in items.views} == {
        "image": "c8452e25c62f",
        "text": "7cc3ecffde90",
        "text_de": "1bc8610cbc34",
    }


@pytest.mark.real
@pytest.mark.usefixtures("packages")
def test_too_many_are_refused_with_the_number_there_is() -> None:
    with pytest.raises(InputError, match=r"there are 1644 emoji .* flags=True and skin_tones=True"):
        load(n=1645)
    with pytest.raises(InputError, match=r"there are 3944 emoji with these settings\.$"):
        load(n=9999, flags=True, skin_tones=True)


@pytest.mark.real
@pytest.mark.usefixtures("packages")
def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown language of emoji names 'dee'\. Did you mean 'de'"):
        load(n=5, languages=["dee"])

import re

import numpy as np
import pytest

from isomorph.reporting._color import PALETTE, oklab_to_srgb, resolve, root_css, scale
from isomorph.reporting._svg import tick_text, ticks
from isomorph.reporting._text import (
    flatten,
    layer_labels,
    number,
    p_text,
    printable,
    short_names,
    slug,
    times_chance,
)
from isomorph.results import listed


def _linear(color: str) -> np.ndarray:
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _luminance(color: str) -> float:
    return float(_linear(color) @ [0.2126, 0.7152, 0.0722])


def _contrast(a: str, b: str) -> float:
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_the_scale_grows_lighter_all_the_way_so_that_it_reads_in_grey():
    light = [_luminance(scale(t)) for t in np.linspace(0, 1, 256)]
    assert (np.diff(light) > 0).all()
    assert _contrast(scale(0), scale(1)) > 10


def test_the_scale_keeps_its_order_for_the_red_and_green_blind():
    # Viénot, Brettel and Mollon 1999: linear RGB as a protanope and a deuteranope see it
    for blind in ([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
                  [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]):  # fmt: skip
        seen = np.array([np.array(blind) @ _linear(scale(t)) for t in np.linspace(0, 1, 64)])
        assert (np.diff(seen @ [0.2126, 0.7152, 0.0722]) > 0).all()


def test_the_scale_has_steps_of_equal_length_in_oklab():
    to_lms = np.linalg.inv(
        [[4.0767416621, -3.3077115913, 0.2309699292], [-1.2684380046, 2.6097574011, -0.3413193965],
         [-0.0041960863, -0.7034186147, 1.7076147010]]
    )  # fmt: skip
    to_lab = np.linalg.inv(
        [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
    )
    lab = np.array([to_lab @ np.cbrt(to_lms @ _linear(scale(t))) for t in np.linspace(0, 1, 18)])
    steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
    assert steps.max() / steps.min() < 1.15


def test_oklab_gives_the_published_white():
    np.testing.assert_allclose(oklab_to_srgb(np.array([[1.0, 0.0, 0.0]])), [[1, 1, 1]], atol=1e-5)


@pytest.mark.parametrize("mode", [0, 1])
def test_texts_and_lines_stand_out_from_the_page_in_light_and_dark(mode):
    for background in ("page", "panel"):
        for name in ("ink", "soft", "accent", "second", "third", "fourth"):
            assert _contrast(PALETTE[name][mode], PALETTE[background][mode]) >= 4.5, name


def test_style_rules_for_files_hold_no_custom_properties():
    assert resolve("a{fill:var(--ink)}") == f"a{{fill:{PALETTE['ink'][0]}}}"
    assert re.findall(r"--(\w+):", root_css())[: len(PALETTE)] == list(PALETTE)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345, "0.123"), (-0.2, "−0.200"), (-1e-18, "0.000"), (None, "–"), (float("nan"), "–"), (12345.0, "1.23e+04")],
)
def test_scores_are_shown_with_three_decimals(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("p", "shown"),
    [(0.5, "0.5"), (0.0123, "0.012"), (1 / 1001, "0.001"), (3.2e-12, "3.2 × 10⁻¹²"), (None, "–"), (0.0, "< 10⁻³⁰⁰")],
)
def test_p_values_are_shown_with_two_digits(p, shown):
    assert p_text(p) == shown


def test_times_chance_is_left_out_where_chance_is_about_zero():
    assert times_chance(0.231, 0.033) == "7.0 ×"
    assert times_chance(0.231, 0.0) == times_chance(0.2, -0.01) == times_chance(0.2, 1e-5) == "–"


def test_model_names_are_shortened_only_where_they_stay_apart():
    short = short_names(["bundled:a?init=random", "bundled:a", "org/b@main", "x/same", "y/same", "path:/models/c/"])
    assert short["bundled:a?init=random"] == "a, untrained"
    assert short["bundled:a"] == "a"
    assert short["org/b@main"] == "b@main"
    assert (short["x/same"], short["y/same"]) == ("x/same", "y/same")
    assert short["path:/models/c/"] == "c"


def test_layer_names_become_numbers_with_a_common_pattern():
    assert layer_labels(("embedding", "layer_01", "layer_02")) == (["emb", "1", "2"], "layer_#")
    assert layer_labels(("a", "b")) == (["a", "b"], "")
    assert layer_labels(("enc.1", "enc.2", "dec.1")) == (["enc.1", "enc.2", "dec.1"], "")
    long = [f"{'x' * 30}{c}{'y' * 30}" for c in "ab"]
    assert layer_labels(long) == (["0", "1"], "# in order")


def test_ticks_are_round_and_inside():
    assert ticks(0.0, 0.33) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [tick_text(t, ticks(-0.05, 0.1)) for t in ticks(-0.05, 0.1)] == ["−0.05", "0", "0.05", "0.10"]
    assert ticks(1.0, 1.0) == [1.0]


def test_small_helpers():
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert slug("../A b", "k=10") == "a-b-k-10"
    assert slug("模型") == "figure"
    assert flatten({"a": {"b": 1, "c": []}, "d": None}) == [("a.b", "1"), ("a.c", ""), ("d", "–")]
    assert printable("a\x00\ud800b") == "a\ufffd\ufffdb"

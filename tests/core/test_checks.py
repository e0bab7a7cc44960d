import numpy as np
import pytest

from isomorph._core.checks import as_count, as_ids, as_seed, check_budget, check_choice, check_flag, is_finite, is_share
from isomorph.errors import InputError


def test_seeds_are_whole_numbers_of_at_least_zero():
    assert as_seed(3) == 3
    assert as_seed(np.int64(7)) == 7
    for bad in (-1, 1.5, "x", None, True):
        with pytest.raises(InputError, match="seed="):
            as_seed(bad)


def test_budgets_are_seconds_or_none():
    check_budget(None)
    check_budget(0)
    check_budget(1.5)
    for bad in (-5, float("nan"), float("inf"), "x", True):
        with pytest.raises(InputError, match="budget="):
            check_budget(bad)


@pytest.mark.parametrize(
    "bad", ["a\0b", "ends in NUL\0", "\ud83d", b"\xff\xfe", None, float("nan"), [1], 10**5000], ids=range(8)
)
def test_ids_that_files_cannot_hold_are_refused_and_quoted_in_a_line(bad):
    with pytest.raises(InputError, match=r"^items: ") as caught:
        as_ids(["fine", bad], "items")
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_ids_are_texts_whatever_they_were_given_as():
    assert as_ids(np.array([b"i0", b"i1"]), "items") == ("i0", "i1")
    assert as_ids(np.array([3, 1]), "items") == ("3", "1")
    assert as_ids([1, "ä", b"b"], "items") == ("1", "ä", "b")
    with pytest.raises(InputError, match="the id '1' is there twice"):
        as_ids([1, "1"], "items")
    for bad in (5, None, b"ab"):
        with pytest.raises(InputError, match="a sequence with one id an item"):
            as_ids(bad, "items")


def test_choices_are_words_and_arrays_are_none():
    check_choice("a", "way", ("a", "b"))
    check_choice(None, "way", ("a", None))
    for bad in ("c", None, 1, np.array(["a", "b"]), ["a"]):
        with pytest.raises(InputError, match=r"way=.* is not known; use one of 'a', 'b'"):
            check_choice(bad, "way", ("a", "b"))


@pytest.mark.parametrize("most", [10**9, 10**400, 10**5000], ids=["9", "400", "5000"])
def test_a_count_without_end_is_bounded_and_no_number_is_too_long_for_a_message(most):
    with pytest.raises(InputError, match="at most 10,000,000"):
        as_count(most, "permutations")
    with pytest.raises(InputError, match="seed="):
        as_seed(1 << 63 if most == 10**9 else most)
    assert not is_finite(10**400)


def test_counts_shares_and_flags_are_of_their_type():
    assert as_count(np.int64(3), "k") == 3
    assert as_count(0, "k", 0) == 0
    for bad in (0, -1, 1.0, "3", None, True):
        with pytest.raises(InputError, match=r"k=.*at least 1"):
            as_count(bad, "k")
    assert is_share(0.5)
    assert not any(map(is_share, (0, 1, True, "0.5", None, float("nan"), 95)))
    assert is_finite(2)
    assert not any(map(is_finite, (float("inf"), float("nan"), True, "2", None, [2])))
    check_flag(np.True_, "within")
    for bad in ("no", 1, None):
        with pytest.raises(InputError, match=r"within=.*True or False"):
            check_flag(bad, "within")

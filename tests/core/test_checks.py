import numpy as np
import pytest

from isomorph._core.checks import as_count, as_seed, check_budget, check_file_target, check_flag, is_finite, is_share
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


def test_a_result_file_in_a_new_folder_is_fine(tmp_path):
    check_file_target(tmp_path / "new" / "folder" / "x.json")
    assert not (tmp_path / "new").exists()


def test_a_result_file_that_is_a_folder_or_below_a_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        check_file_target(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="no folder"):
        check_file_target(tmp_path / "file" / "x.json")


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

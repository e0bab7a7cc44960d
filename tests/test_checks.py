import numpy as np
import pytest

from isomorph._checks import as_seed, check_budget, check_file_target
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

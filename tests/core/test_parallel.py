"""Jobs on several threads: the same results in the same order, and BLAS as it was."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from isomorph._core.parallel import on_threads

MUCH = 1e12


def blas_threads() -> set[int]:
    return {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_results_come_in_the_order_of_the_items_each_on_one_thread_of_blas(limit: int) -> None:
    barrier = threading.Barrier(limit)

    def job(item: int) -> tuple[int, int, set[int]]:
        if item < limit:
            barrier.wait(timeout=20)  # passes only if as many jobs run at once
        return item, threading.get_ident(), blas_threads()

    with threadpool_limits(limit, user_api="blas"):
        before = blas_threads()
        if before != {limit}:
            pytest.skip("this BLAS has fewer threads")
        found = on_threads(job, range(7), MUCH)
        assert blas_threads() == before
    assert [item for item, _, _ in found] == list(range(7))
    assert len({ident for _, ident, _ in found}) == limit
    assert set.union(*(seen for _, _, seen in found)) == {1}


def test_little_work_and_work_within_a_job_stay_on_their_thread() -> None:
    def inner(_: int) -> int:
        return threading.get_ident()

    def outer(_: int) -> bool:
        return set(on_threads(inner, range(4), MUCH)) == {threading.get_ident()}

    with threadpool_limits(2, user_api="blas"):
        assert set(on_threads(inner, range(4), 10.0)) == {threading.get_ident()}
        assert all(on_threads(outer, range(4), MUCH))


def test_an_error_is_raised_and_blas_gets_its_threads_back() -> None:
    def job(item: int) -> float:
        if item == 3:
            raise ValueError("the third")
        return 1.0 / item

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with pytest.raises(ValueError, match="the third"):
            on_threads(job, range(1, 9), MUCH)
        assert blas_threads() == before
        assert on_threads(abs, [-1, 2], MUCH) == [1, 2]  # and the next call is served


def test_jobs_see_what_their_caller_has_set() -> None:
    with threadpool_limits(2, user_api="blas"), np.errstate(over="raise"), pytest.raises(FloatingPointError):
        on_threads(lambda v: np.float32(v) * np.float32(1e30), [1e30, 1e30], MUCH)
    with threadpool_limits(2, user_api="blas"), np.errstate(over="ignore"):
        assert on_threads(lambda v: np.float32(v) * np.float32(1e30), [1e30, 1e30], MUCH) == [np.inf, np.inf]

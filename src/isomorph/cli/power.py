"""`isomorph power`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..significance import PowerSettings, power
from ._settings import with_settings


@with_settings(PowerSettings)
def command(
    n: Annotated[int, typer.Argument(help="Number of items.")],
    x_dim: Annotated[int, typer.Argument(help="Features of one side.")],
    y_dim: Annotated[int, typer.Argument(help="Features of the other side.")],
    metric: Annotated[str, typer.Option("--metric", "-m", help="Metric spec.")] = "mutual_knn(k=10)",
    *,
    settings: dict[str, Any],
) -> None:
    """The smallest alignment that N items can show, before anything is encoded.

    Example: isomorph power 100 384 384 --metric cka --pairs 12
    """
    found = power(metric, n, x_dim, y_dim, **settings)
    print(
        f"{found.metric}, n = {n}, d = {x_dim} × {y_dim}, {found.pairs} layer pair{'s' if found.pairs > 1 else ''}: a "
        f"score of {found.score:.4f} (chance {found.chance:.4f}) passes at {found.alpha:g} in {found.target:.0%} of "
        f"the trials. It takes {found.rank} shared dimensions that carry {found.strength:.1%} of each side's variance."
    )

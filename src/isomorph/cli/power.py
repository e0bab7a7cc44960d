"""`isomorph power`."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    n: Annotated[int, typer.Argument(help="Number of items.")],
    x_dim: Annotated[int, typer.Argument(help="Features of one side.")],
    y_dim: Annotated[int, typer.Argument(help="Features of the other side.")],
    metric: Annotated[str, typer.Option("--metric", "-m", help="Metric spec.")] = "mutual_knn(k=10)",
    pairs: Annotated[int, typer.Option(help="Layer pairs that will be searched.")] = 1,
    rank: Annotated[int, typer.Option(help="Dimensions that both sides share.")] = 8,
    alpha: Annotated[float, typer.Option(help="Level of the test.")] = 0.05,
    target: Annotated[float, typer.Option(help="Wanted probability of passing.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Seed of the simulated data.")] = 0,
) -> None:
    """The smallest alignment that N items can show, before anything is encoded.

    Example: isomorph power 100 384 384 --metric cka --pairs 12
    """
    from ..significance import power as smallest

    found = smallest(metric, n, x_dim, y_dim, rank=rank, alpha=alpha, target=target, pairs=pairs, seed=seed)
    print(
        f"{found.metric}, n = {n}, d = {x_dim} × {y_dim}, {pairs} layer pair{'s' if pairs > 1 else ''}: a score of "
        f"{found.score:.4f} (chance {found.chance:.4f}) passes at {alpha:g} in {target:.0%} of the trials. It takes "
        f"{rank} shared dimensions that carry {found.strength:.1%} of each side's variance."
    )

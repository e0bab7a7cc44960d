"""`isomorph league`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..leagues import LeagueSettings, league
from ._settings import with_settings


@with_settings(LeagueSettings, metrics="--metric -m", criteria="--criterion -c")
def command(
    family: Annotated[
        str,
        typer.Argument(
            help="Spec of a family of networks: digits, fashion, cifar10, characters, speech, or "
            "table(path='networks.csv')."
        ),
    ] = "digits",
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("league.json"),
    report: Annotated[Path | None, typer.Option(help="Also draw the page.")] = None,
    *,
    settings: dict[str, Any],
) -> None:
    """Rank metrics by how well they tell what is known of a family of networks, and say which is for what.

    A family other than a table is trained once (some minutes on two cores) and kept. Criteria are listed by
    `isomorph list criteria`.

    Example: isomorph league digits -m cka -m cca -c translation --to league.json
    """
    check_target(to, suffixes=(".json",))
    found = league(family, **settings)
    print(found)
    print("\n" + "\n".join(found.guide()))
    found.save(to)
    print(f"\nSaved to {to}.")
    if report is not None:
        from ..reporting import report as draw

        print(f"The page: {draw([found], to=report)}")

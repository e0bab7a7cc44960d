"""`isomorph stitch-networks`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .._core.files import check_target
from ..networks import NetworkSettings, read_data, read_network, stitch_networks
from ._settings import with_settings
from ._text import saved


@with_settings(
    NetworkSettings,
    cuts=("--cut", "A layer that both have, or BOTTOM=TOP; repeatable."),
    fit=("--fit", "identity, least_squares (if none is named), orthogonal or task; repeatable."),
    test=("--test-fraction", "Share of the items on which everything is scored; all others are fitted on."),
)
def command(
    bottom: Annotated[
        str, typer.Argument(help="file.py:function that makes the bottom, a torch.nn.Module. The file is run.")
    ],
    top: Annotated[str, typer.Argument(help="The same for the top, whose outputs are class scores.")],
    data: Annotated[str, typer.Argument(help="A .npz file with data and labels, or file.py:function that gives them.")],
    to: Annotated[Path, typer.Option(help="Result file.")] = Path("networks.json"),
    *,
    settings: dict[str, Any],
) -> None:
    """Join the bottom of one frozen network to the top of another, beside every control.

    Example: isomorph stitch-networks nets.py:small nets.py:large digits.npz --cut act1 --cut act2=act3
    """
    check_target(to)
    given = read_data(data)
    cuts = [tuple(c.split("=", 1)) if "=" in c else c for c in settings.pop("cuts", [])]
    result = stitch_networks(
        read_network(bottom),
        read_network(top),
        given.data,
        labels=given.labels,
        top_data=given.top_data,
        groups=given.groups,
        bottom_name=bottom,
        top_name=top,
        cuts=cuts,
        **settings,
    )
    print(result)
    saved(result, to)

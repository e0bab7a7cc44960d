"""What a map of concepts holds beside items and concepts, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ._covariates import Covariates
from ._limits import Limits, Redundancy
from ._modalities import MapItems, Modalities, Transfer
from ._numbers import format_p

_NAMES = 12  # concepts that are named for each answer; of more the rest is counted


def more_lines(
    limits: Limits | None,
    redundancy: Sequence[Redundancy],
    covariates: Covariates | None,
    maps: MapItems | None,
    modalities: Modalities | None,
    transfer: Transfer | None,
) -> Iterator[str]:
    """A few lines for each part that is there."""
    if limits is not None:
        after = {e.metric: f"; {e.told}" for e in limits.extrapolated}
        yield "  share of the ceilings:"
        yield from (f"    {row}{after.get(row.metric, '')}" for row in limits.by_metric)
    for reading in redundancy:
        yield f"  {reading.metric} {reading.score:.3f}: {reading.told[:1].lower()}{reading.told[1:]}"
    if covariates is not None:
        yield from _covariate_lines(covariates)
    if maps is not None:
        score, chance = float(maps.scores.mean()), float(maps.chance.mean())
        yield (
            f"  under {maps.map}, fitted without them, right partners stand at {score:.3f} from last (0) to first (1), "
            f"chance {chance:.3f}"
        )
    if modalities is not None:
        yield f"  {', '.join(modalities.names)}: which concepts are shared"
        for verdict, count in modalities.tally.items():
            names = modalities.of(verdict)
            rest = f", and {count - _NAMES} more" if count > _NAMES else ""
            yield f"    {verdict}: {count} ({', '.join(names[:_NAMES])}{rest})"
    if transfer is not None:
        yield from _transfer_lines(transfer)


def _covariate_lines(found: Covariates) -> Iterator[str]:
    yield (
        f"  covariates: R² {found.r2:.2f}, {found.r2_held_out:.2f} of items held out; effects per standard deviation "
        "with the others kept"
    )
    width = max(map(len, found.effects), default=0)
    for e in found.effects.values():
        q = "cannot be told apart" if e.q_value is None else f"q {format_p(e.q_value)}"
        if e.effect is not None and e.low is not None and e.high is not None:
            yield f"    {e.covariate:<{width}}  {e.effect:+.3f} [{e.low:+.3f}, {e.high:+.3f}]  {q}"
        else:
            partial = "" if e.partial_r2 is None else f"partial R² {e.partial_r2:.2f}  "
            yield f"    {e.covariate:<{width}}  {partial}{q}"
    yield from (f"    {note}" for note in found.notes)


def _transfer_lines(found: Transfer) -> Iterator[str]:
    yield f"  {found.map} from one to another, place of the right partner from last (0) to first (1):"
    for path in found.direct:
        said = f"    {path.text}  {path.values['score']:.3f}, chance {path.chance['score']:.3f}"
        said += f", p {format_p(path.p_value)}"
        for detour in found.detours:
            if (detour.spaces[0], detour.spaces[2]) == path.spaces:
                lost = detour.lost.get("score")
                tested = "" if lost is None else f" ({-lost.value:+.3f}, p {format_p(lost.p_value)})"
                said += f"; through {detour.spaces[1]} {detour.values['score']:.3f}{tested}"
        yield said

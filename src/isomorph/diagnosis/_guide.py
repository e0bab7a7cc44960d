"""Which metric to trust for what is asked, by the league that is packaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..results import Advice, Guide
from ._base import Case, Signature
from .settings import DiagnoseSettings


def advice(case: Case, present: Sequence[Signature], settings: DiagnoseSettings) -> tuple[Advice, ...]:
    """Which metric to trust, one answer a purpose.

    Args:
        case: What was given.
        present: The signatures that were found in it.
        settings: Which purposes are asked for; where none are, those of what was given and found.
    """
    guide = Guide.packaged()
    asked = settings.purposes if settings.purposes is not None else (*_of_case(case), *_of_findings(present))
    used = () if case.scan is None else tuple(case.scan.alignments)
    return tuple(guide.advice(name, used) for name in dict.fromkeys(asked) if name in guide)


def _of_findings(present: Sequence[Signature]) -> Iterator[str]:
    yield from (signature.criterion for signature in present if signature.criterion)


def _of_case(case: Case) -> Iterator[str]:
    """What comes into question of what was given: criteria by name, of two sides or of results about them."""
    pair = case.x is not None and case.y is not None
    if case.stitch is not None:
        yield "stitching"
        scores = {name for found in case.stitch.maps.values() for name in found.scores}
        yield from (name for score, name in (("mrr", "retrieval"), ("probe", "probes")) if score in scores)
    elif pair or case.scan is not None:
        yield "predictivity"
    if case.fusion is not None:
        yield "fusion_gain"
    if case.x is None or case.y is None:
        return
    if len(case.x.layers) > 1 and len(case.y.layers) > 1:
        yield "identification"
    widths = {rows.shape[1] for side in (case.x, case.y) for rows in side.layers.values()}
    if len(widths) > 1:
        yield "width"

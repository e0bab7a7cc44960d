"""Which function draws which kind of result, and of which of its parts; `Result.plot` comes here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import InputError, UnknownNameError
from . import _geometry, _models, _usable
from ._marks import axes, make_room, matplotlib, styled


@dataclasses.dataclass(frozen=True)
class Plot:
    """How one kind of result is drawn.

    Attributes:
        draw: Draws a part of a result into axes.
        parts: What can be drawn of a result, such as its metrics, the most telling first; empty where it is one.
        what: What a part is called.
        height: Height in inches of a figure of its own, the legend aside.
    """

    draw: Callable[[Any, Any, str], None]
    parts: Callable[[Any], Sequence[str]] = lambda result: ()
    what: str = "part"
    height: Callable[[Any, str], float] = lambda result, part: 2.2


PLOTS = {
    "alignment": Plot(_geometry.alignment, height=_geometry.alignment_height),
    "scan": Plot(_geometry.scan, _geometry.scan_parts, "metric", _geometry.scan_height),
    "atlas": Plot(_geometry.atlas, tuple, "metric", lambda r, _: 2.5),
    "model_alignment": Plot(_geometry.model_alignment, height=lambda r, _: 2.5),
    "trend": Plot(_geometry.trend),
    "threshold": Plot(_geometry.threshold),
    "blind_match": Plot(_geometry.blind_match, height=lambda r, _: 1.1),
    "concept_map": Plot(_geometry.concept_map, _geometry.concept_parts, "label set", _geometry.concept_height),
    "diagnosis": Plot(_geometry.diagnosis, height=_geometry.diagnosis_height),
    "stitch": Plot(_usable.stitch, _usable.stitch_parts, "score", _usable.maps_height),
    "fusion": Plot(_usable.fusion, _usable.fusion_parts, "score", _usable.fusion_height),
    "network_stitch": Plot(_usable.network_stitch, _usable.fits, "fit"),
    "migration": Plot(_usable.migration, height=_usable.migration_height),
    "outputs": Plot(_usable.outputs, lambda r: r.measures, "measure", _usable.outputs_height),
    "encoding": Plot(_models.encoding, height=_models.encoding_height),
    "rdm_explanation": Plot(_models.rdm_explanation, height=_models.explanation_height),
    "searchlight": Plot(_models.searchlight, lambda r: r.models, "model"),
    "model_comparison": Plot(_models.model_comparison, lambda r: tuple(r.regions), "region", _models.models_height),
    "odd_one_out": Plot(_models.odd_one_out, height=_models.odd_height),
    "league": Plot(_models.league, _models.league_parts, "criterion", _models.league_height),
}
"""Kind of result -> how it is drawn."""


def plotted() -> tuple[str, ...]:
    """The kinds of results that can be drawn.

    Example:
        >>> from isomorph.reporting.plots import plotted
        >>> "scan" in plotted()
        True
    """
    return tuple(PLOTS)


def parts_of(result: Any) -> tuple[str, ...]:
    """What `plot` can draw of a result, the one that it draws by default first; empty where it is drawn whole.

    Args:
        result: Any result.

    Example:
        >>> from isomorph.reporting.plots import parts_of
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> parts_of(iso.scan(x, x + noise, ["cka", "mutual_knn(k=5)"], permutations=20))
        ('all metrics', "cka(estimator='unbiased')", 'mutual_knn(k=5)')
    """
    return tuple(PLOTS[result.kind].parts(result)) if result.kind in PLOTS else ()


def plot(result: Any, part: str | None = None, *, ax: Any = None) -> Any:
    """Draw a result: see `Result.plot`.

    Raises:
        InputError: if nothing draws its kind, or `ax` is no axes of matplotlib.
        UnknownNameError: if it has no such part.
        MissingExtraError: if matplotlib is not installed.

    Example:
        >>> from isomorph.reporting.plots import plot
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 60, 8))
        >>> plot(iso.scan(x, x + noise, "cka", permutations=20)).get_xlabel()
        "cka(estimator='unbiased')"
    """
    known = PLOTS.get(result.kind)
    if known is None:
        raise InputError(
            f"plot: a {type(result).__name__} is not drawn by itself. What is: {', '.join(PLOTS)}; plot the "
            "result that it is part of."
        )
    package = matplotlib()
    if ax is not None and not isinstance(ax, package.axes.Axes):
        raise InputError(
            f"ax must be axes of matplotlib, such as those of plt.subplots(), found a {type(ax).__name__}. Leave it "
            "out for a figure of its own."
        )
    chosen = _chosen(result, known, part)
    if ax is not None:
        known.draw(ax, result, chosen)
        return ax
    with styled():
        ax = axes(known.height(result, chosen))
        known.draw(ax, result, chosen)
        make_room(ax)
    return ax


def _chosen(result: Any, known: Plot, part: str | None) -> str:
    """The name of the part to draw; metrics are found by any of their spellings.

    Raises:
        InputError: if a part is named of what is drawn whole.
        UnknownNameError: if there is no such part.
    """
    parts = tuple(known.parts(result))
    if part is None:
        return parts[0] if parts else ""
    if part in parts:
        return part
    if not parts:
        raise InputError(f"plot: a {type(result).__name__} is drawn whole, found part={part!r}. Leave it out.")
    if known.what == "metric":
        try:
            return str(result[part].metric)
        except KeyError:
            pass
    raise UnknownNameError(known.what, part, parts)

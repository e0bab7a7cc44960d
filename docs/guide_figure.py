"""The figure of the guide: every metric by every criterion of the packaged league, as one SVG file."""

from __future__ import annotations

from html import escape

from isomorph.results import CRITERION_KINDS, Guide

ROW, COLUMN, LEFT, TOP, KEY = 17, 22, 190, 150, 34
INK, PALE, RULE = "#1f2937", "#6b7280", "#d1d5db"
BEST, TELLS, BLIND = "best, or not told apart from it", "tells it, but less well", "not shown to tell it"


def guide_svg(guide: Guide) -> str:
    """Criteria in rows, metrics in columns; a mark by what the league says of each.

    Args:
        guide: The guide.
    """
    rows: list[str] = []
    y = TOP
    for kind, title in CRITERION_KINDS.items():
        standings = [row for row in guide.standings if row.kind == kind]
        if not standings:
            continue
        y += ROW + 4
        rows.append(f'<text x="8" y="{y}" font-weight="600" fill="{INK}">{escape(title)}</text>')
        for row in standings:
            y += ROW
            rows.append(f'<text x="{LEFT - 10}" y="{y}" text-anchor="end" fill="{INK}">{escape(row.name)}</text>')
            rows.append(f'<path d="M{LEFT} {y - 4}H{LEFT + COLUMN * len(guide.metrics)}" stroke="{RULE}"/>')
            for number, metric in enumerate(guide.metrics):
                state = _state(guide, row.name, metric)
                if state is not None:
                    told = f"{guide.short(metric)}, {row.name}: {state}"
                    rows.append(_mark(state, LEFT + COLUMN * (number + 0.5), y - 4, told))
    heads = [
        f'<text transform="translate({LEFT + COLUMN * (number + 0.5) + 4} {TOP}) rotate(-55)" fill="{INK}">'
        f"{escape(guide.short(metric))}</text>"
        for number, metric in enumerate(guide.metrics)
    ]
    width, height = LEFT + COLUMN * len(guide.metrics) + 110, y + KEY + 12
    key, x = [], 20
    for state in (BEST, TELLS, BLIND):
        key += [_mark(state, x, y + KEY - 4, state), f'<text x="{x + 12}" y="{y + KEY}" fill="{PALE}">{state}</text>']
        x += 40 + 6 * len(state)
    title = f"What {len(guide.metrics)} metrics tell by {len(guide)} criteria of {guide.command}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="{escape(title)}">\n'
        f'<title>{escape(title)}</title>\n<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>\n'
        + "\n".join([*heads, *rows, *key])
        + "\n</svg>\n"
    )


def _state(guide: Guide, criterion: str, metric: str) -> str | None:
    cell = guide[criterion].rows.get(metric)
    if cell is None:
        return None
    return BLIND if cell.q_value > guide.alpha else BEST if cell.best else TELLS


def _mark(state: str, x: float, y: float, told: str) -> str:
    shapes = {
        BEST: f'<circle cx="{x:g}" cy="{y:g}" r="5.5" fill="#0f766e">',
        TELLS: f'<circle cx="{x:g}" cy="{y:g}" r="2.5" fill="#0f766e">',
        BLIND: f'<path d="M{x - 4:g} {y - 4:g}l8 8m0 -8l-8 8" stroke="#b45309" stroke-width="1.8">',
    }
    shape = shapes[state]
    return f"{shape}<title>{escape(told)}</title></{shape[1 : shape.index(' ')]}>"

"""Write the generated pages of the docs: one page a family of metrics, and the table of all.

`python docs/generate.py` writes them, `--check` fails if one on disk is not what the code says.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from isomorph.metrics import INVARIANCES, REGISTRY

HERE = Path(__file__).parent
NOTE = "<!-- Written by `make docs` from the code; edit the docstrings there. -->\n"


def metric_page(family: str, names: list[str]) -> str:
    """One family: for every metric its docstring and its declared facts, which the contract tests execute."""
    module = sys.modules[REGISTRY.classes[names[0]].__module__]
    parts = [NOTE, f"# {family.capitalize()}\n", inspect.cleandoc(module.__doc__ or ""), ""]
    for name in names:
        cls = REGISTRY.classes[name]
        metric = cls()
        held = [i for i in INVARIANCES if i in metric.invariances]
        broken = [i for i in INVARIANCES if i not in metric.invariances]
        low, high = metric.range
        facts = {
            "default": f"`{metric.variant}`",
            "range": f"{low:g} to {high:g}" + (", a distance: lower means more alike" if metric.distance else ""),
            "chance": metric.chance,
            "symmetric": "yes" if metric.symmetric else "no",
            "gradients": "yes" if metric.differentiable else "no",
            "fewest items": str(metric.min_items),
            "unchanged by": ", ".join(held) or "nothing",
            "changed by": ", ".join(broken) or "nothing",
            "source": metric.reference,
            "also known as": ", ".join(f"`{a}` = `{s}`" for a, s in cls.aliases.items()) or "–",
        }
        parts += [f"## {name}\n", inspect.cleandoc(cls.__doc__ or ""), "", "| | |", "|---|---|"]
        parts += [f"| {k} | {_cell(v)} |" for k, v in facts.items()]
        parts.append("")
    return "\n".join(parts) + "\n"


def index_page(families: dict[str, list[str]]) -> str:
    """The table of all metrics."""
    rows = [
        f"| [`{name}`]({family}.md#{name}) | {_cell(_first_line(name))} | {_cell(REGISTRY.classes[name]().chance)} |"
        for family, names in families.items()
        for name in names
    ]
    about = (
        "Every metric of Isomorph, one definition each. All take `x` and `y` of shape `(n_items, n_features)`; higher "
        "means more alike unless the name says distance. What a page declares is executed by `tests/contracts`.\n\n"
        "Invariances:\n\n" + "\n".join(f"- **{k}**: {v}" for k, v in INVARIANCES.items()) + "\n"
    )
    return "\n".join([NOTE, "# Metrics\n", about, "| metric | what it measures | chance |", "|---|---|---|", *rows]) + "\n"


def pages() -> dict[Path, str]:
    """Every generated file and its text."""
    families: dict[str, list[str]] = {}
    for name, cls in REGISTRY.classes.items():
        families.setdefault(cls.__module__.rsplit(".", 1)[-1].strip("_"), []).append(name)
    out = {HERE / "metrics" / f"{family}.md": metric_page(family, names) for family, names in families.items()}
    out[HERE / "metrics" / "README.md"] = index_page(dict(sorted(families.items())))
    return out


def _first_line(name: str) -> str:
    return inspect.cleandoc(REGISTRY.classes[name].__doc__ or "").splitlines()[0]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write the pages, or check them."""
    check, stale = "--check" in sys.argv[1:], []
    for path, text in pages().items():
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path.relative_to(HERE.parent)))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.exit(f"Not what the code says: {', '.join(stale)}. Run `make docs`.")


if __name__ == "__main__":
    main()

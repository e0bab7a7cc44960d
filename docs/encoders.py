"""Write docs/encoders.md from the report of a whole run of the families of encoders.

`make test-encoders` runs the suite and this: `python docs/encoders.py runs/encoders.xml`.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

HEAD = """<!-- Written by `make test-encoders` from its own run. -->
# Encoders

What the suite of families (`tests/encoders/families`) showed in its last whole run. Every family is a tiny
checkpoint with random weights, saved and loaded through the same door as real ones, of the class that real
checkpoints have. For each side the suite compares every layer with the library run by hand, item by item (relative
difference below 1e-5), batches of eight in shuffled order with items alone, each pooling with the same reduction of
the rows by hand, texts padded on the left with texts padded on the right, the untrained twin, the identity, and the
names of sides in errors. A combination that makes no sense must be refused in words, and counts as verified then.

Name a model `org/name`, `org/name@revision`, or a folder, and a side by `#side` at the end or `side=`;
`isomorph list sides MODEL` names them.

"""


def main(path: str) -> int:
    """Read the report and write the page; the exit status says whether all passed."""
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    facts: dict[str, dict[str, str]] = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        _, _, name = (case.get("name") or "").partition("[")
        name = name.rpartition("]")[0]  # xdist adds the group
        for pooling in ("mean", "mean_no_cls", "cls", "last", "max", "none"):
            name = name.removesuffix(f"-{pooling}")
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        outcomes[name][outcome] += 1
        if found := {p.get("name") or "": p.get("value") or "" for p in case.iter("property")}:
            facts[name] = found
    rows = sorted(facts, key=lambda n: (facts[n]["modality"], facts[n]["architecture"].lower(), facts[n]["side"]))
    lines = [_row(name, facts[name], outcomes[name]) for name in rows]
    failed = sorted(name for name, counts in outcomes.items() if counts["failed"])
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("transformers", "torch"))
    total = sum((c for c in outcomes.values()), Counter())
    page = [
        HEAD,
        f"{len({f['family'] for f in facts.values()})} families, {len(rows)} sides, {total['passed']} tests passed, "
        f"{total['failed']} failed ({versions})." + (f" Not right: {', '.join(failed)}." if failed else ""),
        "",
        "| model | reads | side | layers | passes | verified |",
        "|---|---|---|---|---|---|",
        *lines,
    ]
    (Path(__file__).parent / "encoders.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    return int(bool(failed))


def _row(name: str, facts: dict[str, str], counts: Counter[str]) -> str:
    layers = facts["layers"].split()
    blocks = [layer for layer in layers if layer.startswith("block_")]
    rest = [f"`{layer}`" for layer in layers if layer not in blocks]
    shown = ", ".join([*(["blocks"] if blocks else []), *rest])
    passes = {"padded": "batches", "equal": "items of one length", "single": "one item each"}[facts["grouping"]]
    tests = counts["passed"] + counts["failed"]
    side = f"`#{facts['side']}`" if facts["side"] else ""
    cells = (facts["architecture"], facts["modality"], side, shown, passes, f"{counts['passed']} of {tests}")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

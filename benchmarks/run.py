"""Run the benchmarks: each file is one claim with a number, measured here and now.

`python benchmarks/run.py` runs all, which takes about an hour on two cores, most of it for the peers, that are run in
full; `python benchmarks/run.py metrics extraction` runs some. `--write` puts what they print into docs/benchmarks.md;
of files that were not run the page keeps what it has. `calibration.py` and `nulls.py` are studies with pages of their
own and are run by themselves; so are `million.py`, which takes 3 GB of disk, and `gpu.py`, which takes a GPU.
"""

from __future__ import annotations

import argparse
import ast
import os
import platform
import re
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "benchmarks.md"
STUDIES = (
    "run",
    "encoding_rates",
    "rdm_models_rates",
    "calibration",
    "few_items",
    "gpu",
    "gain",
    "ladders",
    "million",
    "model_comparison_rates",
    "nulls",
    "resi",
    "signatures",
)
HEAD = """# Benchmarks

What `python benchmarks/run.py --write` printed (`make bench` prints the same and writes nothing). Every ratio is
between programs that took turns in one process on the same threads; peers are run in full. Seconds are of the machine
named with each result, a shared one on which other programs ran at times; the ratios are what to compare.

"""


def machine() -> str:
    """One line on what the numbers were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())):
        model = found[1]
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "torch"))
    threads = os.environ.get("OMP_NUM_THREADS", f"{os.cpu_count()} (default)")
    return f"{model}, {os.cpu_count()} cores, threads {threads}, Python {platform.python_version()}, {versions}"


def measured(path: Path, arguments: list[str]) -> tuple[str, int]:
    """What a benchmark printed, shown as it comes, and its exit code."""
    begin, lines = time.perf_counter(), []
    with subprocess.Popen(
        [sys.executable, "-u", str(path), *arguments], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    minutes = (time.perf_counter() - begin) / 60
    return "".join(lines).rstrip() + f"\n({minutes:.1f} min)", process.returncode


def section(path: Path, arguments: str, printed: str) -> str:
    """One benchmark on the page: what it claims, then what it printed."""
    claim = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    command = f"`python benchmarks/{path.stem}.py{f' {arguments}' if arguments else ''}`"
    return f"## {path.stem}\n\n{claim}\n\n{command} on {machine()}:\n\n```text\n{printed}\n```\n\n"


def main() -> None:
    """Run the files in turn, each in a process of its own, and say which failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="benchmarks to run; all if none is named")
    parser.add_argument("--write", action="store_true", help="put the results into docs/benchmarks.md")
    parser.add_argument("--arguments", default="", help="what to pass on to each, such as '--rounds 1'")
    options = parser.parse_args()
    files = {p.stem: p for p in sorted(HERE.glob("*.py")) if p.stem not in STUDIES and not p.stem.startswith("_")}
    if unknown := set(options.names) - set(files):
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}; there are {', '.join(files)}.")
    old = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", old, flags=re.DOTALL | re.MULTILINE))
    sections = {name: f"## {name}\n{body}" for name, body in sections.items() if name in files}
    print(machine(), flush=True)
    failed = []
    for name, path in files.items():
        if options.names and name not in options.names:
            continue
        print(f"\n== {name}", flush=True)
        printed, code = measured(path, options.arguments.split())
        sections[name] = section(path, options.arguments, printed)
        failed += [name] if code else []
        if options.write:
            text = HEAD + "".join(sections[n] for n in files if n in sections)
            DOCUMENT.write_text(text.rstrip() + "\n", encoding="utf-8")
    if failed:
        sys.exit(f"Not all claims were met: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""Run every benchmark: each file is one claim with a number, measured here and now.

`python benchmarks/run.py` runs all, `python benchmarks/run.py metrics_kernels extraction` runs some.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run the files in turn, each in a process of its own, and say which failed."""
    wanted = sys.argv[1:]
    files = sorted(p for p in HERE.glob("*.py") if p.stem != "run")
    if unknown := set(wanted) - {p.stem for p in files}:
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}; there are {', '.join(p.stem for p in files)}.")
    print(f"Python {platform.python_version()} on {os.cpu_count()} cores, {platform.machine()}\n", flush=True)
    failed = []
    for path in files:
        if wanted and path.stem not in wanted:
            continue
        print(f"== {path.stem}", flush=True)
        if subprocess.run([sys.executable, str(path)], check=False).returncode:
            failed.append(path.stem)
        print(flush=True)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""Pages in a real browser: a probe at the end of the page uses it, and leaves what it found in the document."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
OFFLINE = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update")
FLAGS = (
    "--virtual-time-budget=4000",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    *OFFLINE,
)

needed = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def opened(page: Path, probe: str, *, window: str = "1280,900") -> dict[str, Any]:
    """What a probe leaves in the `dataset` of the body, each as JSON. No line may be on the console.

    Args:
        page: The page, which is written anew with the probe in it.
        probe: JavaScript that may await, with `keep(name, value)`.
        window: Width and height.
    """
    script = f"""<script>(async () => {{
      const keep = (name, value) => {{ document.body.dataset[name] = JSON.stringify(value); }};
      {probe}
    }})();</script></body>"""
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, "--dump-dom", f"--window-size={window}", profile, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    body = re.search(r"<body[^>]*>", done.stdout)
    assert body is not None
    return {name: json.loads(html.unescape(value)) for name, value in re.findall(r'data-(\w+)="([^"]*)"', body[0])}


def pages_printed(page: Path) -> int:
    """How many sheets a page takes."""
    assert BROWSER is not None
    sheets = page.with_suffix(".pdf")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [BROWSER, *FLAGS, profile, "--no-pdf-header-footer", f"--print-to-pdf={sheets}", page.as_uri()]
    subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return max(int(n) for n in re.findall(rb"/Count (\d+)", sheets.read_bytes()))

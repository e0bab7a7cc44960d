"""Hooks of mkdocs: what the site has beside the pages of this folder.

The README is its first page, the changelog and the notes for contributors are pages, the reference is made from the
docstrings of every public name, and files of the repository that pages link to are in the site as they are.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
LINK = re.compile(r"(\]\(|src=\")((?:\.\./)*)([\w./-]+)((?:#[\w-]*)?[)\"])")


def on_config(config: Any) -> Any:
    """Metrics' pages are many: the contents list them by file."""
    metrics = sorted(p.name for p in (ROOT / "docs" / "metrics").glob("*.md") if p.name != "README.md")
    for entry in config.nav:
        for items in entry.values():
            if isinstance(items, list) and {"All metrics": "metrics/*"} in items:
                items[items.index({"All metrics": "metrics/*"})] = {"All metrics": [f"metrics/{m}" for m in metrics]}
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and files from outside this folder."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=_from_root((ROOT / source).read_text(encoding="utf-8"))))
    files.append(File.generated(config, "api.md", content=_reference()))
    linked: set[str] = set()
    for file in list(files.documentation_pages()):
        text = file.content_string
        for _, up, target, _ in LINK.findall(text):
            path = _outside(file.src_uri, up, target)
            if path is not None:
                linked.add(path)
    for path in sorted(linked):
        if (ROOT / path).is_file():
            files.append(File.generated(config, f"{path}.txt", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links out of this folder lead to the copies of what they name."""

    def turned(found: re.Match[str]) -> str:
        begin, up, target, end = found.groups()
        path = _outside(page.file.src_uri, up, target)
        if path is None:
            return found[0]
        depth = "../" * page.file.src_uri.count("/")
        for name, source in (*PAGES.items(), ("index.md", "docs/README.md")):
            if path == source:
                return f"{begin}{depth}{name}{end}"
        known = (ROOT / path).is_file()
        return f"{begin}{depth}{path}.txt{end}" if known else f"{begin}{depth}index.md{end}"

    return LINK.sub(turned, markdown)


def _outside(page: str, up: str, target: str) -> str | None:
    """The path from the root of what a link of a page names, if that lies outside this folder."""
    depth = page.count("/")
    if up.count("../") != depth + 1:
        return None
    return target.rstrip("/")


def _from_root(text: str) -> str:
    """A page of the root, as if it lay in this folder."""
    text = re.sub(r"(\]\(|src=\")docs/", r"\1", text)
    return re.sub(r"\]\((?!https?:|#|/)((?:examples|benchmarks|src|tests)/[\w./-]+|[A-Z]+\.md)", r"](../\1", text)


def _reference() -> str:
    """Every public name, with what its docstring says."""
    tree = ast.parse((ROOT / "src" / "isomorph" / "__init__.py").read_text(encoding="utf-8"))
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    names = [e.value for found in lists for e in getattr(found, "elts", []) if isinstance(e, ast.Constant)]
    lines = ["# API reference", "", "Every public name of `isomorph`, from its docstring.", ""]
    return "\n".join([*lines, *(f"::: isomorph.{name}\n" for name in names if name != "__version__")])

"""The notebooks of examples/ run from their first cell to their last, and show the figures that they speak of."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def test_there_are_three() -> None:
    assert [p.stem for p in NOTEBOOKS] == ["does_it_scale", "fuse_and_trust", "two_encoders"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_is_committed_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Name -> cells of code with their outputs. One kernel runs all, each with a folder and names of its own."""
    whole, cells = nbformat.v4.new_notebook(), {}
    for path in NOTEBOOKS:
        anew = nbformat.v4.new_code_cell(f"%reset -f\nimport os; os.chdir({str(tmp_path_factory.mktemp(path.stem))!r})")
        cells[path.stem] = read(path).cells
        whole.cells += [anew, *cells[path.stem]]
    NotebookClient(whole, timeout=300, kernel_name="python3").execute(env=os.environ | {"ISOMORPH_PROGRESS": "0"})
    return {name: [cell for cell in there if cell.cell_type == "code"] for name, there in cells.items()}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the client of the kernel, which is not ours
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_and_shows_its_figures(path: Path, executed: dict[str, list[Any]]) -> None:
    code = executed[path.stem]
    drawing = [cell for cell in code if ".plot(" in cell.source]
    assert len(drawing) >= 3
    for cell in drawing:
        assert any("image/png" in out.get("data", {}) for out in cell.outputs), cell.source
    warned = [out.text for cell in code for out in cell.outputs if out.get("name") == "stderr"]
    assert warned == []

"""The tutorial, executed as a reader would, on the small data set that travels with the tests."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    found: nbformat.NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the kernel's own machinery
def test_every_cell_runs_and_shows_something(
    notebook: nbformat.NotebookNode, tmp_path: Path, small_folder: Path
) -> None:
    (first,) = (c for c in notebook.cells if "DATASET =" in c.source and c.cell_type == "code")
    first.source = first.source.replace('"fashion-mnist"', repr(str(small_folder)))
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code)
    shown = {kind for cell in code for out in cell.outputs for kind in out.get("data", {})}
    assert {"image/png", "text/html"} <= shown
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_it_was_executed_on_the_whole_data(notebook: nbformat.NotebookNode) -> None:
    text = "".join(str(out.get("text", "")) for c in notebook.cells for out in c.get("outputs", []))
    assert "60,000 training and 10,000 test images" in text
    assert all(out.output_type != "error" for c in notebook.cells for out in c.get("outputs", []))

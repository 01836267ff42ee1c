"""The example notebook runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent.parent / "examples" / "notebook" / "sweep.ipynb"
FIGURE = "application/vnd.plotly.v1+json"


@pytest.mark.slow
def test_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LIGHTSWEEP")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # without outputs the file is small
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown: dict[str, dict[str, Any]] = {
        cell.source: dict(output.data)
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type in {"execute_result", "display_data"}
    }
    for plot in ("parallel", "history", "curves", "importance"):
        assert shown[f"sweep.plot_{plot}()"][FIGURE]["data"], plot
    table = next(data["text/html"] for source, data in shown.items() if source.endswith("\nsweep"))
    assert "<td>finished (run_cap 24)</td>" in table
    assert "'alpha'" in shown["sweep.best_run.config"]["text/plain"]

"""Write the tables of names in docs/moving-from-wandb.md from the table of the code.

Usage: ``python tests/wandb_names/page.py``
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lightsweep.wandb import INTEGRATIONS, NAMES, RUN_NAMES, Name

__all__ = ["PAGE", "with_tables"]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "moving-from-wandb.md"
_BEGIN, _END = "<!-- names: written by tests/wandb_names/page.py -->", "<!-- end of names -->"


def with_tables(page: str) -> str:
    """The page with the tables that the code has now."""
    before, _, rest = page.partition(_BEGIN)
    _, found, after = rest.partition(_END)
    assert found, f"the page lacks {_BEGIN} or {_END}"
    tables = f"{_table('`wandb.NAME`', NAMES)}\n\nOf a run:\n\n{_table('`run.NAME`', RUN_NAMES)}"
    tables += f"\n\nOf `wandb.integration`:\n\n{_table('`wandb.integration.NAME`', INTEGRATIONS)}"
    return f"{before}{_BEGIN}\n{tables}\n{_END}{after}"


def _table(heading: str, names: Mapping[str, Name]) -> str:
    rows = [f"| `{name}` | {known.kind} | {known.says} |" for name, known in names.items()]
    return "\n".join([f"| {heading} | here | |", "|---|---|---|", *rows])


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))

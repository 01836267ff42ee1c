"""Write the lists of names in docs/moving-from-wandb.md from the table of the code.

The page of the site, ``wandb_page`` of website/reference.py, says of each name what it does.

Usage: ``python tests/wandb_names/page.py``
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lightsweep.wandb import INTEGRATIONS, KINDS, NAMES, RUN_NAMES, Name

__all__ = ["PAGE", "with_tables"]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "moving-from-wandb.md"
_BEGIN, _END = "<!-- names: written by tests/wandb_names/page.py -->", "<!-- end of names -->"


def with_tables(page: str) -> str:
    """The page with the tables that the code has now."""
    before, _, rest = page.partition(_BEGIN)
    _, found, after = rest.partition(_END)
    assert found, f"the page lacks {_BEGIN} or {_END}"
    rows = [*_rows("wandb", NAMES), *_rows("run", RUN_NAMES), *_rows("wandb.integration", INTEGRATIONS)]
    table = "\n".join(["| of | here | names |", "|---|---|---|", *rows])
    return f"{before}{_BEGIN}\n{table}\n{_END}{after}"


def _rows(owner: str, names: Mapping[str, Name]) -> list[str]:
    rows = []
    for kind in KINDS:
        found = [f"`{name}`" for name, known in names.items() if known.kind == kind]
        if found:
            rows.append(f"| `{owner}` | {kind} | {', '.join(found)} |")
    return rows


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))

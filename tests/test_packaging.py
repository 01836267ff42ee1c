"""pyproject.toml describes the package as the tree has it."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

from measure import module_of, sources

ROOT = Path(__file__).parent.parent


def project() -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # comes with pytest there
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_is_in_the_wheel() -> None:
    described = project()["tool"]["setuptools"]
    packages = {module_of(path) for path in sources() if path.name == "__init__.py"}
    assert set(described["packages"]) == packages | {"lightsweep.docs"}  # of which it has the page of questions
    assert described["package-dir"]["lightsweep.integrations"] == "integrations"


def test_the_repository_has_no_links() -> None:
    """A checkout without symbolic links has the whole package."""
    folders = [ROOT / name for name in ("lightsweep", "integrations", "tests", "docs", "examples", "benchmarks")]
    assert not [path for folder in folders for path in folder.rglob("*") if path.is_symlink()]


def test_every_requirement_is_pinned_for_development() -> None:
    described = project()["project"]
    wanted = list(described["dependencies"])
    for extra in described["optional-dependencies"].values():
        wanted += extra
    pinned = {normal(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for requirement in wanted:
        match = re.match(r"[\w.-]+", requirement)
        assert match is not None
        name = normal(match.group())
        assert name == "lightsweep" or name in pinned, f"{name} is not in constraints.txt"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = sum(bool(re.fullmatch(rf"{anchor}(-\d+)?", each)) for each in found)
        found.add(f"{anchor}-{count}" if count else anchor)
    return found


def test_links_in_the_docs_lead_somewhere() -> None:
    folders = [ROOT / "docs", ROOT / "examples", ROOT / "benchmarks"]
    pages = [*ROOT.glob("*.md"), *(page for folder in folders for page in folder.rglob("*.md"))]
    assert len(pages) > 5
    for page in pages:
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
            if "://" not in target:
                linked = page.parent / target if target else page
                assert linked.exists(), f"{page.name} links to {target}"
                assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}#{anchor}"


# In typing since Python 3.11 or later.
NEWER = {
    "LiteralString",
    "Never",
    "NotRequired",
    "Required",
    "Self",
    "TypeVarTuple",
    "Unpack",
    "assert_never",
    "override",
}


def test_no_name_of_typing_is_newer_than_the_oldest_python() -> None:
    assert project()["project"]["requires-python"] == ">=3.10"
    imported = {
        alias.name: path
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "typing"
        for alias in node.names
    }
    assert "Any" in imported
    assert {name: path for name, path in imported.items() if name in NEWER} == {}

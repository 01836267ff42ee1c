"""The source of a program: which files are read, and which not."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from lightsweep.schema.source import MOST_BYTES, MOST_MODULES, program_file, read_modules


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, **texts: str) -> None:
    """Write modules; two underscores in a name are a folder."""
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def names(program: str | None = "train.py", command: list[str] | None = None) -> list[str]:
    start = program_file(program, command)
    assert start is not None
    return [module.file for module in read_modules(*start)]


def test_the_modules_of_its_folder_that_a_program_imports(here: Path) -> None:
    write(
        here,
        train="import json, data as d\nfrom options import parser\nfrom parts import loop\nimport parts.metrics\n",
        data="import train\n",
        options="",
        unrelated="",
        parts__loop="from . import steps\nfrom .deep import *\n",
        parts__metrics="",
        parts__steps="",
        parts__deep="",
    )
    (here / "parts" / "__init__.py").write_text("")
    found = names()
    assert found[0] == "train.py"
    assert sorted(found[1:]) == [
        "data.py",
        "options.py",
        "parts/__init__.py",
        "parts/deep.py",
        "parts/loop.py",
        "parts/metrics.py",
        "parts/steps.py",
    ]


@pytest.mark.parametrize(
    ("program", "command", "found"),
    [
        ("sub/go.py", None, "sub/go.py"),
        ("sub/go.py", ["torchrun", "other.py", "${args}"], "other.py"),
        (None, ["accelerate", "launch", "--x=1", "other.py", "${args}"], "other.py"),
        ("sub.go", ["python", "-m", "${program}"], "sub/go.py"),
        (None, ["python", "-m", "sub", "${args}"], "sub/__main__.py"),
        ("sub/go.sh", None, None),
        ("absent.py", None, None),
        (None, ["bash", "-c", "python other.py"], None),
        (None, None, None),
    ],
)
def test_the_file_that_a_command_starts(
    here: Path, program: str | None, command: list[str] | None, found: str | None
) -> None:
    write(here, other="", sub__go="")
    for name in ("__init__.py", "__main__.py"):
        (here / "sub" / name).write_text("")
    (here / "sub" / "go.sh").write_text("python go.py")
    start = program_file(program, command)
    assert (start and start[0].as_posix()) == found


def test_a_file_that_cannot_be_read_is_left_out(here: Path) -> None:
    write(
        here, train="import broken, long, old, odd\n", broken="def\n", long=f"#{'x' * MOST_BYTES}\n", odd="a = '\\d'\n"
    )
    (here / "old.py").write_bytes(b"print 'caf\xe9'\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names() == ["train.py", "odd.py"]


def test_a_program_with_many_modules_is_read_in_part(here: Path) -> None:
    write(
        here, train="\n".join(f"import m{index}" for index in range(200)), **{f"m{index}": "" for index in range(200)}
    )
    assert len(names()) == MOST_MODULES

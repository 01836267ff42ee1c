"""The structure of docs/architecture.md: floors, circles, sizes, names, and the page itself."""

from __future__ import annotations

import ast
import re
import sys
import threading
from pathlib import Path
from types import FrameType

import pytest
from measure import ROOT, circles, code_lines, imports, module_of, room_of, sources

FLOORS = {
    "text": 0,
    "errors": 1,
    "hyperband": 1,
    "space": 2,
    "stopping": 2,
    "channel": 2,
    "stand_in": 2,
    "schema": 3,
    "sampler": 4,
    "storage": 4,
    "controller": 5,
    "agents": 6,
    "analysis": 6,
    "report": 7,
    "results": 8,
    "cli": 9,
}
# The side rooms that training scripts load, and all that they may know.
SIDES = {
    "client": {"channel", "errors", "hyperband", "text", "wandb"},
    "integrations": {"client", "errors", "text"},
    "wandb": {"client", "errors", "text"},
}
# It reads the storage for scripts, as results.py does, so it may know the same rooms.
READS_THE_STORAGE = ROOT / "lightsweep" / "wandb" / "api.py"
# The package's own surface, which resolves names of every floor when they are asked for.
SURFACE = {"__init__", "__main__"}


def rooms_imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            # Names of the surface, such as lightsweep.Sweep, are not rooms.
            if parts[0] == "lightsweep" and len(parts) > 1 and parts[1] in FLOORS | SIDES:
                found.add(parts[1])
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    room = room_of(path)
    if room in SURFACE:
        return
    for other in rooms_imported(path) - {room}:
        if path == READS_THE_STORAGE:
            assert other in SIDES[room] or FLOORS[other] < FLOORS["cli"], f"{path.name} must not import {other}"
        elif room in SIDES:
            assert other in SIDES[room], f"{room} may know {SIDES[room]} only, not {other}"
        elif other in SIDES:
            assert FLOORS[room] > FLOORS["channel"], f"{room} is below {other}"
        else:
            assert FLOORS[other] < FLOORS[room] or (room, other) == ("cli", "cli"), f"{room} must not import {other}"


def test_every_room_is_on_the_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    for room in {room_of(path) for path in sources()} - SURFACE:
        assert re.search(rf"`{room}(/|\.py)`", page), f"docs/architecture.md does not mention {room}"


def test_no_module_bears_the_name_of_a_function_of_the_package() -> None:
    taken = {path.stem for path in (ROOT / "lightsweep").iterdir()}
    assert not taken & {"sweep", "agent", "config", "run", "log", "init"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports in functions and for type checkers count: to read one file of a circle is to read all."""
    known = {module_of(path): path for path in sources()}
    graph = {module: imports(path.read_text(), known) - {module} for module, path in known.items()}
    assert list(circles(graph)) == []


def test_circles_are_found_wherever_the_import_is() -> None:
    known = dict.fromkeys(["p.a", "p.b", "p.c", "p.d"])
    graph = {
        "p.a": imports("import p.b\n", known),
        "p.b": imports("def f():\n    from p import c\n", known),
        "p.c": imports("if TYPE_CHECKING:\n    from p.a import A\n", known),
        "p.d": imports("from p.a import A\nimport os\n", known),
    }
    assert list(circles(graph)) == [("p.a", "p.b", "p.c")]


# --- size: one concept per file, and few enough files to know them all


def lengths() -> dict[str, int]:
    return {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}


def test_no_file_is_longer_than_500_lines() -> None:
    assert {name: count for name, count in lengths().items() if count > 500} == {}


# Whole concepts that need no more than this: an engine, a figure, a protocol.
SHORT = {
    "lightsweep/agents/warm/hook/sitecustomize.py",
    "lightsweep/agents/engines/local.py",
    "lightsweep/agents/gpus.py",
    "lightsweep/agents/storage_job.py",
    "lightsweep/agents/launchers/call.py",
    "lightsweep/cli/options.py",
    "lightsweep/client/loaders.py",
    "lightsweep/cli/output.py",
    "lightsweep/cli/starters.py",
    "lightsweep/cli/storage.py",
    "lightsweep/report/importance.py",
    "lightsweep/report/axis.py",
    "lightsweep/sampler/base.py",
    "lightsweep/sampler/first_points.py",
    "lightsweep/stopping/curves.py",
    "lightsweep/controller/leases.py",
    "lightsweep/schema/launching.py",
    "lightsweep/storage/sqlite_file.py",
    "lightsweep/text.py",
    "lightsweep/wandb/integration/catboost.py",
    "lightsweep/wandb/integration/lightgbm.py",
    "lightsweep/wandb/integration/sb3.py",
    "lightsweep/wandb/integration/xgboost.py",
}


def test_no_file_is_shorter_than_100_lines_but_those_that_are_a_whole_concept() -> None:
    short = {name for name, count in lengths().items() if count < 100}
    assert {name for name in short if Path(name).name not in {"__init__.py", "__main__.py"}} <= SHORT
    assert set(lengths()) >= SHORT


# A feature pays for its lines: a new one takes something old away.
MOST_FILES = 195
MOST_LINES = 27_300


def test_lines_of_code_and_files_are_bounded() -> None:
    assert len(sources()) <= MOST_FILES
    assert sum(code_lines(path.read_text()) for path in sources()) <= MOST_LINES


def test_a_line_of_code_has_a_token_that_is_neither_a_comment_nor_a_docstring() -> None:
    lines = [
        '"""Of the module."""',
        "",
        "# a comment",
        "def f():",
        '    """One.',
        "",
        '    Two."""',
        "    return g(  # why",
    ]
    text = "\n".join([*lines, "        1,", "    )", ""])
    assert code_lines(text) == 4


# --- the tests mirror the tree

# Tests of several files at once, as users work with them.
SCENARIOS = {
    "agents/test_guide_snippets.py",
    "cli/test_cli_by_run.py",
    "cli/test_cli_changes.py",
    "cli/test_cli_errors.py",
    "cli/test_cli_killed.py",
    "cli/test_cli_processes.py",
    "cli/test_cli_stages.py",
    "cli/test_cli_together.py",
    "cli/test_cli_views.py",
    "cli/test_odd_sweeps.py",
    "client/test_agent_loss.py",
    "integrations/test_contract.py",
    "integrations/test_plain_loops.py",
    "integrations/test_ranks.py",
    "integrations/test_resume.py",
    "integrations/test_smoke_trainers.py",
    "integrations/test_trainers_page.py",
    "report/test_browser.py",
    "stand_in/test_folder.py",
    "stand_in/test_patterns.py",
    "stand_in/test_programs.py",
    "stand_in/test_trainers.py",
    "stand_in/test_integration.py",
    "storage/test_old_storage.py",
}


def subjects(room: str) -> set[str]:
    """The names of the files and folders of a room, also with the room before them, without leading underscores."""
    found: set[str] = set()
    for path in sources():
        if room_of(path) == room:
            found |= {path.stem} | ({path.parent.name} - {room})
    stems = {name.lstrip("_") for name in found - {"__init__"}}
    return stems | {f"{room}_{stem}" for stem in stems}


def test_a_test_file_bears_the_name_of_the_file_that_it_tests() -> None:
    """``tests/ROOM/test_FILE.py``, ``test_FILE_ASPECT.py`` or ``test_ROOM_FILE.py`` for ``lightsweep/ROOM/FILE.py``."""
    tests = ROOT / "tests"
    rooms = {room_of(path) for path in sources() if path.parent != ROOT / "lightsweep"}
    named = {room: subjects(room) for room in rooms}
    found = [path.relative_to(tests) for path in tests.rglob("test_*.py") if path.relative_to(tests).parts[0] in rooms]
    astray = []
    for path in found:
        words = path.stem.removeprefix("test_").split("_")
        beginnings = {"_".join(words[:count]) for count in range(1, len(words) + 1)}
        if not beginnings & named[path.parts[0]]:
            astray.append(path.as_posix())
    assert len(found) > 80
    assert set(astray) - SCENARIOS == set(), "rename the test after a file of its room, or add it to SCENARIOS"
    assert SCENARIOS - set(astray) == set()


# --- one feature in few files


def test_few_files_know_stages() -> None:
    """A stage becomes a part of the plan early; only what shows stages knows the word, in names and texts."""
    knowing = []
    for path in sources():
        if path.is_relative_to(ROOT / "integrations"):  # Lightning's hooks have a parameter of that name
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
                del node.body[0]
            if isinstance(node, (ast.Module, ast.ClassDef)):  # the docstrings of attributes and constants
                node.body = [each for each in node.body if not _is_text(each)]
        if re.search("stage", ast.unparse(tree), re.IGNORECASE):
            knowing.append(str(path.relative_to(ROOT)))
    assert 4 < len(knowing) <= 11, knowing


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


# --- the page


def ways() -> dict[str, list[str]]:
    """The numbered items of each way on the page: a file and its part."""
    section = (ROOT / "docs" / "architecture.md").read_text().partition("\n## Three ways through the house\n")[2]
    parts = re.split(r"^### (.+)$", section.partition("\n## ")[0], flags=re.MULTILINE)
    return {
        title: re.findall(r"^\d+\. (.+(?:\n   .+)*)", text, re.MULTILINE)
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_files_on_the_page_are_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`((?:\w+/)+\w+\.py)`", page)
    assert len(named) > 20
    homes = [ROOT, ROOT / "lightsweep"]
    assert [name for name in named if not any((home / name).exists() for home in homes)] == []


@pytest.mark.parametrize(
    ("way", "most"),
    [("Claim a run", 5), ("Report a value and get the verdict", 9), ("From the file to run.config", 25)],
)
def test_each_way_is_short_and_true(way: str, most: int) -> None:
    """As many files as the page says at most, and each has the names that the page gives it."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    items = ways()[way]
    assert 3 <= len(items) <= most
    assert f"### {way}\n\n{len(items)} files.\n" in page
    for item in items:
        file, _, does = item.partition(": ")
        texts = [(ROOT / "lightsweep" / name).read_text() for name in re.findall(r"`(.+?)`", file)]
        nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
        defined = {node.name for node in nodes if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        named = {part for name in re.findall(r"`([\w.]+)`", does) for part in name.split(".")}
        assert named <= defined | {"RunPruned"}, file


def test_the_way_of_a_report_names_every_file_that_is_entered(tmp_path: Path) -> None:
    """A report below a band and one at a band, traced in the script's thread, the agent's and the writer's."""
    from lightsweep.agents.active_run import ActiveRun
    from lightsweep.channel.connection import Connection
    from lightsweep.channel.server import ChannelServer
    from lightsweep.client import Run
    from lightsweep.controller import ClaimedRun, Sweep
    from lightsweep.controller.claims import RunClaimer
    from lightsweep.controller.reports import Reporter, Writer

    raw = {
        "program": "train.py",
        "method": "random",
        "metric": {"name": "loss"},
        "parameters": {"x": {"min": 0.0, "max": 1.0}},
        "early_terminate": {"type": "hyperband", "min_iter": 2},
    }
    sweep = Sweep.create(raw, storage=f"sqlite:///{tmp_path}/sweeps.db")
    entered: set[str] = set()

    def enter(frame: FrameType, event: str, argument: object) -> None:
        del event, argument
        entered.add(frame.f_code.co_filename)

    threading.setprofile(enter)
    try:
        writer = Writer(sweep.storage)
        reporter = Reporter(sweep, writer)
        claimed = RunClaimer(sweep, "a").next_run()
        assert isinstance(claimed, ClaimedRun)
        with ChannelServer() as server:
            handler = ActiveRun(claimed, sweep, reporter, tmp_path, {}, 1.0)
            connection = Connection.from_environment(server.register(claimed.id, handler))
            assert connection is not None
            run = Run(connection, connection.start({}), {})
            ways_taken = []
            for value in (0.2, 0.1):
                assert writer.flush(30)
                entered.clear()
                sys.setprofile(enter)
                run.log({"loss": value})
                sys.setprofile(None)
                assert writer.flush(30)
                home = ROOT / "lightsweep"
                files = [Path(name) for name in list(entered)]
                ways_taken.append({str(file.relative_to(home)) for file in files if file.is_relative_to(home)})
            connection.close()
        reporter.close()
        writer.close()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    below, at_band = ways_taken
    title = "Report a value and get the verdict"
    named = {file for item in ways()[title] for file in re.findall(r"^`(.+?)`", item)}
    assert named - at_band == set()
    # The helpers of one line, which the page names below the list.
    section = (ROOT / "docs" / "architecture.md").read_text().partition(f"### {title}\n")[2].partition("\n### ")[0]
    asked = set(re.findall(r"`([\w/]+\.py)`", section.partition("\nA report also needs")[2]))
    assert below | at_band == named | asked


def contracts() -> dict[str, set[str]]:
    """The names that the items of each room's contract begin with, method by method."""
    section = (ROOT / "docs" / "architecture.md").read_text().partition("\n## The contracts between rooms\n")[2]
    parts = re.split(r"^### (.+)$", section.partition("\n## ")[0], flags=re.MULTILINE)
    return {
        room: set(re.findall(r"`([\w.]+)`", " ".join(re.findall(r"^- (`.+?`(?:, `.+?`)*): ", text, re.MULTILINE))))
        for room, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_the_contracts_name_what_the_rooms_define() -> None:
    found = contracts()
    rooms = {room_of(path) for path in sources()} - SURFACE
    assert rooms - set(found) == {"cli", "errors", "integrations", "results"}
    for room, names in found.items():
        assert names, room
        defined = set()
        for path in sources():
            if room_of(path) == room:
                for node in ast.parse(path.read_text()).body:
                    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                        defined.add(node.name)
                        defined |= {
                            f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)
                        }
                    elif isinstance(node, ast.Assign):
                        defined |= {ast.unparse(target) for target in node.targets}
                    elif isinstance(node, ast.AnnAssign):
                        defined.add(ast.unparse(node.target))
        assert names - defined == set(), f"docs/architecture.md: {room}"


# --- what is public


def public_names() -> dict[str, list[str]]:
    """The names of each public module below "The public names" in docs/architecture.md."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    section = page.partition("\n## The public names\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section, re.MULTILINE)
    return {name: re.findall(r"`(\w+)`", names) for name, names in rows}


def all_of(module: str) -> list[str]:
    """``__all__`` as the module's file has it."""
    (path,) = [path for path in sources() if module_of(path) == module]
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


def test_the_public_names_are_those_on_the_page() -> None:
    documented = public_names()
    assert documented.pop("lightsweep.Sweep")
    assert {"lightsweep", "lightsweep.integrations.lightning"} < set(documented)
    assert documented == {module: all_of(module) for module in documented}


def test_a_sweep_shows_at_most_24_names(tmp_path: Path) -> None:
    """Counted on an instance, as an editor completes them."""
    from lightsweep import Sweep

    raw = {"program": "train.py", "method": "random", "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    made = Sweep.create(raw, storage=f"sqlite:///{tmp_path}/sweeps.db")
    names = [name for name in dir(made) if not name.startswith("_")]
    assert names == sorted(public_names()["lightsweep.Sweep"])
    assert len(names) <= 24

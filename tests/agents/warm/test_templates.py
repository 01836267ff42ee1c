"""The agent's side: when runs start cold, when a template is replaced, and what becomes of runs if it dies."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from sandboxes import wait_until
from warm_starter import TOKEN, Starter

from lightsweep.agents.launchers.process import RunProcess, run_environment
from lightsweep.agents.warm import templates
from lightsweep.agents.warm.templates import ColdError, PythonCommand


def template_of(starter: Starter) -> psutil.Process:
    found = starter.templates._template
    assert found is not None
    return psutil.Process(found.pid)


# --- what starts cold


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["bash", "train.sh"], "the command is not `python SCRIPT`"),
        (["torchrun", "train.py"], "the command is not `python SCRIPT`"),
        (["accelerate", "launch", "train.py"], "the command is not `python SCRIPT`"),
        (["env", "A=1", "python", "train.py"], "the command is not `python SCRIPT`"),
        (["python", "-m", "train"], "the command has the option -m"),
        (["python", "-c", "pass"], "the command has the option -c"),
        (["python", "-W", "error", "train.py"], "the command has the option -W"),
        (["python", "-i", "train.py"], "the command has the option -i"),
        (["python", "-"], "the command starts no script"),
        (["python"], "the command starts no script"),
        (["python", "-u"], "the command starts no script"),
        (["python", "absent.py"], "there is no file absent.py"),
        (["no-such-python", "train.py"], "the command is not `python SCRIPT`"),
        ([], "the command is not `python SCRIPT`"),
    ],
)
def test_commands_that_start_cold(starter: Starter, command: list[str], reason: str) -> None:
    starter.write("train.py", "")
    assert starter.reason(*command) == reason


def test_commands_that_start_a_script(starter: Starter) -> None:
    starter.write("train.py", "")
    for words in (["env", sys.executable], [sys.executable], ["python"], ["/usr/bin/env", "python", "-u", "-B"]):
        plain = PythonCommand.read([*words, "train.py", "-u", "--x=1"])
        assert plain.program == "train.py"
        assert plain.options == tuple(word for word in words if word.startswith("-"))
        assert plain.command[-3:] == ("train.py", "-u", "--x=1")
    with pytest.raises(ColdError):
        PythonCommand.read(["env"])


SIDE_EFFECTS = {
    "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='mine', daemon=True).start()": (
        "an import starts a thread (mine)"
    ),
    "import faulthandler\nfaulthandler.dump_traceback_later(600)": (
        "an import starts threads that do not end before a fork"
    ),
    "import subprocess\nchild = subprocess.Popen(['sleep', '1'])": "an import starts a process",
    "file = open(__file__)": "an import opens a file, a connection or a device, and keeps it open",
    "import socket\npair = socket.socketpair()": "an import opens a file, a connection or a device, and keeps it open",
    "import mmap\nshared = mmap.mmap(-1, 4096)": "an import makes memory that processes share",
    "import multiprocessing\nlock = multiprocessing.Lock()": "an import makes memory that processes share",
    "import tempfile\nplace = tempfile.TemporaryDirectory()": "an import makes a temporary directory",
    "import sys\nsys.path.append('/elsewhere')": "an import changes sys.path",
    "import __main__": "an import keeps the module __main__",
    "import os\nvalue = os.environ.get('LIGHTSWEEP_RUN_DIR')": (
        "an import reads LIGHTSWEEP_RUN_DIR, which differs from run to run"
    ),
    "import os\nvalue = os.getenv('LIGHTSWEEP_RUN')": "an import reads LIGHTSWEEP_RUN, which differs from run to run",
    "import beside": "which is not an installed file",
    "raise ValueError('bad')": "ValueError: bad",
    "raise SystemExit(3)": "SystemExit: 3",
    "import no_such_module": "No module named 'no_such_module'",
    "import os\nos._exit(3)": "the template process ended while it imported",
}


@pytest.mark.parametrize("source", SIDE_EFFECTS)
def test_imports_that_do_more_than_define_names_make_runs_start_cold(
    starter: Starter, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    starter.install("installed", source + "\n")
    starter.write("beside.py", "")
    starter.write("train.py", "import installed\n")
    assert SIDE_EFFECTS[source] in starter.reason(sys.executable, "train.py")
    with monkeypatch.context() as patched:
        patched.setattr(templates, "Template", None)  # it is known by now, and no other is made
        assert SIDE_EFFECTS[source] in starter.reason(sys.executable, "train.py")
    assert len(starter.remarks) == 1


@pytest.mark.parametrize("name", ["COVERAGE_PROCESS_START", "PYDEVD_USE_FRAME_EVAL", "PYTHONINSPECT"])
def test_variables_of_tools_that_watch_python_make_runs_start_cold(starter: Starter, name: str) -> None:
    starter.write("train.py", "")
    starter.variables[name] = "x"
    assert starter.reason(sys.executable, "train.py") == f"{name} is set"


def test_a_debugger_makes_runs_start_cold(starter: Starter) -> None:
    starter.write("train.py", "")
    starter.install("sitecustomize", "import sys\nsys.settrace(lambda *_: None)\n")
    assert starter.reason(sys.executable, "train.py") == "Python starts with a debugger or a profiler"


def test_a_gpu_is_given_late_unless_an_import_asks_for_it(starter: Starter) -> None:
    starter.install("quiet", "")
    starter.install("asks", "import os\nvalue = os.environ.get('CUDA_VISIBLE_DEVICES')\n")
    starter.write("train.py", "import quiet\nimport os\nprint(os.environ['CUDA_VISIBLE_DEVICES'])\n")
    pids = set()
    for gpu in ("0", "1"):
        starter.variables["CUDA_VISIBLE_DEVICES"] = gpu
        assert starter.run(["train.py"], True) == (0, f"{gpu}\n")
        pids.add(template_of(starter).pid)
    assert len(pids) == 1
    starter.write("train.py", "import asks\nprint(asks.value)\n")
    assert starter.run(["train.py"], True) == (0, "1\n")
    starter.variables["CUDA_VISIBLE_DEVICES"] = "0"
    reason = starter.reason(sys.executable, "train.py")
    assert reason == "an import reads CUDA_VISIBLE_DEVICES, which differs from run to run"


# --- what makes another template


def test_what_has_changed_is_imported_anew(starter: Starter) -> None:
    package = starter.install("installed", "value = 1\n")
    starter.write("train.py", "import installed\nimport os\nprint(installed.value, os.environ.get('SOME'))\n")
    pids = []

    def run() -> str:
        code, output = starter.run(["train.py"], True)
        assert code == 0
        pids.append(template_of(starter).pid)
        return output.strip()

    assert run() == "1 None"
    assert run() == "1 None"
    package.write_text("value = 22\n")
    assert run() == "22 None"
    starter.variables["SOME"] = "x"
    assert run() == "22 x"
    starter.write("installed.py", "value = 'beside'\n")
    assert run() == "beside x"
    Path("installed.py").unlink()
    assert run() == "22 x"
    (package.parent / "other.pth").write_text("\n")
    assert run() == "22 x"
    starter.write("train.py", "import json, installed\nimport os\nprint(installed.value, 'edited')\n")
    assert run() == "22 edited"
    starter.write("train.py", "import json, installed\nimport os\nprint(installed.value, 'twice')\n")
    assert run() == "22 twice"
    assert [before == after for before, after in itertools.pairwise(pids)] == [True, *[False] * 6, True]
    assert len(set(pids)) == 7
    starter.templates.close()
    assert not any(map(psutil.pid_exists, pids))


def test_a_template_that_has_grown_is_replaced(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    starter.write("train.py", "")
    starter.run(["train.py"], True)
    before = template_of(starter).pid
    monkeypatch.setattr(templates, "_GROWTH", -(2**40))
    starter.run(["train.py"], True)
    assert template_of(starter).pid != before


def test_a_template_that_hangs_is_killed_and_the_run_starts_cold(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter.write("train.py", "")
    starter.run(["train.py"], True)
    hanging = template_of(starter)
    hanging.suspend()
    with monkeypatch.context() as patched:
        patched.setattr(templates, "_START_SECONDS", 0.5)
        assert starter.reason(sys.executable, "train.py") == "the template process does not answer"
    assert not hanging.is_running()
    starter.run(["train.py"], True)


# --- runs and their template


def started(starter: Starter, source: str) -> RunProcess:
    starter.write("train.py", source)
    process = starter.start(["train.py"], True)
    wait_until(lambda: "ready" in Path("warm.log").read_text(), "the script")
    return process


def test_a_run_is_asked_to_end_and_killed_like_any_other(starter: Starter) -> None:
    asked = started(
        starter, "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(4))\nprint('ready')\ntime.sleep(60)"
    )
    asked.terminate(30.0)
    assert asked.wait().exit_code == 4
    stubborn = started(
        starter, "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('ready')\ntime.sleep(60)\n"
    )
    stubborn.terminate(0.2)
    assert stubborn.wait().exit_code == -9
    signalled = started(starter, "import time\nprint('ready')\ntime.sleep(60)")
    signalled.signal(signal.SIGUSR1)
    assert signalled.wait().exit_code == -signal.SIGUSR1


def test_what_a_run_leaves_behind_is_found_in_its_group_and_outside(starter: Starter) -> None:
    """Outside by the token that the environment of a forked process shows, too."""
    run = started(
        starter,
        """
        import os, subprocess, sys, time
        first = subprocess.Popen(["sleep", "60"], start_new_session=True)
        second = os.fork()
        if not second:
            os.setsid()
            time.sleep(60)
        third = subprocess.Popen(["sleep", "60"])
        print(first.pid, second, third.pid, "ready")
        sys.stdout.flush()
        os._exit(5)
        """,
    )
    assert run.wait().exit_code == 5
    pids = [int(word) for word in Path("warm.log").read_text().split()[:3]]
    for pid in pids:
        wait_until(lambda pid=pid: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "its end")


def test_runs_at_once_end_on_their_own(starter: Starter) -> None:
    starter.write("train.py", "import sys, time\ntime.sleep(float(sys.argv[1]))\nsys.exit(int(sys.argv[2]))\n")
    runs = []
    for seconds, code in (("1.5", "1"), ("0.1", "2"), ("0.8", "3")):
        runs.append(starter.start(["train.py", seconds, code], True, token=code * 32 + TOKEN[32:]))
    assert len({run.pid for run in runs}) == 3
    assert [run.wait().exit_code for run in runs] == [1, 2, 3]


def test_a_template_that_is_killed_makes_its_runs_end_as_by_sigkill(starter: Starter) -> None:
    run = started(starter, "import time\nprint('ready')\ntime.sleep(1)\nprint('done')\n")
    template_of(starter).kill()
    assert run.wait().exit_code == -9
    assert Path("warm.log").read_text() == "ready\ndone\n"  # it was not disturbed
    assert starter.run(["train.py"], True)[0] == 0


def left_alone(monkeypatch: pytest.MonkeyPatch) -> list[templates.Template]:
    """Let the agent go away from templates as if it had been killed; return those."""
    left: list[templates.Template] = []

    def leave(template: templates.Template) -> None:
        template._control.close()
        left.append(template)

    monkeypatch.setattr(templates.Template, "kill", leave)
    return left


def test_no_script_runs_if_the_agent_is_gone_when_the_imports_end(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates, "_IMPORT_SECONDS", 0.2)
    left = left_alone(monkeypatch)
    starter.install("slow", "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n")
    starter.write("train.py", "import slow\nopen('ran', 'w').close()\n")
    reason = starter.reason(sys.executable, "train.py")
    assert reason == "the template process needed more than 0.2 s to import"
    Path("go").touch()
    left[0]._process.wait(60)
    assert not Path("ran").exists()


def test_no_script_runs_if_the_agent_has_given_up_its_fork(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    left = left_alone(monkeypatch)
    wait = "while os.path.exists('wait'):\n        time.sleep(0.01)"
    starter.install("slow", f"import os, time\ndef wait():\n    {wait}\nos.register_at_fork(after_in_child=wait)\n")
    starter.write("train.py", "import slow\nopen('ran', 'w').close()\n")
    assert starter.run(["train.py"], True) == (0, "")
    Path("ran").unlink()
    Path("wait").touch()
    monkeypatch.setattr(templates, "_START_SECONDS", 0.2)
    assert starter.reason(sys.executable, "train.py") == "the template process does not answer"
    Path("wait").unlink()
    left[0]._process.wait(60)
    assert not Path("ran").exists()


class LateSocket:
    """The agent's end of a fork whose answer arrives in the instant in which the agent gives it up."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def recv(self, size: int) -> bytes:
        part = self._real.recv(size)
        if part == b"\n":
            raise TimeoutError
        return part


def test_no_script_runs_if_its_answer_arrives_as_the_agent_gives_it_up(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = left_alone(monkeypatch)
    starter.write("train.py", "open('ran', 'w').close()\n")
    assert starter.run(["train.py"], True) == (0, "")
    Path("ran").unlink()
    pair = socket.socketpair

    def late() -> tuple[LateSocket, socket.socket]:
        ours, theirs = pair()
        return LateSocket(ours), theirs

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socketpair", late)
        assert starter.reason(sys.executable, "train.py") == "the template process does not answer"
    left[0]._process.wait(60)
    assert not Path("ran").exists()


def test_a_start_does_not_wait_for_a_template_that_hangs_if_the_agent_ends(starter: Starter) -> None:
    starter.write("train.py", "")
    starter.run(["train.py"], True)
    hanging = template_of(starter)
    hanging.suspend()
    found: list[object] = []

    def start() -> None:
        with Path("none.log").open("wb") as sink:
            found.append(starter.templates.start([sys.executable, "train.py"], {**run_environment()}, sink))

    kept = starter.templates._template
    assert kept is not None
    thread = threading.Thread(target=start)
    thread.start()
    wait_until(lambda: kept._answers is not None, "the request for a fork")
    starter.templates.hurry()
    thread.join(30)
    assert found == [None]
    assert not hanging.is_running()


def test_looks_at_installed_files_are_a_small_part_of_the_time(
    starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = starter.install("installed", "value = 1\n")
    starter.write("train.py", "import installed\nprint(installed.value)\n")
    assert starter.run(["train.py"], True) == (0, "1\n")
    monkeypatch.setattr(templates, "_LOOK_SHARE", 1e-9)
    assert starter.run(["train.py"], True) == (0, "1\n")
    package.write_text("value = 22\n")
    assert starter.run(["train.py"], True) == (0, "1\n")
    kept = starter.templates._template
    assert kept is not None
    kept._next_look = 0.0  # that time has passed
    assert starter.run(["train.py"], True) == (0, "22\n")


def test_libraries_that_are_loaded_before_python(starter: Starter) -> None:
    """Allocators are the same in a fork; another library may note the process that it was loaded in."""
    starter.write("train.py", "")
    real = next(line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libm.so" in line)
    other, allocator = (shutil.copy(real, Path(name).absolute()) for name in ("libother.so", "libjemalloc.so.2"))
    starter.variables["LD_PRELOAD"] = f"{allocator}:{other}"
    reason = starter.reason(sys.executable, "train.py")
    assert reason == f"LD_PRELOAD has {other}, which may not expect a fork"
    pids = []
    for library in ("", allocator):
        starter.variables["LD_PRELOAD"] = str(library)
        code, output = starter.both(
            """
            import os
            with open("/proc/self/maps") as maps:
                print(sorted({line.split()[-1] for line in maps if "jemalloc" in line}), os.environ["LD_PRELOAD"])
            """
        )
        assert (code, "jemalloc.so.2']" in output) == (0, bool(library))
        pids.append(template_of(starter).pid)
    assert pids[0] != pids[1]


def test_a_sitecustomize_that_fails_makes_runs_start_cold(starter: Starter) -> None:
    starter.install("sitecustomize", "raise ValueError('bad')\n")
    starter.write("train.py", "open('ran', 'w').close()\n")
    assert starter.reason(sys.executable, "train.py") == "sitecustomize: ValueError: bad"
    assert not Path("ran").exists()


def test_signals_to_all_processes_of_a_job_do_not_end_the_template(starter: Starter) -> None:
    run = started(starter, "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('ready')\ntime.sleep(1)\n")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        template_of(starter).send_signal(number)
    assert run.wait().exit_code == 0
    assert starter.run(["train.py"], True)[0] == 0


def test_the_template_holds_no_secret(starter: Starter) -> None:
    """Not in its variables, nor in its memory."""
    token = "0123456789abcdef" * 2 + TOKEN[32:]
    starter.write("train.py", "")
    for _ in range(3):
        starter.start(["train.py"], True, token).wait()
    process = template_of(starter)
    assert token not in str(process.environ())
    found = False
    home = Path(f"/proc/{process.pid}")
    with (home / "mem").open("rb", buffering=0) as memory:
        for line in (home / "maps").read_text().splitlines():
            addresses, access = line.split()[:2]
            if access.startswith("rw"):
                start, end = (int(address, 16) for address in addresses.split("-"))
                memory.seek(start)
                content = memory.read(end - start)
                found = found or b"LIGHTSWEEP_TOKEN" in content
                assert token.encode() not in content
    assert found  # the memory was read
    assert process.net_connections("inet") == []


@pytest.mark.slow
def test_many_runs_leave_nothing(starter: Starter) -> None:
    """500 of them; ``make warm`` does 10,000."""
    starter.write("train.py", "")
    starter.run(["train.py"], True)
    process, mine = template_of(starter), psutil.Process()
    for _ in range(20):
        starter.run(["train.py"], True)

    def held() -> tuple[int, int, int]:
        return process.num_fds(), mine.num_fds(), mine.num_threads()

    before, size = held(), process.memory_info().rss
    for _ in range(int(os.environ.get("LIGHTSWEEP_TEST_RUNS", "500"))):
        assert starter.run(["train.py"], True) == (0, "")
    # The template closes the descriptors of a run a moment after it has said how the run ended.
    wait_until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)), f"{held()} to be {before}")
    assert process.memory_info().rss < size + 2**20
    assert process.children() == []
    assert template_of(starter).pid == process.pid

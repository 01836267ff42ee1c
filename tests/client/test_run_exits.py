"""Ends of training scripts, in real processes: the message to the agent, the output, the exit code."""

from __future__ import annotations

import pytest

from scripted import ScriptedHandler

HOOK = "sys.excepthook = lambda kind, *_: print('hook:', kind.__name__)"


def the_finish(handler: ScriptedHandler) -> dict[str, object]:
    (finish,) = handler.finishes
    return finish


def test_a_with_block_that_is_pruned_is_left_and_the_script_goes_on(script):
    handler = ScriptedHandler(stop_at=3)
    result = script(
        handler,
        """
        import lightsweep
        with lightsweep.init() as run:
            for epoch in range(100):
                run.log({"val_loss": 1.0})
        print("after the block")
        """,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "after the block\n", "")
    assert len(handler.logs) == 3
    assert the_finish(handler)["state"] == "pruned"


def test_without_a_with_block_a_pruned_script_ends_with_one_line_and_exit_code_0(script):
    handler = ScriptedHandler(stop_at=2)
    result = script(
        handler,
        """
        import atexit, lightsweep
        atexit.register(print, "other exit handlers run")
        lightsweep.init()
        while True:
            lightsweep.log({"val_loss": 1.0})
        """,
    )
    assert result.stderr == "lightsweep: run 0007 stopped early: 0.9 is worse than 0.5 at band 3\n"
    assert result.stdout == "other exit handlers run\n"
    assert result.returncode == 0
    assert the_finish(handler)["state"] == "pruned"


def test_only_the_first_rank_says_that_the_run_was_stopped(script):
    code = """
        import lightsweep
        lightsweep.init()
        while True:
            lightsweep.log({"val_loss": 1.0})
            if lightsweep.run.rank:
                raise lightsweep.RunPruned("as rank 0 was told")
        """
    for rank in ("0", "1"):
        result = script(ScriptedHandler(stop_at=2), code, RANK=rank)
        assert result.stderr.count("stopped early") == (rank == "0")
        assert (result.returncode, "Traceback" in result.stderr) == (0, False)


@pytest.mark.parametrize("block", ["with lightsweep.init() as run:\n    ", "run = lightsweep.init()\n"])
def test_a_rank_that_is_stopped_without_the_others_ends_as_failed_for_its_launcher(script, block):
    code = f"import lightsweep\n{block}while True: run.log({{'val_loss': 1.0}})\nprint('goes on')\n"
    handler = ScriptedHandler(stop_at=2)
    result = script(handler, code, RANK="0", WORLD_SIZE="2")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "lightsweep: run 0007 stopped early: 0.9 is worse than 0.5 at band 3\n"
    assert the_finish(handler)["state"] == "pruned"
    assert script(ScriptedHandler(stop_at=2), code, RANK="0", WORLD_SIZE="1").returncode == 0


def test_the_line_of_a_stopped_run_reaches_stderr_while_another_hook_collects_it(script):
    """As the hook of torch.distributed does, which is installed after ``init``."""
    result = script(
        ScriptedHandler(stop_at=1),
        """
        import io, sys, lightsweep
        lightsweep.init()
        before = sys.excepthook
        def collect(*arguments):
            old, sys.stderr = sys.stderr, io.StringIO()
            try:
                before(*arguments)
            finally:
                sys.stderr = old
        sys.excepthook = collect
        lightsweep.log({"val_loss": 1.0})
        """,
    )
    assert result.stderr == "lightsweep: run 0007 stopped early: 0.9 is worse than 0.5 at band 3\n"
    assert result.returncode == 0


def test_a_script_that_ends_without_a_word_has_finished(script, handler):
    result = script(handler, "import lightsweep\nlightsweep.init()\nlightsweep.log({'val_loss': 1})\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert the_finish(handler) == {"state": "finished", "error": None, "unread": []}


@pytest.mark.parametrize("order", [("lightsweep.init()", HOOK), (HOOK, "lightsweep.init()")])
def test_an_exception_counts_beside_the_hook_of_another_library(script, handler, order):
    result = script(handler, "import sys, lightsweep\n" + "\n".join([*order, "raise ValueError('no data')"]))
    assert result.stdout == "hook: ValueError\n"
    assert the_finish(handler)["state"] == "failed"


@pytest.mark.parametrize(
    ("code", "state", "error"), [(0, "finished", None), (3, "failed", "SystemExit: 3 (train.py:3)")]
)
def test_sys_exit_in_a_with_block_counts_by_its_code(script, handler, code, state, error):
    result = script(handler, f"import lightsweep, sys\nwith lightsweep.init():\n    sys.exit({code})\n")
    assert result.returncode == code
    assert the_finish(handler)["state"] == state
    assert the_finish(handler)["error"] == error


@pytest.mark.parametrize("block", ["with lightsweep.init():\n    ", "lightsweep.init()\n"])
def test_nothing_is_said_about_a_keyboard_interrupt(script, handler, block):
    result = script(handler, f"import lightsweep\n{block}raise KeyboardInterrupt\n")
    assert result.returncode != 0
    assert len(handler.starts) == 1
    assert handler.finishes == []


def test_finish_with_an_exit_code_is_a_failure_and_the_first_word_counts(script, handler):
    script(handler, "import lightsweep\nlightsweep.init()\nlightsweep.finish(exit_code=2)\nlightsweep.finish()\n")
    assert the_finish(handler)["state"] == "failed"
    assert the_finish(handler)["error"] == "exit code 2"


def test_a_fork_leaves_the_run_to_its_parent(script, handler):
    result = script(
        handler,
        """
        import multiprocessing, os, lightsweep

        def work(worker):
            for _ in range(200):
                lightsweep.log({"worker": worker})

        run = lightsweep.init()
        run.log({"parent": 0})
        children = [multiprocessing.get_context("fork").Process(target=work, args=(i,)) for i in range(3)]
        for child in children:
            child.start()
        for _ in range(200):
            run.log({"parent": 1})
        for child in children:
            child.join()
        pid = os.fork()
        if pid == 0:
            raise SystemExit(0)  # runs the exit handlers, in the child
        os.waitpid(pid, 0)
        run.log({"parent": 2})
        print([child.exitcode for child in children])
        """,
        PYTHONWARNINGS="ignore::DeprecationWarning",  # Python 3.12 warns of a fork beside the watch
    )
    assert (result.stdout, result.stderr) == ("[0, 0, 0]\n", "")
    assert len(handler.logs) == 802
    assert handler.logs[-1]["metrics"] == {"parent": 2}
    assert the_finish(handler)["state"] == "finished"


@pytest.mark.parametrize(
    ("line", "arguments", "unread"),
    [
        ("run.config.model.hidden", [], ["lr", "model.depth"]),
        ("pass", [], ["lr", "model.depth", "model.hidden"]),
        ("pass", ["--lr=0.1"], None),  # it may have read them there
        ("run.config.get('epochs')", ["--lr=0.1"], ["lr", "model.depth", "model.hidden"]),
    ],
)
def test_swept_parameters_that_are_never_read_are_named(script, line, arguments, unread):
    values = {"lr": 0.1, "model": {"hidden": 8, "depth": 2}}
    handler = ScriptedHandler(values, swept=("lr", "model.depth", "model.hidden"))
    script(handler, f"import lightsweep\nwith lightsweep.init() as run:\n    {line}\n", *arguments)
    assert the_finish(handler)["unread"] == unread


@pytest.mark.parametrize("block", ["with lightsweep.init():", "if lightsweep.init():"])
@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("raise ValueError('no data')", "ValueError: no data"),
        ("lightsweep.config.rate", "AttributeError: the config has no 'rate'. It has: nothing"),
        ("json.loads('')", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_an_exception_is_a_failure_with_the_last_line_of_the_users_own_code(script, handler, block, line, error):
    result = script(handler, f"import json, lightsweep\n{block}\n    {line}\n")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert the_finish(handler)["state"] == "failed"
    assert the_finish(handler)["error"] == f"{error} (train.py:3)"


def test_other_ranks_get_the_config_and_only_tell_of_their_failures(script):
    handler = ScriptedHandler({"lr": 0.1}, stop_at=1)
    result = script(
        handler,
        """
        import lightsweep
        with lightsweep.init() as run:
            run.log({"val_loss": 1})
            print(run.rank, run.config.lr, run.report({"val_loss": 1}).stop)
        """,
        RANK="2",
    )
    assert result.stdout == "2 0.1 False\n"
    assert (handler.logs, handler.finishes) == ([], [])
    script(handler, "import lightsweep\nwith lightsweep.init():\n    raise ValueError('nan')\n", RANK="2")
    assert the_finish(handler)["error"] == "rank 2: ValueError: nan (train.py:3)"

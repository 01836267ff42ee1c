"""``init()``: find the agent, send it the defaults, and make the run."""

from __future__ import annotations

import atexit
import sys
from types import TracebackType
from typing import Any

from lightsweep.channel.connection import Connection
from lightsweep.channel.messages import StartReply
from lightsweep.client.current import Scope, scope
from lightsweep.client.processes import AgentWatch, rank
from lightsweep.client.run import Run, cut_loaders
from lightsweep.client.run_config import as_json, as_mapping, merged
from lightsweep.errors import AgentLostError, RunPruned, UsageError, closest

_WANDB_KEYWORDS = """
    allow_val_change anonymous config_exclude_keys config_include_keys dir entity force fork_from group id job_type
    magic mode monitor_gym name notes project reinit resume resume_from save_code settings sync_tensorboard tags
    tensorboard
"""
WANDB_KEYWORDS = frozenset(_WANDB_KEYWORDS.split())


def guard(run: Run) -> None:
    """End ``run`` when this process ends.

    An uncaught ``RunPruned`` becomes one line and exit code 0, ``AgentLostError`` one line and exit code 1; other
    exceptions go to the hook that was installed before.
    """
    before = sys.excepthook

    def at_exception(kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
        error = run.cause(raised)
        run.close(error)
        if isinstance(error, RunPruned):
            if run.rank == 0:
                _print_line(f"lightsweep: run {run.id} stopped early: {error.reason}")
            raise SystemExit(0)
        if isinstance(error, AgentLostError):
            print(f"lightsweep: {error}", file=sys.stderr)
            return
        before(kind, raised, trace)

    def at_exit() -> None:
        # if another library has replaced the hook, the interpreter still remembers the uncaught exception
        run.close(getattr(sys, "last_value", None))

    sys.excepthook = at_exception
    atexit.register(at_exit)
    run.on_end(lambda: atexit.unregister(at_exit))


def _print_line(text: str) -> None:
    """Print a whole line: tqdm, if the script uses it, first removes its bars."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is None:
        print(text, file=sys.stderr)
    else:
        tqdm.write(text, file=sys.stderr)


def init(config: Any = None, **wandb_keywords: Any) -> Run:
    """Start the run of this process, and return it; usable as a context manager.

    Under an agent, and inside of a training function, the run's config holds the sweep's values over the defaults.
    Elsewhere it is a plain run with the defaults, so that the script also works without an agent. While a run of a
    sweep is active, a second call returns that run; a plain run is finished first.

    Args:
        config: Defaults: a dict, an ``argparse.Namespace`` or a dataclass, possibly nested.
        wandb_keywords: Every keyword of ``wandb.init`` is accepted. The run keeps the labels (``name``, ``tags``,
            ``notes``, ``group``, ``job_type``, ``project``, ``entity``); the others are ignored.

    Raises:
        TypeError: ``wandb.init`` has no such keyword either.
        UsageError: ``config`` is of another type, or the run of this process has ended.
        AgentLostError: The agent that the environment names is gone.
    """
    for name in wandb_keywords:
        if name not in WANDB_KEYWORDS:
            raise TypeError(
                f"init() got an unexpected keyword argument {name!r}{closest(name, {'config', *WANDB_KEYWORDS})}"
            )
    defaults = as_mapping(config)
    here = scope()
    if here.run is not None:
        if here.run.active and here.run.ended:
            raise UsageError(f"run {here.run.id} of this process has ended: each run starts the script anew")
        if here.run.active:
            here.run.config.setdefaults(defaults)
            here.run.take_keywords(wandb_keywords)
            return here.run
        here.run.finish()
    here.run = _start(here, defaults)
    here.run.take_keywords(wandb_keywords)
    return here.run


def _start(here: Scope, defaults: dict[Any, Any]) -> Run:
    connection = None if here.handler is not None else Connection.from_environment()
    agent = connection or here.handler
    if agent is None:
        return Run(None, StartReply(), defaults)
    reply = agent.start({"defaults": as_json(defaults)})
    config = merged(defaults, reply.config)
    run = Run(agent, reply, config, rank=rank(), arguments_matter=connection is not None and len(sys.argv) > 1)
    if run.smoke:
        cut_loaders(run.smoke_steps)
        run.on_end(run.leave_loaders_whole)
    if connection is not None:
        guard(run)
        watch = AgentWatch(connection)
        run.on_end(lambda: watch.close(lost=run.lost))
        run.on_end(connection.close)
    return run

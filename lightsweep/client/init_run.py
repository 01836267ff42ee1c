"""``init()``: find the agent, send it the defaults, and make the run."""

from __future__ import annotations

import atexit
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from lightsweep.channel.connection import Connection
from lightsweep.channel.messages import StartReply, StartRequest
from lightsweep.client.current import Scope, current_run, scope
from lightsweep.client.history import begin_attempt
from lightsweep.client.loaders import cut_loaders
from lightsweep.client.parts import Part, begins_again, set_apart
from lightsweep.client.processes import AgentWatch, end_workers, name_workers, rank, several
from lightsweep.client.run import Run
from lightsweep.client.run_config import RunConfig, as_json, as_mapping, merged
from lightsweep.errors import AgentLostError, RunPruned, closest
from lightsweep.hyperband import Verdict

_WANDB_KEYWORDS = """
    allow_val_change anonymous config_exclude_keys config_include_keys dir entity force fork_from group id job_type
    magic mode monitor_gym name notes project reinit resume resume_from save_code settings sync_tensorboard tags
    tensorboard
"""
WANDB_KEYWORDS = frozenset(_WANDB_KEYWORDS.split())


def guard(run: Run) -> None:
    """End ``run`` when this process ends.

    An uncaught ``RunPruned`` becomes one line and exit code 0 (1 in a rank that was stopped without the others),
    ``AgentLostError`` one line and exit code 1; other exceptions go to the hook that was installed before. If the run
    has failed or was pruned, no process of ``multiprocessing`` that the script has started keeps this one from ending;
    else a line says that this process waits for them, as Python does at its exit.
    """
    before = sys.excepthook

    def at_exception(kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
        error = run.cause(raised)
        run.ends_all = run.leaves_others(error)
        if not run.ends_all:
            run.close(error)
        if isinstance(error, RunPruned):
            if run.rank == 0:
                _print_line(f"lightsweep: run {run.number} stopped early: {error.reason}")
            if not run.inherited:
                end_workers()
            raise SystemExit(int(run.ends_all))  # without an agent that ends them, launchers do if one has failed
        if isinstance(error, AgentLostError):
            _print_line(f"lightsweep: {error}")
            return
        before(kind, raised, trace)
        if not run.inherited and not isinstance(error, KeyboardInterrupt):
            end_workers()

    def at_end() -> None:
        if run.cut_short:
            atexit.register(end_workers)

    sys.excepthook = at_exception
    _end_at_exit(run, then=lambda: end_workers() if run.cut_short else name_workers(run.number))
    run.on_end(at_end)


def _hook_lost() -> None:
    """Make one line of an uncaught ``AgentLostError``, also of a script whose agent was gone before its run began."""
    before = sys.excepthook

    def at_exception(kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
        if isinstance(raised, AgentLostError):
            _print_line(f"lightsweep: {raised}")
        else:
            before(kind, raised, trace)

    sys.excepthook = at_exception


def _end_at_exit(run: Run, then: Callable[[], None] = lambda: None) -> None:
    def at_exit() -> None:
        if run.ends_all:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            run.close(None)
            return
        # if another library has replaced the hook, the interpreter still remembers the uncaught exception
        run.close(getattr(sys, "last_value", None))
        if not run.inherited:
            then()

    atexit.register(at_exit)
    run.on_end(lambda: atexit.unregister(at_exit))


def _print_line(text: str) -> None:
    """Print a whole line on stderr: tqdm, if the script uses it, first removes its bars."""
    # The hook of torch.distributed collects the text of ours, and loses it if ours raises SystemExit.
    stream = sys.__stderr__ if type(sys.stderr) is io.StringIO else sys.stderr
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is None:
        print(text, file=stream)
    else:
        tqdm.write(text, file=stream)


def init(config: Any = None, **wandb_keywords: Any) -> Run:
    """Start the run of this process, and return it; usable as a context manager.

    Under an agent, and inside of a training function, the run's config holds the sweep's values over the defaults.
    Elsewhere it is a plain run with the defaults, so that the script also works without an agent. While a run of a
    sweep is active, a second call returns that run; a plain run is finished first.

    Further calls can make *parts* of a sweep's run, as for the folds of a cross-validation. A part has a config, a name
    and a directory of its own, and the sweep compares the run without it. A call makes a part

    - in another process of the run than the first that called ``init``: with ``group`` or ``job_type``;
    - in the first: with ``group`` or ``job_type``, or if the run has logged its metric; while the run is active, with
      ``reinit=True`` too.

    ``id=run.id`` returns to the run, also after its end; so does ``name=run.name`` if it has ended before it logged its
    metric.

    Args:
        config: Defaults: a dict, an ``argparse.Namespace`` or a dataclass, possibly nested. Of a part: its values, over
            those of the run.
        wandb_keywords: Every keyword of ``wandb.init`` is accepted. The run keeps the labels (``name``, ``tags``,
            ``notes``, ``group``, ``job_type``, ``project``, ``entity``); those that are not named here are ignored.

    Raises:
        TypeError: ``wandb.init`` has no such keyword either.
        UsageError: ``config`` is of another type.
        AgentLostError: The agent that the environment names is gone.
    """
    for name in wandb_keywords:
        if name not in WANDB_KEYWORDS:
            raise TypeError(
                f"init() got an unexpected keyword argument {name!r}{closest(name, {'config', *WANDB_KEYWORDS})}"
            )
    defaults = as_mapping(config)
    here = scope()
    run = _run_for(here, defaults, wandb_keywords)
    run.take_keywords(wandb_keywords)
    return run


def _run_for(here: Scope, defaults: dict[Any, Any], keywords: dict[str, Any]) -> Run:
    """Return the run, or the part of it, that a call of ``init`` begins or returns to."""
    if here.answer is None:
        if here.run is not None:
            here.run.finish()  # a plain run
        return _start(here, defaults, keywords)
    if (keywords.get("id") or None) in (here.answer.id, here.answer.number) or _named_again(here.run, keywords):
        if here.part is not None:
            here.part.finish()
        here.replacing = None
        keywords = {}
    elif _makes_part(here, keywords):
        return _begin_part(here, here.answer, defaults, keywords)
    known = current_run()
    if known is None:
        return _start(here, defaults, keywords)
    known.config.setdefaults(defaults)
    return known


def _named_again(run: Run | None, keywords: dict[str, Any]) -> bool:
    """Tell whether ``init`` names a run that has ended before it logged its metric.

    Hugging Face's search ends the run of each trial when training begins, and begins it again by its name.
    """
    return run is not None and run.ended and not run.reported and keywords.get("name") == run.name


def _makes_part(here: Scope, keywords: dict[str, Any]) -> bool:
    """Tell whether ``init`` makes a part, in a process that has a run of a sweep, or parts of one."""
    if here.part is not None and not here.part.ended:
        return begins_again(keywords)
    run, apart = here.run, set_apart(keywords)
    if run is None:
        return True
    if rank() or several():
        return False
    if run.inherited and not run.ended:
        return apart
    complete = apart or run.reported
    return complete if run.ended else begins_again(keywords) and complete


def _start(here: Scope, defaults: dict[Any, Any], keywords: dict[str, Any]) -> Run:
    connection = None if here.handler is not None else Connection.from_environment()
    agent = connection or here.handler
    if agent is None:
        here.run = Run(None, StartReply(), defaults)
        return here.run
    message = StartRequest(defaults=as_json(defaults))
    mine = rank()
    if connection is not None and mine == 0:
        message["process"] = os.getpid()
    try:
        here.answer = reply = agent.start(message)
    except AgentLostError:
        _hook_lost()
        raise
    if not reply.first and mine == 0 and set_apart(keywords) and not several():
        return _begin_part(here, reply, defaults, keywords)
    if reply.resumed and reply.first and mine == 0:
        begin_attempt(Path(reply.dir))
    config = merged(defaults, reply.config)
    argued = connection is not None and len(sys.argv) > 1
    run = Run(agent, reply, config, first=reply.first, arguments_matter=argued)
    if here.run is not None:
        run.follow(here.run)
    if run.smoke:
        cut_loaders(run.smoke_steps)
        run.on_end(run.leave_loaders_whole)
    if connection is not None:
        guard(run)
        watch = AgentWatch(connection)
        run.on_end(lambda: watch.close(lost=run.lost))
        run.on_end(connection.close)
    here.run, here.part = run, None
    return run


def _begin_part(here: Scope, answer: StartReply, defaults: dict[Any, Any], keywords: dict[str, Any]) -> Run:
    """Begin a part of the run, beside the run or in a process of its own."""
    run = here.run
    if here.part is not None and keywords.get("reinit") != "create_new":
        here.part.finish()
    connection = None
    if run is None or run.inherited:
        connection = Connection.from_environment()
        here.run = None
    replacing = run is not None and run.ended and run.reported and not run.cut_short and not run.inherited
    if run is not None and not run.inherited and here.part is None and (replacing or not set_apart(keywords)):
        counts = "if the script ends without init(id=run.id), the last such part counts, as with W&B"
        print(
            f"lightsweep: run {answer.number or answer.id} has its metric, so this init() begins a part of it\n"
            f"lightsweep: {counts if replacing else 'the sweep does not compare what a part logs'}",
            file=sys.stderr,
        )
    handler = Part(
        answer,
        keywords,
        stopped=lambda: Verdict() if run is None else run.known_verdict,
        agent=connection,
    )
    if replacing:
        if here.handler is None and here.replacing is None:
            atexit.register(here.settle)
        here.replacing = handler
    config = RunConfig(answer.config)
    config.update(defaults, allow_val_change=True)
    part = Run(handler, handler.reply, config.as_dict(), keeps_history=False)
    if part.smoke:
        cut_loaders(part.smoke_steps)
    _end_at_exit(part)
    if connection is not None:
        part.on_end(connection.close)
    if run is None or run.inherited or keywords.get("reinit") != "create_new":
        here.part = part
    return part

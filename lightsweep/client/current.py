"""The current run of this process, and the functions of the package that act on it: ``config``, ``log``, ``finish``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lightsweep.channel.connection import Connection, InProcess
from lightsweep.channel.messages import Handler, StartReply
from lightsweep.client.parts import Part
from lightsweep.client.run import Run
from lightsweep.client.run_config import RunConfig
from lightsweep.errors import LightsweepError, UsageError

# The names that users have from the package; the others serve this room.
__all__ = ["alert", "define_metric", "finish", "log", "login", "save", "unwatch", "watch"]


class Scope:
    """The home of one run at a time: the process, or one call of a training function.

    Attributes:
        handler: The agent's handler in this process; ``None`` if an agent is only reached by its socket.
        run: The latest run; in a process of a run that only has parts of it, the latest part.
        part: The latest part of ``run``, see `lightsweep.client.parts`.
        answer: What the agent has answered for the run; ``None`` without an agent.
        replacing: The part that counts instead of ``run``, if the script does not return to the run.
    """

    def __init__(self, handler: InProcess | None = None) -> None:
        self.handler = handler
        self.run: Run | None = None
        self.part: Run | None = None
        self.answer: StartReply | None = None
        self.replacing: Part | None = None

    def settle(self) -> None:
        """Let the last part count, if one is to replace the run; errors of the connection are printed, not raised."""
        replacing, self.replacing = self.replacing, None
        if replacing is None:
            return
        connection = None if self.handler is not None else Connection.from_environment()
        agent = connection or self.handler
        try:
            if agent is not None:
                replacing.replace_the_run(agent)
        except LightsweepError as problem:
            print(f"lightsweep: {problem}", file=sys.stderr)
        finally:
            if connection is not None:
                connection.close()


_process = Scope()
_calls: list[Scope] = []
_call: ContextVar[Scope | None] = ContextVar("lightsweep_call", default=None)


def scope() -> Scope:
    """Return the scope of this thread's training function, else that of the latest function, else the process's.

    The second is for threads that a training function has started.
    """
    return _call.get() or (_calls[-1] if _calls else _process)


@contextmanager
def serving(handler: Handler) -> Iterator[None]:
    """Let ``handler`` serve the run that ``init()`` starts inside of the block, in this process.

    The end of the block ends its run: as finished, or in the state that the exception implies. The exception is raised
    again, ``RunPruned`` too. Blocks in several threads are independent; a thread that is started in a block belongs to
    the block that was entered last.

    Raises:
        LightsweepError: The handler refuses the end of the run.
    """
    call = Scope(InProcess(handler))
    token = _call.set(call)
    _calls.append(call)
    try:
        yield
        for run in (call.part, call.run):
            if run is not None:
                run.finish()
        call.settle()
    except BaseException as error:
        for run in (call.part, call.run):
            if run is not None:
                run.close(error)
        raise
    finally:
        _calls.remove(call)
        _call.reset(token)


def current_run() -> Run | None:
    """Return the run, or the part of it, that ``init()`` has started last and that has not ended."""
    here = scope()
    return next((run for run in (here.part, here.run) if run is not None and not run.ended), None)


def current_config() -> RunConfig | ConfigProxy:
    """Return the config of the current run; without one a proxy that looks for the run at each use."""
    run = current_run()
    return ConfigProxy() if run is None else run.config


def log(
    metrics: Mapping[str, Any] | None = None,
    step: int | None = None,
    commit: bool | None = None,
    sync: Any = None,
    *,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Call ``run.log`` of the current run. Raises ``UsageError`` without one."""
    demand("log").log(metrics, step, commit, sync, data=data)


def finish(exit_code: int | None = 0, quiet: Any = None) -> None:
    """Call ``run.finish`` of the current run, if there is one. ``quiet`` is accepted and ignored."""
    del quiet
    run = current_run()
    if run is not None:
        run.finish(exit_code)


def demand(name: str) -> Run:
    """Return the current run for ``lightsweep.NAME``. Raises ``UsageError`` without one."""
    run = current_run()
    if run is None:
        raise UsageError(f"lightsweep.{name} needs an active run: call lightsweep.init() first")
    return run


def _forwarded(name: str) -> Callable[..., Any]:
    """Make the method ``name`` of the current config."""
    return lambda _, *arguments: getattr(demand("config").config, name)(*arguments)


class ConfigProxy:
    """``lightsweep.config`` as imported before ``init()``: at each use the config of the current run.

    Raises ``UsageError`` if it is used without a run.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(demand("config").config, name)

    def __repr__(self) -> str:
        run = current_run()
        return "<lightsweep.config: no run is active>" if run is None else repr(run.config)

    __setattr__ = _forwarded("__setattr__")
    __getitem__ = _forwarded("__getitem__")
    __setitem__ = _forwarded("__setitem__")
    __contains__ = _forwarded("__contains__")
    __iter__ = _forwarded("__iter__")
    __len__ = _forwarded("__len__")
    __reduce__ = _forwarded("__reduce__")


def watch(*_: Any, **__: Any) -> None:
    """Do nothing; accepted for scripts written for W&B."""


def login(*_: Any, **__: Any) -> bool:
    """Return True, as sweeps need no account; accepted for scripts written for W&B."""
    return True


unwatch = watch


def of_the_run(name: str, *, otherwise: Callable[[], Any] | None = None) -> Callable[..., Any]:
    """Make the function that calls the method ``name`` of the current run.

    Args:
        name: The method.
        otherwise: Gives what the function returns without a run; by default it raises ``UsageError``.
    """

    def call(*arguments: Any, **keywords: Any) -> Any:
        run = current_run()
        if run is None and otherwise is not None:
            return otherwise()
        return getattr(run or demand(name), name)(*arguments, **keywords)

    without = "raises ``UsageError`` without one" if otherwise is None else "does nothing without one"
    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Call ``run.{name}`` of the current run; {without}."
    return call


define_metric = of_the_run("define_metric", otherwise=lambda: None)
save = of_the_run("save", otherwise=list)
alert = of_the_run("alert", otherwise=lambda: None)

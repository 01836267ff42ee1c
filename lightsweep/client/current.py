"""The current run of this process, and what the package offers on it: ``config``, ``log``, ``finish``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lightsweep.channel import Handler
from lightsweep.client.run import Run
from lightsweep.client.run_config import RunConfig
from lightsweep.errors import UsageError

__all__ = ["ConfigProxy", "Scope", "current_config", "current_run", "finish", "log", "scope", "serving"]


class Scope:
    """Where one run at a time lives: the process, or one call of a training function.

    Attributes:
        handler: Who answers in this process; ``None`` where an agent is reached by its socket, if at all.
        run: The run that was started last.
    """

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler
        self.run: Run | None = None


_process = Scope()
_calls: list[Scope] = []
_call: ContextVar[Scope | None] = ContextVar("lightsweep_call", default=None)


def scope() -> Scope:
    """The training function's that this thread is in, else the latest one's (in a thread that it started), else the
    process's."""
    return _call.get() or (_calls[-1] if _calls else _process)


@contextmanager
def serving(handler: Handler) -> Iterator[None]:
    """Let ``init()`` inside of the block be answered by ``handler``, in this process.

    At the end of the block its run is over: finished, or what the exception makes of it. The exception goes on,
    ``RunPruned`` too. Blocks in several threads do not disturb each other; a thread that a block starts belongs to
    the block entered last.

    Raises:
        LightsweepError: The handler refuses the end of the run.
    """
    call = Scope(handler)
    token = _call.set(call)
    _calls.append(call)
    try:
        yield
    except BaseException as error:
        if call.run is not None:
            call.run.close(error)
        raise
    else:
        if call.run is not None:
            call.run.finish()
    finally:
        _calls.remove(call)
        _call.reset(token)


def current_run() -> Run | None:
    """The run that ``init()`` has started and that is not over."""
    run = scope().run
    return None if run is None or run.ended else run


def current_config() -> RunConfig | ConfigProxy:
    """The current run's config; without a run a stand-in that becomes it."""
    run = current_run()
    return ConfigProxy() if run is None else run.config


def log(metrics: Mapping[str, Any], step: int | None = None, commit: Any = None, sync: Any = None) -> None:
    """``run.log`` of the current run. Raises ``UsageError`` without one."""
    _demand("log").log(metrics, step, commit, sync)


def finish(exit_code: int | None = 0, quiet: Any = None) -> None:
    """``run.finish`` of the current run; does nothing without one. ``quiet`` is accepted and ignored."""
    del quiet
    run = current_run()
    if run is not None:
        run.finish(exit_code)


def _demand(name: str) -> Run:
    run = current_run()
    if run is None:
        raise UsageError(f"lightsweep.{name} belongs to a run, and none is active: call lightsweep.init() first")
    return run


class ConfigProxy:
    """``lightsweep.config`` as imported before ``init()``: the config of whatever run is current when it is used.

    Raises ``UsageError`` for any use without a run.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_demand("config").config, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_demand("config").config, name, value)

    def __getitem__(self, key: str) -> Any:
        return _demand("config").config[key]

    def __setitem__(self, key: str, value: Any) -> None:
        _demand("config").config[key] = value

    def __contains__(self, key: object) -> bool:
        return key in _demand("config").config

    def __iter__(self) -> Iterator[str]:
        return iter(_demand("config").config)

    def __len__(self) -> int:
        return len(_demand("config").config)

    def __reduce__(self) -> tuple[Any, ...]:
        return _demand("config").config.__reduce__()

    def __repr__(self) -> str:
        run = current_run()
        return "<lightsweep.config: no run is active>" if run is None else repr(run.config)

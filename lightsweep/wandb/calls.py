"""The functions of ``wandb`` that act on the current run, print, or do nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from lightsweep.client.current import current_run, finish
from lightsweep.errors import UsageError

_said: set[str] = set()


class _Summary:
    """``wandb.summary`` as found before ``init()``: at each use the summary of the current run."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_demand("summary").summary, name)

    def __getitem__(self, name: str) -> Any:
        return _demand("summary").summary[name]

    def __setitem__(self, name: str, value: Any) -> None:
        _demand("summary").summary[name] = value


summary: Any
"""The summary of the current run."""


def __getattr__(name: str) -> Any:
    if name == "summary":  # another one for each run
        run = current_run()
        return _Summary() if run is None else run.summary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _demand(name: str) -> Any:
    run = current_run()
    if run is None:
        raise UsageError(f"lightsweep.{name} needs an active run: call lightsweep.init() first")
    return run


def _of_the_run(name: str) -> Callable[..., Any]:
    """Make the function that calls the method ``name`` of the current run."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        return getattr(_demand(name), name)(*arguments, **keywords)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Call ``run.{name}`` of the current run; raises ``UsageError`` without one."
    return call


log_artifact = _of_the_run("log_artifact")
use_artifact = _of_the_run("use_artifact")
link_artifact = _of_the_run("link_artifact")
log_model = _of_the_run("log_model")
use_model = _of_the_run("use_model")
link_model = _of_the_run("link_model")
restore = _of_the_run("restore")
log_code = _of_the_run("log_code")
mark_preempting = _of_the_run("mark_preempting")


def join(exit_code: int | None = 0) -> None:
    """End the current run, if there is one."""
    finish(exit_code)


def teardown(exit_code: int | None = 0) -> None:
    """End the current run, if there is one: there is no service to end."""
    finish(exit_code)


def setup(*_: Any, **__: Any) -> None:
    """Do nothing: no set-up is needed."""


require = ensure_configured = setup


def termlog(string: str = "", newline: bool = True, repeat: bool = True, prefix: bool = True) -> None:
    """Print a line on stderr; with ``repeat=False`` each text once only."""
    if not repeat and string in _said:
        return
    _said.add(string)
    lines = string.split("\n") if string else [""]
    text = "\n".join(f"lightsweep: {line}" if prefix else line for line in lines)
    print(text, end="\n" if newline else "", file=sys.stderr)


def termwarn(string: str, newline: bool = True, repeat: bool = True) -> None:
    """Print a warning on stderr."""
    termlog(f"WARNING {string}", newline, repeat)


def termerror(string: str, newline: bool = True, repeat: bool = True) -> None:
    """Print an error on stderr."""
    termlog(f"ERROR {string}", newline, repeat)

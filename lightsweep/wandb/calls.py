"""The functions of ``wandb`` that act on the current run, print, or do nothing."""

from __future__ import annotations

import sys
from typing import Any

from lightsweep.client.current import current_run, demand, finish, of_the_run

_said: set[str] = set()


class _Summary:
    """``wandb.summary`` as found before ``init()``: at each use the summary of the current run."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(demand("summary").summary, name)

    def __getitem__(self, name: str) -> Any:
        return demand("summary").summary[name]

    def __setitem__(self, name: str, value: Any) -> None:
        demand("summary").summary[name] = value


summary: Any
"""The summary of the current run."""


def __getattr__(name: str) -> Any:
    if name == "summary":  # another one for each run
        run = current_run()
        return _Summary() if run is None else run.summary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


log_artifact = of_the_run("log_artifact")
use_artifact = of_the_run("use_artifact")
link_artifact = of_the_run("link_artifact")
log_model = of_the_run("log_model")
use_model = of_the_run("use_model")
link_model = of_the_run("link_model")
restore = of_the_run("restore")
log_code = of_the_run("log_code")
mark_preempting = of_the_run("mark_preempting")


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

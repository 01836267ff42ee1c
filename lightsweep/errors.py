"""Every exception that lightsweep raises on purpose.

LightsweepError                     exit code 1: the work failed
├── InputError                      exit code 2: the input is wrong; correct it
│   ├── ConfigError                 a sweep config has mistakes; the error holds all of them
│   ├── NotFoundError               a sweep, run or file does not exist
│   ├── CommandError                a command line cannot be built from the config
│   ├── StorageError                a storage cannot be opened or used: another schema, no permission
│   └── UsageError                  a call of the Python API has no meaning
├── StorageUnavailableError         the database does not answer: try again later
├── AgentLostError                  the agent of this run has ended: end the run
└── RunPruned                       the verdict on this run is to stop: leave the training loop
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class LightsweepError(Exception):
    """The root of all errors of lightsweep; ``exit_code`` is the exit status of a command that fails with it."""

    exit_code = 1


class InputError(LightsweepError):
    """The input of the user is wrong; the message names the rule, the value received and the remedy."""

    exit_code = 2


class Fault(NamedTuple):
    """A mistake in a sweep config.

    Attributes:
        message: The rule, the value received and the remedy, in one sentence or two.
        where: The path of the key in the config, such as ``parameters.lr.min``; empty for the whole config.
        file: The name of the file; ``None`` for a config given as a dict.
        line: The line in ``file``, from 1; ``None`` if it is not known.
        column: The column in ``file``, from 1; ``None`` if it is not known.
    """

    message: str
    where: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return ": ".join(part for part in (place, self.where, self.message) if part)


class ConfigError(InputError):
    """A sweep config has mistakes; ``faults`` holds all of them, in the order of the file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class NotFoundError(InputError):
    """A sweep, run or file does not exist; the message names the place that was searched."""


class CommandError(InputError):
    """A command line cannot be built or started: an environment variable is not set, or the program does not exist."""


class StorageError(InputError):
    """A storage cannot be opened or used: no driver, no permission, another schema. The message shows no password."""


class UsageError(InputError):
    """A call of the Python API has no meaning, such as an assignment to a config that is read-only."""


class StorageUnavailableError(LightsweepError):
    """The database does not answer, but it did before: try again later."""


class AgentLostError(LightsweepError):
    """The agent of this run has ended, so nothing more of the run would be recorded: end the run."""


class RunPruned(LightsweepError):  # noqa: N818 - a verdict, not an error; the name that users of Optuna know
    """Raised inside the training loop when early termination stops the run.

    Attributes:
        reason: The verdict in words and numbers: band, value, threshold, how many runs were compared.
    """

    exit_code = 0

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


Error = LightsweepError
"""W&B's name of the root."""

CommError = NotFoundError
"""W&B's name of the error that its ``Api`` raises."""


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``"; did you mean 'x'?"`` with the known word that is most like ``word``, or an empty string.

    ``cutoff``, up to 1, is the least similarity: higher if ``word`` is probably not a misspelling.
    """
    import difflib  # here, since every training script would load it

    lowered = {name.lower(): name for name in known}
    match = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=cutoff)
    return f"; did you mean {lowered[match[0]]!r}?" if match else ""


def absent(owner: str, name: str, known: Iterable[str], shown: Sequence[str] = ()) -> str:
    """Return the message for a name that ``owner`` does not have, but that scripts written for W&B may use.

    If no known name is like it, the message names those to use: ``shown``, by default all that are known.
    """
    public = [each for each in known if not each.startswith("_")]
    hint = closest(name, public, cutoff=0.75) or f". It is for sweeps only, and has: {', '.join(shown or public)}"
    return f"{owner} has no {name!r}{hint}"

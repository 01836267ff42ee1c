"""The parts of a run: further calls of ``init()`` in one run, such as one for each fold of a cross-validation.

The sweep compares what the run itself logs. If the run has ended with its metric before its parts, and the script never
returns to it, the last part counts instead, as with W&B: there, each call in a process is the same run.

A part has its own config, name and directory, and its numbers are kept in ``parts/N.jsonl`` of the run's directory: a
first line about the part, a line for each log, one for its end, and
one if it counts instead of the run.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from lightsweep.channel.messages import FinishRequest, Handler, LogReply, LogRequest, StartReply, StartRequest
from lightsweep.client.history import LineFile, begin_anew
from lightsweep.client.processes import several
from lightsweep.hyperband import Verdict

PARTS = "parts"
"""The directory of the parts, in that of the run."""

_AGAIN = (True, "finish_previous", "create_new")
_LABELS = ("name", "group", "job_type")
_COUNTED = ("_step", "_timestamp")
_MOST_LOGS = 1000


def set_apart(keywords: Mapping[str, Any]) -> bool:
    """Tell whether the keywords of ``init`` ask for a run beside others, as ``group`` and ``job_type`` do."""
    return bool(keywords.get("group") or keywords.get("job_type")) or keywords.get("reinit") == "create_new"


def begins_again(keywords: Mapping[str, Any]) -> bool:
    """Tell whether ``reinit`` asks for another run while one is active."""
    reinit = keywords.get("reinit")
    return isinstance(reinit, (bool, str)) and reinit in _AGAIN


class Part:
    """The handler of a part: it keeps what the part logs, and never asks to stop unless the run is to stop.

    If torch.distributed runs at a report, the process is a rank of the run's own training: the agent gets the report.

    Args:
        answer: The agent's answer for the run.
        keywords: The keywords of ``init``.
        stopped: Returns the verdict of the run, if it is known in this process.
        agent: The handler of the run; ``None`` if this process cannot reach it.

    Attributes:
        reply: The answer for the part.
    """

    def __init__(
        self,
        answer: StartReply,
        keywords: Mapping[str, Any],
        *,
        stopped: Callable[[], Verdict],
        agent: Handler | None = None,
    ) -> None:
        self._metric, self._goal = answer.metric, answer.goal
        self._state: str | None = None
        self._stopped = stopped
        self._agent = agent
        self._iterations = 0
        number, path = _new_file(Path(answer.dir).absolute() / PARTS)
        self._file = LineFile(path)
        self._home, self._path = Path(answer.dir).absolute(), path
        name = str(keywords.get("name") or f"{answer.name}-{number}")
        self.reply = answer._replace(
            id=f"{answer.id}-{number}",
            number=f"{answer.number or answer.id}-{number}",
            name=name,
            dir=str(path.with_suffix("")),
            swept=[],
            set=[],
            resumed=False,
            iterations=0,
            counted=0,
            early_terminate=False,
            checkpoint=None,
            keep_checkpoint=False,
        )
        labels = {key: str(keywords[key]) for key in _LABELS if keywords.get(key)}
        self._file.add({"part": number, **labels, "name": name, "pid": os.getpid(), "started": time.time()})

    def start(self, message: StartRequest) -> StartReply:
        """Return the answer for the part."""
        del message
        return self.reply

    def log(self, message: LogRequest) -> LogReply:
        """Keep the numbers; the verdict is that of the run."""
        if self._agent is not None and several():
            return self._agent.log(message)
        numbers = message["metrics"]
        if numbers:
            self._file.add({"log": numbers, "time": time.time()})
        value = numbers.get(self._metric) if self._metric is not None else None
        self._iterations += value is not None and math.isfinite(value)
        return LogReply(self._stopped(), self._iterations)

    def replace_the_run(self, agent: Handler) -> None:
        """Report the logs of the part as those of the run; what the run has logged itself counts no more.

        Nothing is reported if the part did not end well, or has not logged the metric. Of very many logs the last ones
        count, and the best.
        """
        rows = part_history(self._path)
        valued = [row for row in rows if math.isfinite(row.get(self._metric or "", math.nan))]
        if self._state != "finished" or not valued:
            return
        if len(rows) > _MOST_LOGS:
            better = max if self._goal == "maximize" else min
            rows = [better(valued, key=lambda row: row[str(self._metric)]), *rows[1 - _MOST_LOGS :]]
        begin_anew(self._home, rows)
        self._file.add({"counts": True})
        self._file.close()
        message = LogRequest(metrics={}, last=True, anew=True)
        for row in rows:
            agent.log({**message, "metrics": {name: row[name] for name in row if name not in _COUNTED}})
            message.pop("anew", None)

    def finish(self, message: FinishRequest) -> None:
        """Keep the end of the part."""
        if self._agent is not None and several():
            self._agent.finish(message)
        self._state = message.get("state")
        error = {"error": message["error"]} if message.get("error") else {}
        self._file.add({"end": message.get("state"), **error, "time": time.time()})
        self._file.close()


def read_parts(directory: Path) -> list[dict[str, Any]]:
    """Return the parts of the run in a directory, in order; lines that are cut off or not understood are left out.

    Each has ``part`` (its number), ``name`` and perhaps ``group`` and ``job_type``; ``metrics``, for each number
    ``{"min", "max", "last"}``; ``logs``, how often it logged; ``state``, ``None`` before its end; perhaps ``error``;
    ``started``, in seconds since 1970. The part that counts instead of the run, if there is one, has ``counts``, True.
    """
    files = [path for path in (directory / PARTS).glob("*.jsonl") if path.stem.isdecimal()]
    parts = [_read_part(path) for path in sorted(files, key=lambda path: int(path.stem))]
    for part in [part for part in parts if part.get("counts")][:-1]:  # of earlier attempts
        del part["counts"]
    return parts


def _read_part(path: Path) -> dict[str, Any]:
    part: dict[str, Any] = {"part": int(path.stem), "name": path.stem, "metrics": {}, "logs": 0, "state": None}
    for found in _parsed(path):
        part.update({key: str(found[key]) for key in _LABELS if key in found})
        if isinstance(found.get("started"), (int, float)):
            part["started"] = found["started"]
        if isinstance(numbers := found.get("log"), dict):
            part["logs"] += 1
            for name, value in numbers.items():
                if isinstance(value, (int, float)):
                    _add(part["metrics"], name, float(value))
        if "end" in found:
            part["state"] = str(found["end"])
        if found.get("counts"):
            part["counts"] = True
        if found.get("error"):
            part["error"] = str(found["error"])
    return part


def part_history(path: Path) -> list[dict[str, Any]]:
    """Return the logs of a part, in order: the numbers of each by name, with ``_step`` and ``_timestamp``."""
    rows: list[dict[str, Any]] = []
    for found in _parsed(path):
        if isinstance(numbers := found.get("log"), dict):
            values = {name: value for name, value in numbers.items() if isinstance(value, (int, float))}
            rows.append({"_step": len(rows), "_timestamp": found.get("time"), **values})
    return rows


def _parsed(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects in a file of lines; none from a file that is not there."""
    with suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    yield found


def _add(metrics: dict[str, dict[str, float]], name: str, value: float) -> None:
    stats = metrics.setdefault(name, {"min": math.inf, "max": -math.inf, "last": value})
    stats["last"] = value
    if math.isfinite(value):
        stats["min"], stats["max"] = min(stats["min"], value), max(stats["max"], value)


def _new_file(folder: Path) -> tuple[int, Path]:
    """Make the file of the next part: also if several processes do so at once, each gets one of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = folder / f"{number}.jsonl"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            continue
        return number, path
    raise AssertionError

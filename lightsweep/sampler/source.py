"""A Python file of the user's: found, loaded and called, with errors that name its lines."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from lightsweep.errors import InputError, NotFoundError, closest

__all__ = ["SourceFile"]


class SourceFile:
    """The functions of one Python file.

    Args:
        path: As written in the config.
        beside: The folder of the config, where a relative path is looked for first; then the working directory.

    Raises:
        NotFoundError: No such file.
        InputError: The file cannot be imported.
    """

    def __init__(self, path: str, beside: Path | None) -> None:
        places = [folder / path for folder in (beside, Path()) if folder is not None]
        found = next((place.resolve() for place in places if place.is_file()), None)
        if found is None:
            looked = " or ".join(str(place.resolve()) for place in places)
            raise NotFoundError(f"scheduler.source: there is no file {looked}")
        self._path = found
        self._module = self._load()

    def function(self, name: str, key: str) -> Callable[..., Any]:
        """The function ``name``; calling it turns whatever it raises into an ``InputError`` with file and line.

        Args:
            name: As written in the config.
            key: Where in the config, such as ``scheduler.optimizer``.

        Raises:
            NotFoundError: The file has no such function.
        """
        functions = {
            known
            for known, value in vars(self._module).items()
            if callable(value) and getattr(value, "__module__", None) == self._module.__name__
        }
        target = getattr(self._module, name, None)
        if not callable(target):
            has = f"it has {', '.join(sorted(functions))}" if functions else "it has no functions"
            raise NotFoundError(f"{key}: {self._path} has no function {name!r}{closest(name, functions)} ({has})")

        def call(*arguments: Any) -> Any:
            return self._guarded(f"{key}: {name}()", target, *arguments)

        return call

    def _load(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"lightsweep_source_{self._path.stem}", self._path)
        if spec is None or spec.loader is None:
            raise InputError(f"scheduler.source: {self._path} is not a Python file; its name must end in .py")
        module = importlib.util.module_from_spec(spec)
        self._guarded("scheduler.source", spec.loader.exec_module, module)
        return module

    def _guarded(self, what: str, target: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return target(*arguments)
        except InputError:
            raise
        except Exception as error:  # the user's code may raise anything, and its own line is what helps
            place = self._place(error)
            raise InputError(f"{what} failed at {place}: {type(error).__name__}: {error}") from error

    def _place(self, error: Exception) -> str:
        if isinstance(error, SyntaxError):
            return f"{error.filename}:{error.lineno}"
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self._path)]
        return f"{self._path}:{lines[-1]}" if lines else str(self._path)

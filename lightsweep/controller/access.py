"""One name for every way in which a database can fail to answer, and when it did."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from lightsweep.errors import NotFoundError, StorageUnavailableError
from lightsweep.storage import mask

__all__ = ["Contact", "translated"]


@contextmanager
def translated() -> Iterator[None]:
    """Turn the exceptions of Optuna's storage and of SQLAlchemy into those of lightsweep.

    Raises:
        StorageUnavailableError: The database does not answer.
        NotFoundError: What was asked for, a study or a trial of it, is not in the storage: Optuna's ``KeyError``.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        text = " ".join(str(getattr(cause, "orig", None) or cause).split())
        raise StorageUnavailableError(f"the storage does not answer: {mask(text)}") from error
    except KeyError as error:
        raise NotFoundError("the sweep is not in the storage; it may have been deleted") from error


class Contact:
    """When a storage answered and when it did not.

    Args:
        clock: Seconds that only go forward.

    Attributes:
        returned: When it last answered after it had not; minus infinity where it always did.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._away = False
        self.returned = -math.inf

    @contextmanager
    def asking(self) -> Iterator[None]:
        """See whether it answers; raises as :func:`translated`."""
        try:
            with translated():
                yield
        except StorageUnavailableError:
            self._away = True
            raise
        if self._away:
            self._away = False
            self.returned = self._clock()

"""One name for every way in which a database can fail to answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from lightsweep.errors import NotFoundError, StorageUnavailableError
from lightsweep.storage import mask

__all__ = ["translated"]


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

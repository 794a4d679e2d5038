"""JSON log lines on stderr, without personal data.

What may be logged is a fixed set of fields that the caller names: never a body, a header's value
or the text of an unforeseen exception, which could quote either.
"""

import logging
import sys
import traceback

import structlog
from structlog.types import FilteringBoundLogger

from models.domain import Json

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_FRAMES = 8


def open_log(level: str) -> FilteringBoundLogger:
    """Return a logger that writes one JSON object a line to stderr.

    Parameters
    ----------
    level
        debug, info, warning or error.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Stderr(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
    )
    return logger


class _Stderr:
    """Writes lines to whatever stderr is when they come; one write a line, so none is torn."""

    def msg(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    debug = info = warning = error = msg


def describe_exception(error: BaseException) -> dict[str, Json]:
    """Return an exception's class and where it was raised, without its text."""
    frames: list[Json] = [
        f"{frame.filename.rsplit('/', 2)[-2]}/{frame.filename.rsplit('/', 1)[-1]}"
        f":{frame.lineno}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    ]
    return {"exception": type(error).__name__, "frames": frames}

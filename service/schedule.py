"""A task that a thread repeats while the service runs, with back-off after failures.

The task never ends the thread, and the thread never holds up the service: closing waits for a
bounded time and then leaves a task that hangs behind.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

_FIRST_RETRY_SECONDS: Final = 5.0


class Repeated:
    """A thread that does something at its start and then again and again.

    Parameters
    ----------
    name
        Of the thread.
    task
        What to do; returns False when it failed. It raises nothing.
    every_seconds
        Between two times. After a failure it is tried again after 5 s, then 10, 20 and so on,
        and never later than this.
    """

    def __init__(self, name: str, task: Callable[[], bool], every_seconds: float) -> None:
        self._task = task
        self._every_seconds = every_seconds
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def is_ending(self) -> bool:
        """Tell whether nothing is to be begun any more."""
        return self._ends.is_set()

    def end(self) -> None:
        """Begin nothing any more."""
        self._ends.set()

    def wait(self, seconds: float) -> None:
        """Wait until the last task is done, but not longer than this."""
        self._thread.join(max(seconds, 0.0))

    def _run(self) -> None:
        failures = 0
        while not self._ends.is_set():
            failures = 0 if self._task() else failures + 1
            self._ends.wait(pause_seconds(self._every_seconds, failures))


def pause_seconds(every_seconds: float, failures: int) -> float:
    """Return how long to wait after some failures in a row.

    Examples
    --------
    >>> [pause_seconds(60.0, failures) for failures in (0, 1, 2, 5, 10_000)]
    [60.0, 5.0, 10.0, 60.0, 60.0]
    """
    if failures == 0:
        return every_seconds
    # Beyond this the period is shorter in any case; a float has its limits too.
    return min(every_seconds, _FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 30))


def end_all(tasks: Sequence[Repeated], grace_seconds: float) -> None:
    """End tasks, all of them within one time of grace."""
    for one in tasks:
        one.end()
    give_up_at = time.monotonic() + grace_seconds
    for one in tasks:
        one.wait(give_up_at - time.monotonic())

"""One writer thread: many requests, few commits.

The thread takes whatever waits, without a timer, appends it as one batch and only then resolves
the waiters: an answer never leaves before its record is durable. The queue is bounded; a full
one refuses at once. A failed batch fails its waiters and records nothing.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from audit.errors import (
    IdempotencyConflictError,
    KeyUnavailableError,
    LogDamagedError,
    StoreUnavailableError,
)
from audit.log import Appended
from audit.records import Entry
from models.errors import PlatformError
from service.errors import DeadlineError, OverloadedError

# How long the present request waited for its turn (`service.turns`), of its deadline.
WAITED_SECONDS: ContextVar[float] = ContextVar("waited_seconds", default=0.0)
# What concerns every entry alike.
_OF_THE_STORE: Final = (StoreUnavailableError, KeyUnavailableError, LogDamagedError)
Append = Callable[[Sequence[Entry]], "list[Appended | IdempotencyConflictError]"]
Observe = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    entry: Entry
    future: "Future[Appended]"


class Writer:
    """Appends entries in the order in which they came.

    Parameters
    ----------
    append
        Makes a batch durable; all of it or nothing.
    commit_max_entries
        Largest batch.
    queue_max_entries
        How many entries may wait.
    deadline_seconds
        How long a caller waits for its record, its turn before included.
    on_commit
        Told the size of each batch that became durable.
    """

    def __init__(
        self,
        append: Append,
        *,
        commit_max_entries: int,
        queue_max_entries: int,
        deadline_seconds: float,
        on_commit: Observe,
    ) -> None:
        self._append = append
        self._commit_max = commit_max_entries
        self._queue_max = queue_max_entries
        self._deadline_seconds = deadline_seconds
        self._on_commit = on_commit
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._commit_began: float | None = None
        self._failed: tuple[float, PlatformError] | None = None
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def depth(self) -> int:
        """Return how many entries wait."""
        return len(self._waiting)

    def stalled_seconds(self) -> float:
        """Return how long the commit under way has taken; 0 when there is none."""
        began = self._commit_began
        return 0.0 if began is None else time.monotonic() - began

    def recent_failure(self, seconds: float) -> PlatformError | None:
        """Return why the last commit failed, if it did and that is not longer ago."""
        failed = self._failed
        is_recent = failed is not None and time.monotonic() - failed[0] < seconds
        return failed[1] if failed is not None and is_recent else None

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def record(self, entries: Sequence[Entry]) -> "list[Appended | PlatformError]":
        """Append entries and wait until they are durable.

        Returns
        -------
        list
            For each entry, in order, where it is in the log, or why it was not recorded.

        Raises
        ------
        OverloadedError
            When the queue has no room within the deadline (at once for a single entry), or the
            service is stopping.
        """
        deadline = time.monotonic() + self._deadline_seconds - WAITED_SECONDS.get()
        room_by = deadline if len(entries) > 1 else 0.0
        return [self._result(future, deadline) for future in self._submit(entries, room_by)]

    def record_one(self, entry: Entry) -> Appended:
        """Append one entry and wait until it is durable.

        Raises
        ------
        IdempotencyConflictError, StoreUnavailableError, OverloadedError, DeadlineError
            When it was not recorded, or not within the deadline.
        """
        result = self.record([entry])[0]
        if isinstance(result, PlatformError):
            raise result
        return result

    def close(self) -> None:
        """Refuse new entries, write those that wait, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _submit(self, entries: Sequence[Entry], room_by: float) -> "list[Future[Appended]]":
        waiting = [_Waiting(entry, Future()) for entry in entries]
        with self._changed:
            # An empty queue takes any batch, or one larger than the queue could never be sent.
            while self._waiting and len(self._waiting) + len(waiting) > self._queue_max:
                left = room_by - time.monotonic()
                if self._closing or left <= 0 or not self._changed.wait(left):
                    raise OverloadedError(f"{len(self._waiting)} entries wait to be recorded")
            if self._closing:
                raise OverloadedError("the service is stopping")
            self._waiting.extend(waiting)
            self._changed.notify_all()
        return [item.future for item in waiting]

    def _result(self, future: "Future[Appended]", deadline: float) -> Appended | PlatformError:
        try:
            return future.result(max(0.0, deadline - time.monotonic()))
        except FutureTimeoutError:
            future.cancel()
            return DeadlineError("the record was not durable in time")
        except PlatformError as error:
            return error

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
                size = min(len(self._waiting), self._commit_max)
                taken = [self._waiting.popleft() for _ in range(size)]
                self._changed.notify_all()
            self._commit([item for item in taken if item.future.set_running_or_notify_cancel()])

    def _commit(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        self._commit_began = time.monotonic()
        try:
            results = self._append([item.entry for item in batch])
        except Exception as error:  # noqa: BLE001 - the thread must outlive any failed batch
            self._fail(batch, error)
            return
        finally:
            self._commit_began = None
        self._failed = None
        self._on_commit(len(batch))
        for item, result in zip(batch, results, strict=True):
            if isinstance(result, IdempotencyConflictError):
                item.future.set_exception(result)
            else:
                item.future.set_result(result)

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        if isinstance(error, _OF_THE_STORE):
            self._failed = time.monotonic(), error
        elif len(batch) > 1:
            # One bad entry must not fail its neighbours.
            for item in batch:
                self._commit([item])
            return
        for item in batch:
            item.future.set_exception(error)

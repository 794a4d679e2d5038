"""Turns of requests that record something: so many at once, and none waits beyond its deadline.

A request that records holds a thread until its record is durable. When commits are slow, those
that come after would wait for a thread without end, and with them every request that only reads.
So they take turns: half of its deadline a request waits for its turn, the rest for its record.
"""

import asyncio
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

from service.batching import WAITED_SECONDS
from service.errors import OverloadedError

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Turns:
    """Who may record at the moment; made and used in one event loop.

    Parameters
    ----------
    at_once
        How many requests may record at once.
    waiting_max
        How many may wait for their turn; above it they are refused at once.
    deadline_seconds
        A request's deadline, of which half is for its turn.
    """

    def __init__(self, *, at_once: int, waiting_max: int, deadline_seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting_max = waiting_max
        self._wait_seconds = deadline_seconds / 2
        self._waiting = 0

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a function that records, in a thread, when its turn has come.

        Raises
        ------
        OverloadedError
            When too many wait, or the turn did not come in time.
        """
        waited = await self._wait()
        token = WAITED_SECONDS.set(waited)
        try:
            return await run_in_threadpool(function, *args, **kwargs)
        finally:
            WAITED_SECONDS.reset(token)
            self._free.release()

    async def _wait(self) -> float:
        if self._free.locked() and self._waiting >= self._waiting_max:
            raise OverloadedError(f"{self._waiting} requests wait for their turn")
        began = time.monotonic()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise OverloadedError("the request's turn did not come in time") from error
        finally:
            self._waiting -= 1
        return time.monotonic() - began

"""The schedule of timestamps and cosignatures: each authority and witness has its own thread.

A slow or lost one holds up neither the others nor any decision: it is asked outside of every
transaction, and only what it answered is written.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from structlog.types import FilteringBoundLogger

from audit.anchor import last_anchor
from models.errors import PlatformError
from service.logs import describe_exception
from service.schedule import Repeated, end_all
from service.usecases.anchor import anchor_newest, load_authorities
from service.usecases.submit import Witness, list_witnesses, submit_newest
from service.wiring import Platform


class Attempts:
    """Asks one authority or witness, counts how it went, and tells of failures.

    Parameters
    ----------
    platform
        Where to count.
    log
        Where failures are told.
    by
        Whom it asks.
    ask
        Returns whether anything new was kept.
    """

    def __init__(
        self, platform: Platform, log: FilteringBoundLogger, by: str, ask: Callable[[], bool]
    ) -> None:
        self._platform = platform
        self._log = log
        self._by = by
        self._ask = ask

    def run(self) -> bool:
        """Ask once; False when it failed."""
        result = self._attempt()
        self._platform.metrics.count_vouching(self._by, result)
        return result != "failed"

    def _attempt(self) -> str:
        try:
            is_kept = self._ask()
        except PlatformError as error:
            self._log.warning("vouching-failed", by=self._by, code=error.code, detail=error.detail)
            return "failed"
        except Exception as error:  # noqa: BLE001 - the last catch: the next attempt must come
            self._log.error("vouching-failed", by=self._by, **describe_exception(error))
            return "failed"
        return "kept" if is_kept else "unchanged"


@contextmanager
def scheduled_vouching(platform: Platform, log: FilteringBoundLogger) -> Iterator[None]:
    """Ask authorities and witnesses as the settings say while the block runs.

    Raises
    ------
    CaFileError
        When the CA file of an authority cannot be read.
    """
    settings, tasks = platform.settings, []
    for authority in load_authorities(settings):
        platform.metrics.watch_anchor(authority.url, _age(platform, authority.url))

        def stamp(url: str = authority.url) -> bool:
            # The CA file may be renewed while the service runs.
            [one] = [each for each in load_authorities(settings) if each.url == url]
            return anchor_newest(platform, one) is not None

        attempts = Attempts(platform, log, authority.url, stamp)
        tasks.append(Repeated("anchor", attempts.run, settings.timestamp_seconds))
    for witness in list_witnesses(settings):

        def cosign(witness: Witness = witness) -> bool:
            return bool(submit_newest(platform, witness))

        attempts = Attempts(platform, log, witness.name, cosign)
        tasks.append(Repeated("witness", attempts.run, settings.witness_seconds))
    for task in tasks:
        task.start()
    try:
        yield
    finally:
        end_all(tasks, settings.shutdown_grace_seconds)


def _age(platform: Platform, url: str) -> Callable[[], float]:
    def age_seconds() -> float:
        try:
            with platform.store.reading() as reading:
                last = last_anchor(reading, url)
        except PlatformError:
            # A store that cannot be read is told by readiness; metrics have to come all the same.
            return float("nan")
        if last is None:
            return float("inf")
        return (platform.now() - last.stamp.stamped_at).total_seconds()

    return age_seconds

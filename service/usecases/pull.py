"""Pulling reference tables from their sources: once by command, again and again by the service."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from structlog.types import FilteringBoundLogger

from models.errors import PlatformError
from models.reference import parse_reference_json
from service.errors import ReferenceNotFoundError, ReferenceRefusedError
from service.fetch import fetch
from service.logs import describe_exception
from service.reference_versions import Origin
from service.schedule import Repeated, end_all
from service.usecases.references import Loading, load_version
from service.wiring import Platform

_ACTOR: Final = "schedule"


class Puller:
    """Pulls the tables of the settings; remembers what each source last said.

    Parameters
    ----------
    platform
        Where to load.
    actor
        Who pulls.
    """

    def __init__(self, platform: Platform, actor: str) -> None:
        self._platform = platform
        self._actor = actor
        self._etags: dict[str, str] = {}

    def names(self) -> list[str]:
        """Return the tables that have a source."""
        return sorted(self._platform.settings.reference_sources)

    def pull(self, name: str) -> Loading | None:
        """Load what a table's source has now.

        Returns
        -------
        Loading or None
            None when the source says that nothing has changed since the last pull.

        Raises
        ------
        ReferenceNotFoundError
            When the settings name no source for the table.
        ReferenceUnreachableError
            When the source does not answer with a document.
        ReferenceTableError, ReferenceRefusedError
            When it is not the table, or may not come into force.
        StoreUnavailableError, OverloadedError, DeadlineError
            When it was not recorded.
        """
        settings = self._platform.settings
        url = settings.reference_sources.get(name)
        if url is None:
            raise ReferenceNotFoundError(
                f"the table {name[:64]!r} has no source", "Name it in CANDOR_REFERENCE_SOURCES."
            )
        fetched = fetch(
            str(url),
            self._etags.get(name),
            timeout_seconds=settings.reference_timeout_seconds,
            max_bytes=settings.reference_max_bytes,
        )
        if fetched is None:
            return None
        # What is refused below is fetched again next time, so that its failure stays visible.
        self._etags.pop(name, None)
        table = parse_reference_json(fetched.content)
        if table.name != name:
            raise ReferenceRefusedError(f"the source of {name} served the table {table.name}")
        loading = load_version(self._platform, table, actor=self._actor, origin=Origin.HTTP)
        if fetched.etag is not None:
            self._etags[name] = fetched.etag
        return loading


class Schedule:
    """Pulls every source at its start and then again and again, in a thread of its own.

    Parameters
    ----------
    platform
        Where to load.
    log
        Where failures are told; a table that is not renewed then grows stale by itself.
    """

    def __init__(self, platform: Platform, log: FilteringBoundLogger) -> None:
        self._platform = platform
        self._log = log
        self._puller = Puller(platform, _ACTOR)
        every = platform.settings.reference_pull_seconds
        self._repeated = Repeated("reference-pull", self._pull_all, every)

    def start(self) -> None:
        """Begin."""
        self._repeated.start()

    def close(self) -> None:
        """End; a pull that hangs is left behind and records nothing any more."""
        end_all([self._repeated], self._platform.settings.shutdown_grace_seconds)

    def _pull_all(self) -> bool:
        for name in self._puller.names():
            if not self._repeated.is_ending():
                self._platform.metrics.count_pull(name, self._pull(name))
        # One source that fails is no reason to ask the others sooner.
        return True

    def _pull(self, name: str) -> str:
        try:
            loading = self._puller.pull(name)
        except PlatformError as error:
            self._log.warning(
                "reference-pull-failed", table=name, code=error.code, detail=error.detail
            )
            return "failed"
        except Exception as error:  # noqa: BLE001 - the last catch: the next pull must come
            self._log.error("reference-pull-failed", table=name, **describe_exception(error))
            return "failed"
        if loading is None or not loading.is_new:
            return "unchanged"
        version = loading.loaded.version
        self._log.info("reference-loaded", table=name, digest=version.digest, rows=version.rows)
        return "loaded"


@contextmanager
def scheduled_pulls(platform: Platform, log: FilteringBoundLogger) -> Iterator[None]:
    """Pull as the settings say while the block runs; without sources nothing is started."""
    if not platform.settings.reference_sources:
        yield
        return
    schedule = Schedule(platform, log)
    schedule.start()
    try:
        yield
    finally:
        schedule.close()

"""Loading versions of reference tables, and showing them.

A version comes into force by its entry of the log. Before that its content is durable under its
digest, and every live kind that asks the table was compiled with it: a list that no kind can read
never takes the place of one that works.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from audit.errors import StoreUnavailableError
from audit.records import Entry, EntryType, Idempotency, format_time
from models.domain import Json
from models.errors import PlatformError, ReferenceTableError
from models.kind import Kind
from models.reference import (
    ReferenceTable,
    built_in_references,
    load_reference_file,
    save_reference,
)
from models.surroundings import ReferenceRef
from service.answers import JsonObject
from service.errors import ReferenceMissingError, ReferenceRefusedError
from service.reference_versions import LoadedVersion, Origin, describe_version, parse_version
from service.references import table_names
from service.usecases.records import build_nonce, find_repeat, new_id
from service.wiring import Platform

# A source that names only the day may be ahead of this clock.
_MOST_AHEAD: Final = timedelta(days=1)
_MOST_VERSIONS: Final = 100


@dataclass(frozen=True, slots=True)
class Loading:
    """What came of loading a version.

    Parameters
    ----------
    loaded
        The version and its entry.
    is_new
        False when it was in force already; nothing was recorded then.
    """

    loaded: LoadedVersion
    is_new: bool

    def describe(self) -> JsonObject:
        """Return what API and command line answer."""
        return {**describe_version(self.loaded), "recorded": self.is_new}


def load_version(
    platform: Platform,
    table: ReferenceTable,
    *,
    actor: str,
    origin: Origin,
    is_forced: bool = False,
    idempotency: Idempotency | None = None,
) -> Loading:
    """Bring a version of a table into force.

    Parameters
    ----------
    table
        The version.
    actor
        Who loads it.
    origin
        How it came in.
    is_forced
        Whether it may be older than the version in force.
    idempotency
        The caller's key in its scope, or None.

    Raises
    ------
    ReferenceRefusedError
        When it is of the future, older than the version in force, or does not fit a live kind.
    IdempotencyConflictError, StoreUnavailableError, OverloadedError, DeadlineError
        When it was not recorded; the version before stays in force.
    """
    repeated = find_repeat(platform, idempotency)
    if repeated is not None:
        return Loading(parse_version(repeated), is_new=True)
    with platform.references.changing():
        # 1. The same version again changes nothing.
        present = platform.references.in_force().get(table.name)
        if present is not None and present.version.digest == table.reference().digest:
            return Loading(present, is_new=False)
        # 2. Refuse what would do harm.
        _check_time(table, present, platform.now(), is_forced=is_forced)
        _check_fit(platform, table)
        # 3. From its entry on it is in force.
        return Loading(
            _record(platform, table, actor, origin, is_bootstrap=False, idempotency=idempotency),
            is_new=True,
        )


def read_table_file(platform: Platform, path: Path) -> ReferenceTable:
    """Read a table from a file that is not larger than the setting allows.

    Raises
    ------
    ReferenceTableError
        When it cannot be read, is too large, or is not a table.
    """
    most = platform.settings.reference_max_bytes
    if path.is_file() and path.stat().st_size > most:
        raise ReferenceTableError(f"{path.name} is larger than {most} bytes")
    return load_reference_file(path)


def ensure_built_in(platform: Platform, kind: Kind, actor: str) -> list[LoadedVersion]:
    """Load the built-in version of each table that a kind asks and that nobody has loaded.

    Parameters
    ----------
    kind
        A kind that is about to be published.
    actor
        Who publishes it.

    Returns
    -------
    list
        What was loaded, marked as bootstrap; empty when every table had a version.

    Raises
    ------
    ReferenceMissingError
        When such a table is not built in.
    StoreUnavailableError, OverloadedError, DeadlineError
        When it was not recorded.
    """
    names = table_names(kind)
    if not names:
        return []
    with platform.references.changing():
        present = platform.references.in_force()
        missing = [name for name in names if name not in present]
        if not missing:
            return []
        tables = built_in_references()
        unknown = [name for name in missing if name not in tables]
        if unknown:
            raise ReferenceMissingError(
                f"kind {kind.name} asks the table {unknown[0]}, of which no version is in force"
            )
        return [
            _record(platform, tables[name], actor, Origin.BUILT_IN, is_bootstrap=True)
            for name in missing
        ]


def list_references(platform: Platform) -> JsonObject:
    """Return the version in force of every table, with the live kinds that ask it."""
    asked = _asked_by(platform)
    now = platform.now()
    return {
        "references": [
            {
                **describe_version(loaded),
                "is_stale": _is_stale(loaded, now),
                "kinds": [kind.name for kind in asked.get(name, [])],
            }
            for name, loaded in platform.references.in_force().items()
        ]
    }


def read_reference(platform: Platform, name: str, digest: str | None = None) -> JsonObject:
    """Return one version of a table with its content, and what versions there were.

    Parameters
    ----------
    name
        Of the table.
    digest
        Of the version; None for the one in force.

    Raises
    ------
    ReferenceNotFoundError
        When there is no such table or version.
    ReferenceCorruptError
        When its content is missing or altered.
    """
    loaded = platform.references.version(name, digest)
    table: Json = platform.references.table(loaded.version.digest).model_dump(mode="json")
    versions = platform.references.versions(name)
    return {
        **describe_version(loaded),
        "is_stale": _is_stale(loaded, platform.now()),
        "in_force": loaded == versions[-1],
        "table": table,
        "versions": [describe_version(one) for one in versions[: -_MOST_VERSIONS - 1 : -1]],
    }


def _check_time(
    table: ReferenceTable, present: LoadedVersion | None, now: datetime, *, is_forced: bool
) -> None:
    if table.as_of > now + _MOST_AHEAD:
        raise ReferenceRefusedError(
            f"{table.name} says that it is of {table.as_of.isoformat()}, which is yet to come"
        )
    if present is not None and table.as_of < present.version.as_of and not is_forced:
        raise ReferenceRefusedError(
            f"{table.name} of {table.as_of.isoformat()} is older than the version in force, "
            f"which is of {present.version.as_of.isoformat()}",
            "Load a newer one; to bring an older one back, force it (--force, ?force=true).",
        )


def _check_fit(platform: Platform, table: ReferenceTable) -> None:
    kinds = _asked_by(platform).get(table.name, [])
    digest = _save(platform, table).digest
    present = platform.references.in_force()
    pins = {name: loaded.version.digest for name, loaded in present.items()}
    for kind in kinds:
        try:
            # Kept in memory, so that the first order after the change does not wait for it.
            platform.references.chosen(kind, {**pins, table.name: digest})
        except ReferenceTableError as error:
            raise ReferenceRefusedError(
                f"the live kind {kind.name} could not use it: {error.detail}"
            ) from error


def _asked_by(platform: Platform) -> dict[str, list[Kind]]:
    asked: dict[str, list[Kind]] = {}
    for _, publication in sorted(platform.live.publications().items()):
        try:
            kind = platform.shelf.load_kind(publication.model, publication.policy)
        except PlatformError:
            # A model that cannot be loaded asks nothing; /health/ready says what ails it.
            continue
        for name in table_names(kind):
            asked.setdefault(name, []).append(kind)
    return asked


def _record(
    platform: Platform,
    table: ReferenceTable,
    actor: str,
    origin: Origin,
    *,
    is_bootstrap: bool,
    idempotency: Idempotency | None = None,
) -> LoadedVersion:
    # The content first: no entry ever names a version that is not there.
    reference = _save(platform, table)
    entry = Entry(
        entry_id=new_id(),
        entry_type=EntryType.REFERENCE,
        recorded_at=platform.now(),
        header={"reference": reference.name},
        facts={
            **build_nonce(),
            "name": reference.name,
            "digest": reference.digest,
            "as_of": format_time(reference.as_of),
            "source": table.source,
            "staleness_days": table.staleness_days,
            "rows": len(table.rows),
            "bootstrap": is_bootstrap,
            "actor": actor,
            "origin": origin.value,
        },
        idempotency=idempotency,
    )
    return parse_version(platform.writer.record_one(entry))


def _save(platform: Platform, table: ReferenceTable) -> ReferenceRef:
    try:
        return save_reference(platform.settings.references, table)
    except OSError as error:
        raise StoreUnavailableError("the reference table could not be written") from error


def _is_stale(loaded: LoadedVersion, now: datetime) -> bool:
    limit = loaded.version.staleness_days
    return limit is not None and now - loaded.version.as_of > timedelta(days=limit)

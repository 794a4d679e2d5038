"""What a reference entry of the log says: which version of a table is in force, since when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import TypeAdapter, ValidationError

from audit.canonical import parse_json
from audit.errors import RecordMalformedError
from audit.log import Appended
from audit.records import format_time, parse_time
from audit.store import Record
from models.surroundings import ReferenceRef
from service.answers import JsonObject


class Origin(StrEnum):
    """How a version came in."""

    FILE = "file"
    HTTP = "http"
    BUILT_IN = "built-in"


@dataclass(frozen=True, slots=True)
class ReferenceVersion:
    """What a reference entry says: from here on this version of a table is asked.

    Parameters
    ----------
    name, digest, as_of, source, staleness_days
        The table's own.
    rows
        Number of its entries.
    bootstrap
        Whether it is a built-in table that was loaded because nobody had loaded one.
    actor
        Who loaded it.
    origin
        How it came in.
    """

    name: str
    digest: str
    as_of: datetime
    source: str
    staleness_days: float | None
    rows: int
    bootstrap: bool
    actor: str
    origin: Origin

    @property
    def reference(self) -> ReferenceRef:
        """What a record pins."""
        return ReferenceRef(self.name, self.digest, self.as_of)


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    """A version with its place in the log.

    Parameters
    ----------
    version
        What the entry says.
    entry_id, leaf_index, recorded_at
        Which entry it is, and since when it is in force.
    """

    version: ReferenceVersion
    entry_id: str
    leaf_index: int
    recorded_at: datetime


_VERSION: Final = TypeAdapter(ReferenceVersion)


def parse_version(record: Record | Appended) -> LoadedVersion:
    """Read a reference entry.

    Raises
    ------
    RecordMalformedError
        When it is not one.
    """
    header = parse_json(record.leaf)
    recorded_at = header.get("recorded_at") if isinstance(header, dict) else None
    try:
        version = _VERSION.validate_json(record.facts or b"")
        return LoadedVersion(
            version, record.entry_id, record.leaf_index, parse_time(str(recorded_at))
        )
    except (ValidationError, ValueError) as error:
        raise RecordMalformedError("a reference entry does not name a version") from error


def describe_version(loaded: LoadedVersion) -> JsonObject:
    """Return a version as API and command line show it."""
    version = loaded.version
    return {
        "name": version.name,
        "digest": version.digest,
        "as_of": format_time(version.as_of),
        "source": version.source,
        "staleness_days": version.staleness_days,
        "rows": version.rows,
        "bootstrap": version.bootstrap,
        "origin": version.origin.value,
        "actor": version.actor,
        "entry_id": loaded.entry_id,
        "leaf_index": loaded.leaf_index,
        "recorded_at": format_time(loaded.recorded_at),
    }

"""What comes of opening an entry's sealed part during a verification.

Nothing here raises: a part that does not open is a finding. One whose key an erasure destroyed is
none, provided that an erasure entry of the log names that key.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256

from audit.errors import AuditError, ErasedError, SubjectKeyMissingError
from audit.identifiers import Hashes, parse_identifiers
from audit.scan import RawEntry
from audit.seal import Sealer


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that failed.

    Parameters
    ----------
    code
        Stable slug of the check.
    detail
        One sentence.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of an entry's identifiers.

    Parameters
    ----------
    hashes
        What its look-up rows have to hold; None when that cannot be known.
    commitment
        What its header has to hold; None when that cannot be known.
    is_erased
        Whether an erasure destroyed its key.
    finding
        Why it does not open.
    """

    hashes: Hashes | None = None
    commitment: str | None = None
    is_erased: bool = False
    finding: Finding | None = None


def commit_key(key_id: bytes) -> str:
    """Return how an erasure entry names a destroyed key: SHA-256 of its random id, hex."""
    return sha256(b"candor/erased\x00" + key_id).hexdigest()


def open_sealed(
    entry: RawEntry, sealer: Sealer | None, erased: AbstractSet[str] = frozenset()
) -> Opening:
    """Open an entry's sealed part.

    Parameters
    ----------
    entry
        Its columns, of whatever type.
    sealer
        None leaves it closed.
    erased
        The keys that erasure entries of the log name (`commit_key`).
    """
    if not entry.has_personal:
        # An entry without a sealed part has no identifiers; one that lost it is found elsewhere.
        return Opening(hashes=Hashes())
    if sealer is None or not isinstance(entry.sealed, bytes):
        return Opening()
    try:
        part = sealer.open_part(str(entry.entry_id), entry.sealed)
        named = parse_identifiers(part.identifiers)
        hashes = named.hashes(sealer)
        # Exchanged owners would let the erasure of one subject destroy the key of another.
        owner = named.owner(str(entry.entry_id)).hashed(sealer)
        is_owned = sealer.keys.owns(owner, sealer.key_id(entry.sealed))
    except (ErasedError, SubjectKeyMissingError) as error:
        return _without_key(error, is_covered=commit_key(sealer.key_id(entry.sealed)) in erased)
    except AuditError as error:
        return Opening(finding=Finding(error.code, error.detail))
    finding = None
    if not is_owned:
        detail = "the key of the sealed part is kept as somebody else's"
        finding = Finding("subject-key-owner", detail)
    return Opening(hashes=hashes, commitment=part.commitment, finding=finding)


def _without_key(error: AuditError, *, is_covered: bool) -> Opening:
    if is_covered:
        return Opening(hashes=Hashes(), is_erased=True)
    if isinstance(error, ErasedError):
        detail = "the key of the sealed part was destroyed, but no entry records the erasure"
        return Opening(finding=Finding("erasure-unrecorded", detail))
    return Opening(finding=Finding(error.code, error.detail))

"""Checking what others said of the log's checkpoints: cosignatures of witnesses, and anchors.

Both stand beside the tree, so no hash of the tree covers them; each is checked by itself, against
the checkpoint that it is about and against the witness or authority that is known.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.x509 import Certificate
from sqlalchemy import Connection

from audit.anchor import hash_row, verify_reply
from audit.checkpoint import VerifierKey, split_note
from audit.cosignature import verify_cosignatures
from audit.errors import AnchorInvalidError, AuditError
from audit.records import format_time
from audit.scan import scan_anchors, scan_cosignatures

COSIGNATURE_INVALID = "cosignature-invalid"
ANCHOR_ALTERED = "anchor-altered"


@dataclass(frozen=True, slots=True)
class Vouchers:
    """Who is known to vouch for the log.

    Parameters
    ----------
    witnesses
        Keys of all witnesses that ever cosigned; None when they are not known, so that their
        signatures are not checked.
    roots
        Authority to the certificates of its CA; the signature of another authority is not
        checked.
    """

    witnesses: Sequence[VerifierKey] | None = None
    roots: Mapping[str, Sequence[Certificate]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something vouched for that does not hold.

    Parameters
    ----------
    tree_size
        As the row says.
    code, detail
        As of a `Problem`.
    """

    tree_size: Any
    code: str
    detail: str


@dataclass(slots=True)
class Vouched:
    """How many rows were checked."""

    cosignatures: int = 0
    anchors: int = 0


def inspect_vouched(
    connection: Connection, vouchers: Vouchers, counted: Vouched
) -> Iterator[Doubt]:
    """Yield every cosignature and anchor that does not hold, and count them all.

    Parameters
    ----------
    connection
        Of `Store.raw`.
    vouchers
        Who is known.
    counted
        Counted up.
    """
    for size, witness, at_seconds, line, note in scan_cosignatures(connection):
        counted.cosignatures += 1
        fault = _cosignature_fault(witness, at_seconds, line, note, vouchers.witnesses)
        if fault is not None:
            yield Doubt(size, COSIGNATURE_INVALID, f"a cosignature of {witness!a}: {fault}")
    for size, authority, stamped_at, reply, digest, note in scan_anchors(connection):
        counted.anchors += 1
        fault = _anchor_fault((size, authority, stamped_at, reply), digest, note, vouchers.roots)
        if fault is not None:
            yield Doubt(size, ANCHOR_ALTERED, f"an anchor by {authority!a}: {fault}")


def _cosignature_fault(
    witness: Any,  # noqa: ANN401 - tampered values have any type
    at_seconds: Any,  # noqa: ANN401 - tampered values have any type
    line: Any,  # noqa: ANN401 - tampered values have any type
    note: Any,  # noqa: ANN401 - tampered values have any type
    witnesses: Sequence[VerifierKey] | None,
) -> str | None:
    if not (isinstance(line, str) and isinstance(note, str)):
        return "it is no text, or stands beside no checkpoint"
    try:
        _, signatures = split_note(f"{note.rpartition(chr(10) * 2)[0]}\n\n{line}\n")
        found = [None] if witnesses is None else verify_cosignatures(f"{note}{line}\n", witnesses)
    except AuditError as error:
        return error.detail
    names = [f"{name}+{blob[:4].hex()}" for name, blob in signatures]
    times = [int.from_bytes(blob[4:12], "big") for _, blob in signatures]
    written = [f"— {name} {b64encode(blob).decode('ascii')}" for name, blob in signatures]
    if names != [witness] or times != [at_seconds] or written != [line]:
        return "its line is of another witness or time"
    return None if found else "no witness of this name and key is known"


def _anchor_fault(
    row: tuple[Any, Any, Any, Any],
    digest: Any,  # noqa: ANN401 - tampered values have any type
    note: Any,  # noqa: ANN401 - tampered values have any type
    roots: Mapping[str, Sequence[Certificate]],
) -> str | None:
    size, authority, stamped_at, reply = row
    is_typed = isinstance(size, int) and isinstance(authority, str) and isinstance(reply, bytes)
    if not is_typed or not isinstance(note, str) or not isinstance(stamped_at, str):
        return "a value is of another type, or it stands beside no checkpoint"
    try:
        stamp = verify_reply(reply, note, roots.get(authority, ()))
        is_kept = (format_time(stamp.stamped_at), stamp.reply) == (stamped_at, reply)
        if is_kept and hash_row(size, authority, stamp) == digest:
            return None
    except AnchorInvalidError as error:
        return error.detail
    except UnicodeEncodeError:
        return "a text is not UTF-8"
    return "its time, its authority or a byte of it was changed"

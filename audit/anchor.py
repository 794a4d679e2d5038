"""Anchors: RFC 3161 timestamps of the log's checkpoints, by authorities outside.

An authority says: at this time, these bytes existed. What is stamped is the checkpoint's signed
note as it is stored, with the log's own signature alone; so an anchor proves that the log had
these entries by then, whoever holds its key later. Anchors stand beside the tree, not in it; the
first of each authority for each checkpoint is kept, and only when it is a timestamp of that very
note. Nothing here speaks to an authority: the service does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography.x509 import Certificate, load_pem_x509_certificates
from rfc3161_client import (
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client.base import HashAlgorithm
from sqlalchemy import func, select
from sqlmodel import col

from audit.errors import AnchorInvalidError
from audit.reading import Reading
from audit.records import format_time
from audit.store import Store
from audit.tables import AnchorRow

_GRANTED: Final = 0
_SHA256_OID: Final = "2.16.840.1.101.3.4.2.1"
# PKIStatusInfo with status granted and nothing else.
_GRANTED_INFO: Final = b"\x30\x03\x02\x01\x00"
_SEQUENCE: Final = b"\x30"
_SHORT_LENGTH: Final = 0x80
LARGEST_REPLY_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Query:
    """What an authority is asked.

    Parameters
    ----------
    content
        TimeStampReq in DER.
    nonce
        What the answer has to repeat.
    """

    content: bytes
    nonce: int


@dataclass(frozen=True, slots=True)
class Stamp:
    """A timestamp that holds.

    Parameters
    ----------
    stamped_at
        By the authority's clock; aware UTC.
    reply
        TimeStampResp in DER with status granted, no text, and the authority's token.
    """

    stamped_at: datetime
    reply: bytes


@dataclass(frozen=True, slots=True)
class Anchor:
    """A timestamp that is kept.

    Parameters
    ----------
    tree_size
        Of the checkpoint that was stamped.
    authority
        Where it was asked for: an http or https address.
    stamp
        What was answered.
    """

    tree_size: int
    authority: str
    stamp: Stamp


def build_query(note: str) -> Query:
    r"""Return the query for a timestamp of a checkpoint: SHA-256, a nonce, certificates wanted.

    Examples
    --------
    >>> query = build_query("candor.example/log\n0\n...\n")
    >>> sha256(b"candor.example/log\n0\n...\n").digest() in query.content
    True
    """
    builder = TimestampRequestBuilder(note.encode(), HashAlgorithm.SHA256)
    request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    nonce = request.nonce
    if nonce is None:
        raise AnchorInvalidError("the query has no nonce")
    return Query(request.as_bytes(), nonce)


def parse_roots(pem: bytes) -> tuple[Certificate, ...]:
    """Read the certificates of an authority's CA.

    Raises
    ------
    AnchorInvalidError
        If there is none, or one is malformed.
    """
    try:
        return tuple(load_pem_x509_certificates(pem))
    except ValueError as error:
        raise AnchorInvalidError("the CA file holds no certificates in PEM") from error


def verify_reply(
    content: bytes, note: str, roots: Sequence[Certificate], nonce: int | None = None
) -> Stamp:
    """Check that a reply is a timestamp of a checkpoint, and return it.

    Parameters
    ----------
    content
        TimeStampResp in DER.
    note
        The checkpoint's signed note, as stored.
    roots
        Of the authority's CA; empty when it is not known, and the signature is not checked.
    nonce
        Of the query; None when it is not known any more.

    Raises
    ------
    AnchorInvalidError
        If it is no timestamp of this note, answers another query, or is not signed under the CA.
    """
    if len(content) > LARGEST_REPLY_BYTES:
        raise AnchorInvalidError(f"the reply is longer than {LARGEST_REPLY_BYTES} bytes")
    digest = sha256(note.encode()).digest()
    try:
        # 1. It is a reply, and the authority granted what was asked.
        response = decode_timestamp_response(content)
        if response.status != _GRANTED:
            raise AnchorInvalidError(f"the authority answered with status {response.status}")
        # 2. It is of this note, and of this query.
        info = response.tst_info
        imprint = info.message_imprint
        if imprint.hash_algorithm.dotted_string != _SHA256_OID or imprint.message != digest:
            raise AnchorInvalidError("the timestamp is of something else than this checkpoint")
        if nonce is not None and info.nonce != nonce:
            raise AnchorInvalidError("the timestamp answers another query: its nonce is another")
        # 3. The authority signed it, with a certificate for timestamps under its CA.
        if roots:
            VerifierBuilder(roots=list(roots)).build().verify(response, digest)
        return Stamp(_to_utc(info.gen_time), _format_reply(response))
    except VerificationError as error:
        raise AnchorInvalidError(f"its signature does not hold under the CA: {error}") from error
    except ValueError as error:
        raise AnchorInvalidError("the reply is no RFC 3161 timestamp") from error


def add_anchor(store: Store, note: str, anchor: Anchor) -> bool:
    """Keep an anchor; the first of its authority for its checkpoint stands.

    Parameters
    ----------
    store
        The log.
    note
        What was stamped.
    anchor
        From `verify_reply`.

    Returns
    -------
    bool
        False when there was one already.

    Raises
    ------
    RecordNotFoundError
        If the log has no checkpoint of this size.
    AnchorInvalidError
        If its checkpoint of this size is another than the one that was stamped.
    StoreUnavailableError
        If it could not be kept.
    """
    with store.writing() as writing:
        if writing.checkpoint_at(anchor.tree_size) != note:
            raise AnchorInvalidError("the checkpoint stamped is not the log's of this size")
        if any(one.authority == anchor.authority for one in anchors_of(writing, anchor.tree_size)):
            return False
        row = {
            "tree_size": anchor.tree_size,
            "authority": anchor.authority,
            "stamped_at": anchor.stamp.stamped_at,
            "reply": anchor.stamp.reply,
            "row_sha256": hash_row(anchor.tree_size, anchor.authority, anchor.stamp),
        }
        writing.insert(AnchorRow, [row])
    return True


def hash_row(tree_size: int, authority: str, stamp: Stamp) -> bytes:
    """Return the digest over a row, which shows a change that the signature does not cover."""
    said = f"{tree_size}\n{authority}\n{format_time(stamp.stamped_at)}\n"
    return sha256(said.encode() + stamp.reply).digest()


def anchors_of(reading: Reading, tree_size: int) -> list[Anchor]:
    """Return the anchors of a checkpoint, by authority."""
    return _find(reading, tree_size, tree_size, 1_000)


def anchors_between(reading: Reading, least: int, most: int, limit: int) -> list[Anchor]:
    """Return anchors of checkpoints, least <= tree size <= most, by size and authority."""
    return _find(reading, least, most, limit)


def newest_anchors(reading: Reading, before: int, limit: int) -> list[Anchor]:
    """Return anchors of checkpoints below a size, newest first."""
    size = col(AnchorRow.tree_size)
    query = _ANCHORS.where(size < before).order_by(size.desc(), col(AnchorRow.authority))
    return [_anchor(row) for row in reading.rows(query.limit(limit))]


def first_anchored_size(reading: Reading, least: int) -> int | None:
    """Return the size of the first anchored checkpoint of at least a size, or None."""
    size = col(AnchorRow.tree_size)
    [row] = reading.rows(select(func.min(size)).where(size >= least))
    return None if row[0] is None else int(row[0])


def last_anchor(reading: Reading, authority: str) -> Anchor | None:
    """Return an authority's newest anchor, or None."""
    size = col(AnchorRow.tree_size)
    query = _ANCHORS.where(col(AnchorRow.authority) == authority).order_by(size.desc()).limit(1)
    found = [_anchor(row) for row in reading.rows(query)]
    return found[0] if found else None


_ANCHORS: Final = select(
    col(AnchorRow.tree_size),
    col(AnchorRow.authority),
    col(AnchorRow.stamped_at),
    col(AnchorRow.reply),
)


def _find(reading: Reading, least: int, most: int, limit: int) -> list[Anchor]:
    size = col(AnchorRow.tree_size)
    query = _ANCHORS.where(size >= least, size <= most).order_by(size, col(AnchorRow.authority))
    return [_anchor(row) for row in reading.rows(query.limit(limit))]


def _anchor(row: Sequence[object]) -> Anchor:
    tree_size, authority, stamped_at, reply = row
    if not (isinstance(tree_size, int) and isinstance(stamped_at, datetime)):
        raise AnchorInvalidError("an anchor's row is malformed")
    if not (isinstance(authority, str) and isinstance(reply, bytes)):
        raise AnchorInvalidError("an anchor's row is malformed")
    return Anchor(tree_size, authority, Stamp(stamped_at, reply))


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _format_reply(response: TimeStampResponse) -> bytes:
    # Only the token is signed; status texts around it would be bytes that nobody vouches for.
    body = _GRANTED_INFO + response.time_stamp_token()
    size = len(body)
    if size < _SHORT_LENGTH:
        return _SEQUENCE + bytes([size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return _SEQUENCE + bytes([_SHORT_LENGTH | len(length)]) + length + body

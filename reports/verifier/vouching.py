"""What others said of the log's checkpoints: timestamps of authorities, cosignatures of witnesses.

A timestamp is read as strictly as DER is written, and its imprint is compared with the checkpoint.
Its signature is RSA or ECDSA under certificates, which is openssl's business; the exact command is
told. A cosignature is Ed25519 and checked here, for every witness whose key is given.
"""

import json
import re
from hashlib import sha256

from reports.verifier.container import Container
from reports.verifier.ed25519 import is_signed
from reports.verifier.findings import CheckError, Findings
from reports.verifier.signatures import Head, LogKey, decode_base64

WITNESS_KEY = b"\x04"
_STAMP = re.compile(r"timestamps/([1-9][0-9]{0,18})-[1-9][0-9]{0,2}\.tsr")
_MOST_STAMP_BYTES = 65_536
_MOST_TOLD = 3
_SEQUENCE, _INTEGER, _OCTETS, _NAME_OF, _TIME, _FIRST = 0x30, 0x02, 0x04, 0x06, 0x18, 0xA0
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_STAMP_INFO = bytes.fromhex("2a864886f70d0109100104")
_SHA256 = bytes.fromhex("608648016503040201")
_MOMENT = re.compile(rb"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})(\.[0-9]+)?Z")
_LONG_TAG, _LONG_LENGTH, _MOST_LENGTH_BYTES = 0x1F, 0x80, 3
_COSIGNATURE_BYTES, _KEY_ID_BYTES, _TIME_END = 76, 4, 12


def read_der(raw: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element of some DER, one after the other.

    Raises
    ------
    CheckError
        When a tag or length is not written as DER writes it, or leads beyond the end.
    """
    elements, at = [], 0
    while at < len(raw):
        tag, head = raw[at], raw[at + 1 : at + 2]
        size, at = (head[0] if head else _LONG_LENGTH), at + 2
        if size & _LONG_LENGTH:
            count = size & ~_LONG_LENGTH
            digits = raw[at : at + count]
            size, at = int.from_bytes(digits, "big"), at + count
            is_short = size < _LONG_LENGTH or digits[:1] == b"\x00"
            if not 0 < count <= _MOST_LENGTH_BYTES or len(digits) != count or is_short:
                raise _malformed()
        if tag & _LONG_TAG == _LONG_TAG or at + size > len(raw):
            raise _malformed()
        elements.append((tag, raw[at : at + size]))
        at += size
    return elements


def read_stamp(raw: bytes) -> tuple[bytes, str]:
    """Return the SHA-256 that a timestamp is of, and its time.

    Parameters
    ----------
    raw
        TimeStampResp (RFC 3161) in DER.

    Raises
    ------
    CheckError
        When it is not one, or was not granted.
    """
    if len(raw) > _MOST_STAMP_BYTES:
        raise _malformed()
    # 1. The reply: granted, and a token beside it.
    status, token = _parts(_only(raw, _SEQUENCE), (_SEQUENCE, _SEQUENCE))
    if _parts(status, (_INTEGER,))[0] != b"\x00":
        raise CheckError("时间戳未被授予", "the timestamp was not granted")
    # 2. The token: signed data over the statement.
    kind, signed = _parts(token, (_NAME_OF, _FIRST))
    _, _, wrapped = _parts(_only(signed, _SEQUENCE), (_INTEGER, 0x31, _SEQUENCE), more=True)
    content_kind, content = _parts(wrapped, (_NAME_OF, _FIRST))
    # 3. The statement: of what, and when.
    info = _only(_only(content, _OCTETS), _SEQUENCE)
    tags = (_INTEGER, _NAME_OF, _SEQUENCE, _INTEGER, _TIME)
    _, _, imprint, _, moment = _parts(info, tags, more=True)
    algorithm, digest = _parts(imprint, (_SEQUENCE, _OCTETS))
    names = (kind, content_kind, _parts(algorithm, (_NAME_OF,), more=True)[0])
    at = _MOMENT.fullmatch(moment)
    if names != (_SIGNED_DATA, _STAMP_INFO, _SHA256) or at is None:
        raise _malformed()
    year, month, day, hour, minute, second = (part.decode() for part in at.groups()[:6])
    return digest, f"{year}-{month}-{day}T{hour}:{minute}:{second}Z"


def verify_stamps(container: Container, heads: list[Head], findings: Findings) -> int:
    """Check that each timestamp is of a checkpoint of the bundle, and say how to go on."""
    known = {head.tree_size: head for head in heads}
    names = sorted(name for name in container.sizes if name.startswith("timestamps/"))
    told: list[tuple[str, str]] = []
    for name in names:
        place = _STAMP.fullmatch(name)
        head = known.get(int(place[1])) if place else None
        imprint, moment = read_stamp(container.read(name))
        if head is None or imprint != head.note_digest:
            raise CheckError(
                f"{name} 不是本包检查点的时间戳",
                f"{name} is no timestamp of that checkpoint of this bundle",
            )
        command = f"openssl ts -verify -digest {imprint.hex()} -in {name} -CAfile AUTHORITY.pem"
        told.append(
            (
                f"{head.tree_size} 个条目,{moment};机构签名须用 openssl 验证:{command}",
                f"{head.tree_size} entries at {moment}; check the authority's signature: {command}",
            )
        )
    for zh, en in told[:_MOST_TOLD]:
        findings.note("timestamps", zh, en)
    if more := len(told[_MOST_TOLD:]):
        findings.note(
            "timestamps", f"另有 {more} 个,验证方法相同", f"{more} more are checked in the same way"
        )
    return len(names)


def verify_witnessed(
    container: Container, heads: list[Head], witnesses: list[LogKey], findings: Findings
) -> int:
    """Check the cosignatures of witnesses whose keys are given; those of others are told."""
    known = {(key.name, key.key_id): key for key in witnesses}
    checked, unknown = 0, 0
    for head, line in zip(heads, container.lines("checkpoints.jsonl"), strict=True):
        said = json.loads(line)
        note = said["note"]
        if sha256(note.encode()).digest() != head.note_digest:
            raise CheckError("检查点不符", "the checkpoint is another")
        for text in said.get("cosignatures", ()):
            name, blob = _parse_cosignature(text)
            key = known.get((name, blob[:_KEY_ID_BYTES]))
            at_seconds = int.from_bytes(blob[_KEY_ID_BYTES:_TIME_END], "big")
            body = note.rpartition("\n\n")[0]
            message = f"cosignature/v1\ntime {at_seconds}\n{body}\n".encode()
            if key is None:
                unknown += 1
            elif not is_signed(key.public_key, message, blob[_TIME_END:]):
                raise CheckError(
                    f"见证者 {name} 对大小 {head.tree_size} 的共同签名不成立",
                    f"the cosignature of {name} over size {head.tree_size} does not hold",
                )
            checked += 1
    if unknown:
        findings.note(
            "cosignatures",
            f"{unknown} 个共同签名的见证者密钥未给出,未验证;请用 --witness 给出",
            f"{unknown} are of witnesses whose key is not given, so not checked; give it with "
            "--witness",
        )
    return checked


def _parse_cosignature(text: object) -> tuple[str, bytes]:
    name, _, encoded = str(text).removeprefix("— ").partition(" ")
    blob = decode_base64(encoded)
    if not str(text).startswith("— ") or not name or blob is None:
        raise CheckError("共同签名格式不对", "a cosignature is malformed")
    if len(blob) != _COSIGNATURE_BYTES:
        raise CheckError("共同签名格式不对", "a cosignature is malformed")
    return name, blob


def _parts(raw: bytes, tags: tuple[int, ...], *, more: bool = False) -> list[bytes]:
    elements = read_der(raw)
    named = tuple(tag for tag, _ in elements[: len(tags)])
    if named != tags or (len(elements) > len(tags) and not more):
        raise _malformed()
    return [content for _, content in elements[: len(tags)]]


def _only(raw: bytes, tag: int) -> bytes:
    return _parts(raw, (tag,))[0]


def _malformed() -> CheckError:
    return CheckError("时间戳格式不对", "a timestamp is malformed")

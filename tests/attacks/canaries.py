"""Values that must not survive an erasure, and a search for them in every form and container.

Everything that a person who is to be erased leaves carries the mark `GONE`, so that one search
finds all of them, whoever they were; who stays has another mark.
"""

import gzip
import io
import struct
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from models.kind import built_in_kind

GONE: Final = "Kanari金丝雀é"
STAYS: Final = "Bleibt留下ü"
# Nobody else is at this place.
LATITUDE: Final = 23.456789123
_ALIGNMENTS: Final = 3
_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_ZLIB: Final = (b"\x78\x01", b"\x78\x9c", b"\x78\xda")


def order(kind: str, number: int, mark: str) -> dict[str, Any]:
    """Return an order with canary values in every personal field of its kind."""
    document: dict[str, Any] = orjson.loads(built_in_kind(kind).examples[0].order)
    name = f"{mark}-{number}"
    customer = {
        "customer_id": f"{name}-C",
        "name": f"Ada {name} \U0001f426",
        "phone": f"{name}-+86",
        "email": f"{name}@example.com",
        "nickname": {"unknown": [f"{name}-nick"]},
    }
    if kind == "admission":
        customer["address"] = f"1 {name} Road"
    else:
        document["device"] = {**document.get("device", {}), "device_id": f"{name}-device"}
        latitude = LATITUDE if mark == GONE else 1.5
        document["ip"] = {**document.get("ip", {}), "address": f"{name}-ip", "latitude": latitude}
        document["shipping"] = {**document.get("shipping", {}), "address": f"2 {name} Road"}
        document["payment"] = {**document.get("payment", {}), "card_fingerprint": f"{name}-card"}
    return {
        **document,
        "order_id": f"{name}-{kind}",
        "remark": f"call {name}\u0000 or \\u0041",
        f"unknown {name}": name,
        "customer": {**document["customer"], **customer},
    }


def patterns() -> dict[str, bytes]:
    """Return the forms in which a canary could stand, in lower case where case is lost."""
    raw = GONE.encode()
    word = GONE[:6]
    forms = {
        "plain": raw.lower(),
        "ascii part": word.lower().encode(),
        "utf-16-le": word.encode("utf-16-le").lower(),
        "utf-16-be": word.encode("utf-16-be").lower(),
        "hex": word.encode().hex().encode(),
        "json": GONE[6:].encode("ascii", "backslashreplace").lower(),
        "quoted": quote(GONE[6:]).lower().encode(),
        "number": str(LATITUDE).encode(),
        "double-le": struct.pack("<d", LATITUDE),
        "double-be": struct.pack(">d", LATITUDE),
    }
    for skip in range(_ALIGNMENTS):
        # The characters at both ends depend on what stands beside it.
        encoded = b64encode(bytes(skip) + raw)
        forms[f"base64+{skip}"] = encoded[4 if skip else 0 : len(encoded) // 4 * 4 - 4]
    return forms


_PATTERNS: Final = patterns()


def found_in(content: bytes) -> set[str]:
    """Return in which forms a canary stands in some bytes or in what they contain."""
    found: set[str] = set()
    for part in _opened(content):
        lowered = part.lower()
        found |= {name for name, form in _PATTERNS.items() if form in part or form in lowered}
    return found


def search(*folders: Path) -> dict[str, set[str]]:
    """Return the files of some folders in which a canary stands, and in which forms."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path.name: forms for path in paths if (forms := found_in(path.read_bytes()))}


def _opened(content: bytes) -> Iterator[bytes]:
    yield content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for name in packed.namelist():
                yield from _opened(packed.read(name))
    elif content.startswith(_GZIP):
        yield from _opened(gzip.decompress(content))
    elif content.startswith(_ZLIB):
        yield from _opened(zlib.decompressobj().decompress(content))
    elif content.startswith(_ZSTD):
        with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
            yield from _opened(stream.read())
    elif content.startswith(_PARQUET):
        table = pq.read_table(pa.BufferReader(content))
        for column in table.columns:
            for value in column.to_pylist():
                yield value if isinstance(value, bytes) else str(value).encode()

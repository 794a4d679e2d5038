"""Anchoring: the newest checkpoint is stamped by the timestamping authorities of the settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.x509 import Certificate

from audit.anchor import (
    Anchor,
    add_anchor,
    anchors_of,
    build_query,
    last_anchor,
    parse_roots,
    verify_reply,
)
from audit.checkpoint import parse_checkpoint
from audit.cosignature import parse_witness_key
from audit.errors import AnchorInvalidError
from audit.vouched import Vouchers
from service.errors import CaFileError, NotConfiguredError, TimestampUnavailableError
from service.exchange import Bounds, exchange
from service.settings import Settings
from service.wiring import Platform

_QUERY: Final = "application/timestamp-query"
REPLY: Final = "application/timestamp-reply"


@dataclass(frozen=True, slots=True)
class Authority:
    """A timestamping authority of the settings.

    Parameters
    ----------
    url
        Its address, which is its name.
    roots
        Certificates of its CA; empty when no file is named.
    """

    url: str
    roots: Sequence[Certificate]


def load_authorities(settings: Settings) -> list[Authority]:
    """Return the authorities of the settings, with the CA files as they are now.

    Raises
    ------
    CaFileError
        When a CA file cannot be read.
    """
    named = sorted((str(url), path) for url, path in settings.timestamp_urls.items())
    return [Authority(url, () if path is None else _load_roots(path)) for url, path in named]


def load_vouchers(settings: Settings) -> Vouchers:
    """Return whose signatures beside the tree can be checked.

    Raises
    ------
    CaFileError
        When a CA file cannot be read.
    """
    return Vouchers(
        [parse_witness_key(vkey) for vkey in settings.witnesses],
        {one.url: one.roots for one in load_authorities(settings)},
    )


def require_authorities(settings: Settings) -> list[Authority]:
    """Return the authorities of the settings, of which there has to be one.

    Raises
    ------
    NotConfiguredError
        When there is none.
    CaFileError
        When a CA file cannot be read.
    """
    authorities = load_authorities(settings)
    if not authorities:
        raise NotConfiguredError("CANDOR_TIMESTAMP_URLS names no timestamping authority")
    return authorities


def anchor_newest(platform: Platform, authority: Authority) -> Anchor | None:
    """Have the newest checkpoint stamped, and keep the timestamp.

    Returns
    -------
    Anchor or None
        None when the log is empty or this authority has stamped its newest checkpoint already.

    Raises
    ------
    TimestampUnavailableError
        When the authority does not answer.
    AnchorInvalidError
        When its answer is no timestamp of this checkpoint.
    StoreUnavailableError, LogDamagedError
        When the log cannot be read, or the anchor not be kept.
    """
    # 1. The newest checkpoint, unless this authority knows it.
    with platform.store.reading() as reading:
        note = reading.head()
        size = 0 if note is None else parse_checkpoint(note).tree_size
        known = [one.authority for one in anchors_of(reading, size)]
    if note is None or authority.url in known:
        return None
    # Nobody sees a checkpoint that a crash and an older database could make untrue.
    platform.notary.keep(note)
    # 2. Ask, outside of every transaction.
    query, settings = build_query(note), platform.settings
    bounds = Bounds(settings.timestamp_timeout_seconds, settings.timestamp_max_bytes)
    reply = exchange(
        authority.url,
        bounds,
        platform.clock,
        body=query.content,
        headers={"Content-Type": _QUERY, "Accept": REPLY},
    )
    if reply.content is None:
        why = "no answer" if reply.failure is None else reply.failure.detail
        raise TimestampUnavailableError(f"{authority.url}: {why}")
    # 3. Keep what holds.
    stamp = verify_reply(reply.content, note, authority.roots, query.nonce)
    anchor = Anchor(size, authority.url, stamp)
    return anchor if add_anchor(platform.store, note, anchor) else None


def describe_anchors(platform: Platform) -> str:
    """Say when each authority of the settings last stamped which size of the log."""
    said = []
    with platform.store.reading() as reading:
        for url in sorted(map(str, platform.settings.timestamp_urls)):
            last = last_anchor(reading, url)
            if last is None:
                said.append(f"{url}: none yet")
                continue
            age = (platform.now() - last.stamp.stamped_at).total_seconds()
            said.append(f"{url}: {last.tree_size} entries, {age:.0f} s ago")
    return "; ".join(said)


def _load_roots(path: Path) -> Sequence[Certificate]:
    try:
        return parse_roots(path.read_bytes())
    except OSError as error:
        raise CaFileError(f"{path} cannot be read: {error.strerror}") from error
    except AnchorInvalidError as error:
        raise CaFileError(f"{path}: {error.detail}") from error

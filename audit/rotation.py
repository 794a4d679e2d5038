"""Which key signs the log, and which signed it before: told by entries of the log itself.

The rules kept here:

- a `log-key-rotated` entry stands under a checkpoint of the old key and names the new one, which
  signs every later checkpoint; whoever trusts one of the keys can follow the log to the other;
- a `log-recovered` entry is the first of a new origin and key; only the new key vouches for it;
- a checkpoint is the log's only if the key of its range signed it.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.canonical import parse_json
from audit.checkpoint import LogSigner, parse_verifier_key
from audit.errors import LogKeyChangedError, RecordMalformedError
from audit.reading import Reading
from audit.records import Entry, EntryType
from models.domain import Json

KEY_CHANGES: Final = (EntryType.LOG_KEY_ROTATED, EntryType.LOG_RECOVERED)
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class KeyChange:
    """An entry that changed the log's key.

    Parameters
    ----------
    leaf_index, tree_size
        Its place, and the size of the checkpoint that it was recorded under.
    entry_type
        `log-key-rotated` or `log-recovered`.
    old_key, new_key
        Verifier keys; the old one is None where it was lost too.
    signed_size
        Largest tree that the old key is known to have signed.
    kept_note
        Of a recovery, the checkpoint that was kept outside the database; else None.
    """

    leaf_index: int
    tree_size: int
    entry_type: EntryType
    old_key: str | None
    new_key: str
    signed_size: int
    kept_note: str | None

    @property
    def is_recovery(self) -> bool:
        """Whether a new origin began here."""
        return self.entry_type is EntryType.LOG_RECOVERED


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The sizes of trees that a key signed.

    Parameters
    ----------
    vkey
        Verifier key; None where it is not known.
    first_size, last_size
        Sizes, both included; the last is None while the key is in use.
    follows
        Whether the key before vouches for this one; false for the first key of an origin.
    """

    vkey: str | None
    first_size: int
    last_size: int | None
    follows: bool


def parse_key_change(leaf: bytes, leaf_index: int, tree_size: int) -> KeyChange | None:
    """Read a header that may change the log's key; None for every other one.

    Raises
    ------
    RecordMalformedError, VerifierKeyInvalidError
        If it is such a header but not in its form.
    """
    header = parse_json(leaf)
    if not isinstance(header, dict) or header.get("type") not in KEY_CHANGES:
        return None
    old_key, new_key = header.get("old_key"), header.get("new_key")
    signed_size, kept = header.get("signed_size", tree_size), header.get("kept")
    if not isinstance(old_key, str | None) or not isinstance(new_key, str):
        raise RecordMalformedError("the entry names no keys of the log")
    if not isinstance(signed_size, int) or not isinstance(kept, str | None):
        raise RecordMalformedError("the entry does not say what the old key signed")
    for vkey in (new_key, old_key or new_key):
        parse_verifier_key(vkey)
    return KeyChange(
        leaf_index=leaf_index,
        tree_size=tree_size,
        entry_type=EntryType(str(header["type"])),
        old_key=old_key,
        new_key=new_key,
        signed_size=signed_size,
        kept_note=kept,
    )


def read_key_changes(reading: Reading, after: int = -1) -> list[KeyChange]:
    """Return the changes of the log's key behind a place, oldest first."""
    changes: list[KeyChange] = []
    while True:
        found = reading.found_after(after, KEY_CHANGES, _PAGE)
        for one in found:
            record = reading.record_at(one.leaf_index)
            change = parse_key_change(record.leaf, record.leaf_index, record.tree_size)
            if change is not None:
                changes.append(change)
        if len(found) < _PAGE:
            return changes
        after = found[-1].leaf_index


def key_ranges(changes: Sequence[KeyChange], present_key: str) -> list[KeyRange]:
    """Return all keys of the log with the sizes that they signed, oldest first.

    Parameters
    ----------
    changes
        From `read_key_changes`, from the log's beginning.
    present_key
        The key of a log that was never changed.

    Examples
    --------
    >>> key_ranges([], "example.com/log+0000+AQ")[0].last_size is None
    True
    """
    ranges: list[KeyRange] = []
    vkey = changes[0].old_key if changes else present_key
    first, follows = 0, False
    for change in changes:
        ranges.append(KeyRange(vkey, first, change.signed_size, follows))
        vkey, follows = change.new_key, not change.is_recovery
        # A recovered log goes on from what was left; a rotated one from what was signed.
        first = change.leaf_index + 1 if change.is_recovery else change.tree_size + 1
    return [*ranges, KeyRange(vkey, first, None, follows)]


def range_of(ranges: Sequence[KeyRange], tree_size: int) -> KeyRange:
    """Return the range whose key has to have signed the log's checkpoint of a size."""
    return next(one for one in reversed(ranges) if one.first_size <= tree_size)


def trusted_ranges(ranges: Sequence[KeyRange], vkeys: Sequence[str]) -> bool:
    """Tell whether one of these keys vouches for the whole log.

    A key vouches for all that its checkpoints cover, and for the keys that follow it by rotation;
    it does not vouch for what began with a recovery.
    """
    for one in reversed(ranges):
        if one.vkey in vkeys:
            return True
        if not one.follows:
            return False
    return False


def build_rotation_entry(
    entry_id: str, recorded_at: datetime, old_key: str, new_key: str, facts: dict[str, Json]
) -> Entry:
    """Return the entry that makes another key sign the log from the next checkpoint on.

    Raises
    ------
    VerifierKeyInvalidError
        If one of the keys is malformed.
    LogKeyChangedError
        If the new key is not another key of the same origin.
    """
    old, new = parse_verifier_key(old_key), parse_verifier_key(new_key)
    if old.name != new.name or old.public_key == new.public_key:
        raise LogKeyChangedError("the new key is not another key of the same origin")
    return Entry(
        entry_id=entry_id,
        entry_type=EntryType.LOG_KEY_ROTATED,
        recorded_at=recorded_at,
        header={"old_key": old_key, "new_key": new_key},
        facts=facts,
    )


class Keyring:
    """Knows the signer that the log itself names.

    Parameters
    ----------
    first
        Signs a log whose key was never changed.
    load_signer
        Returns the signer of a verifier key, or raises because its private key is missing.
    """

    def __init__(self, first: LogSigner, load_signer: Callable[[str], LogSigner]) -> None:
        self._first = first
        self._load_signer = load_signer
        self._loaded = first
        self._key = first.verifier_key
        self._seen = -1
        self._lock = threading.Lock()

    @property
    def first_key(self) -> str:
        """Return the verifier key of the log's beginning."""
        return self._first.verifier_key

    def present_key(self, reading: Reading) -> str:
        """Return the verifier key that signs now, whether or not its private key is at hand."""
        with self._lock:
            self._look(reading)
            return self._key

    def present(self, reading: Reading) -> LogSigner:
        """Return the signer that signs now; another process may have changed it.

        Raises
        ------
        PlatformError
            Whatever `load_signer` raises.
        """
        with self._lock:
            self._look(reading)
            if self._loaded.verifier_key != self._key:
                self._loaded = self._load_signer(self._key)
            return self._loaded

    def ranges(self, reading: Reading) -> list[KeyRange]:
        """Return all keys of the log with their ranges."""
        return key_ranges(read_key_changes(reading), self._first.verifier_key)

    def _look(self, reading: Reading) -> None:
        for change in read_key_changes(reading, self._seen):
            self._seen, self._key = change.leaf_index, change.new_key


def verify_rotation(leaves: Sequence[bytes], signer: LogSigner) -> None:
    """Check that the changes of the key in one batch follow from the key in use.

    Parameters
    ----------
    leaves
        Headers of the batch's entries of the types `KEY_CHANGES`.
    signer
        Signs the batch.

    Raises
    ------
    LogKeyChangedError
        If there is more than one, or it is no rotation from this key.
    """
    for leaf in leaves:
        change = parse_key_change(leaf, 0, 0)
        is_next = change is not None and change.old_key == signer.verifier_key
        if len(leaves) > 1 or not is_next or change is None or change.is_recovery:
            raise LogKeyChangedError("the key was changed in between, or twice at once")

"""Who may sign what: the log is compared with the last checkpoint kept outside the database.

The order of every append is: commit, then keep, then answer. So the kept checkpoint may lag behind
the database by what was not answered yet, and is never ahead of it. Two facts follow:

- a database that does not continue the kept checkpoint was rolled back or forked after something
  was answered, and nothing is signed on top of it;
- a crash at any moment leaves a database that does continue it, so it is no false alarm.
"""

from collections.abc import Sequence
from typing import Protocol

from audit.checkpoint import Checkpoint, LogSigner, parse_checkpoint, parse_verifier_key
from audit.errors import LogDamagedError, LogRolledBackError, ProofInvalidError
from audit.kept import KeptCheckpoint
from audit.merkle import EMPTY_ROOT, Tree, consistency_ids, edge_ids, verify_consistency
from audit.reading import Reading
from audit.rotation import KeyRange, Keyring, read_key_changes, verify_rotation
from audit.store import Store


class Authority(Protocol):
    """What an append asks before it signs, and tells before it answers."""

    def verify_head(self, reading: Reading, head: Checkpoint | None) -> None:
        """Check that the log may be added to; `head` is the checkpoint of the stored tree."""
        ...

    def choose_signer(self, reading: Reading, changes: Sequence[bytes]) -> LogSigner:
        """Return who signs a batch; `changes` are its headers that change the log's key."""
        ...

    def keep(self, note: str) -> None:
        """Make a checkpoint durable outside the database, after the commit."""
        ...


class SoleSigner:
    """One key and nothing outside: for logs that live and die in one place.

    Parameters
    ----------
    signer
        Signs everything.
    """

    def __init__(self, signer: LogSigner) -> None:
        self._signer = signer

    def verify_head(self, reading: Reading, head: Checkpoint | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Check that the log is this signer's."""
        _verify_origin(head, self._signer.origin)

    def choose_signer(self, reading: Reading, changes: Sequence[bytes]) -> LogSigner:  # noqa: ARG002 - the protocol's signature
        """Return the signer."""
        verify_rotation(changes, self._signer)
        return self._signer

    def keep(self, note: str) -> None:
        """Keep nothing."""


class Notary:
    """The log's key of the moment, and the checkpoint kept outside.

    Parameters
    ----------
    keyring
        Knows the signer.
    kept
        The file outside the database.
    """

    def __init__(self, keyring: Keyring, kept: KeptCheckpoint) -> None:
        self.keyring = keyring
        self.kept = kept

    def verify_head(self, reading: Reading, head: Checkpoint | None) -> None:
        """Check that the stored tree is the present key's and continues the kept checkpoint.

        Raises
        ------
        LogDamagedError
            If the last checkpoint is of another origin than the key.
        LogRolledBackError
            If the database is smaller than the kept checkpoint, or another history.
        CheckpointLostError
            If the kept checkpoint is gone or damaged.
        StoreUnavailableError
            If the kept checkpoint cannot be read.
        """
        origin = parse_verifier_key(self.keyring.present_key(reading)).name
        self.kept.verify_present(0 if head is None else head.tree_size)
        verify_continues(reading, head, self.kept.read(origin), origin)
        _verify_origin(head, origin)

    def verify(self, store: Store) -> int:
        """Check the whole of it from outside an append, and return the size of the tree.

        Raises
        ------
        LogDamagedError, LogRolledBackError, CheckpointLostError, StoreUnavailableError
            See `verify_head`.
        CheckpointInvalidError
            If the newest checkpoint is malformed.
        """
        with store.reading() as reading:
            origin = parse_verifier_key(self.keyring.present_key(reading)).name
        # Read before the snapshot is taken, as another process may append in between.
        kept_note = self.kept.read(origin)
        with store.reading() as reading:
            head = read_head(reading)
            tree_size = reading.tree_size()
            self.kept.verify_present(tree_size)
            verify_continues(reading, head, kept_note, origin)
            return tree_size

    def choose_signer(self, reading: Reading, changes: Sequence[bytes]) -> LogSigner:
        """Return the signer of the moment.

        Raises
        ------
        LogKeyChangedError
            If the batch changes the key otherwise than by one rotation from it.
        """
        signer = self.keyring.present(reading)
        verify_rotation(changes, signer)
        return signer

    def keep(self, note: str) -> None:
        """Make a checkpoint durable outside the database; see `KeptCheckpoint.keep`."""
        self.kept.keep(note)

    def ranges(self, reading: Reading) -> list[KeyRange]:
        """Return all keys of the log with the sizes that they signed."""
        return self.keyring.ranges(reading)


def read_head(reading: Reading) -> Checkpoint | None:
    """Return the newest checkpoint of the database, or None for an empty log.

    Raises
    ------
    CheckpointInvalidError
        If it is malformed.
    """
    note = reading.head()
    return None if note is None else parse_checkpoint(note)


def verify_continues(
    reading: Reading, head: Checkpoint | None, kept_note: str | None, origin: str
) -> None:
    """Check that the stored tree continues the checkpoint kept outside.

    Parameters
    ----------
    reading
        A snapshot no older than the kept note: kept comes after commit, so an older one could
        look like a rollback.
    head
        Checkpoint of the stored tree.
    kept_note
        What was kept, or None for nothing.
    origin
        Name of the log.

    Raises
    ------
    LogRolledBackError
        See `Notary.verify_head`.
    """
    if kept_note is None:
        return
    last = parse_checkpoint(kept_note)
    # 1. Of an earlier origin: a recovery has named what was lost with it.
    if last.origin != origin:
        if not any(change.kept_note == kept_note for change in read_key_changes(reading)):
            raise LogRolledBackError(f"the last checkpoint is of another origin, {last.origin}")
        return
    # 2. Smaller than what was signed.
    tree_size = 0 if head is None else head.tree_size
    if tree_size < last.tree_size:
        detail = f"the database holds {tree_size} entries, but {last.tree_size} were signed"
        raise LogRolledBackError(detail)
    # 3. As large or larger: the signed tree has to be its beginning.
    root_hash = EMPTY_ROOT if head is None else head.root_hash
    ids = edge_ids(tree_size) + consistency_ids(last.tree_size, tree_size)
    try:
        proof = Tree(tree_size, reading.nodes(ids)).consistency_proof(last.tree_size)
        verify_consistency(last.tree_size, tree_size, last.root_hash, root_hash, proof)
    except (KeyError, ProofInvalidError) as error:
        detail = f"the database is another history than the {last.tree_size} entries signed"
        raise LogRolledBackError(detail) from error


def _verify_origin(head: Checkpoint | None, origin: str) -> None:
    if head is not None and head.origin != origin:
        raise LogDamagedError("the tree is not the one that was last signed by this log")

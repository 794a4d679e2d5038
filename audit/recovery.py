"""Going on after the log was lost in part: a new origin and key, and an entry that says so.

A tree smaller than one that was signed is never signed again under the same name. Whatever is
left in the database stays where it is and goes on under a new origin; its first entry,
`log-recovered`, names the lost range and holds both checkpoints. Receipts given before stay
verifiable with the old key, those of the lost entries included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.checkpoint import Checkpoint, LogSigner, parse_checkpoint
from audit.errors import CheckpointLostError, LogRolledBackError, NothingToRecoverError
from audit.kept import KeptCheckpoint
from audit.log import Appended, append
from audit.reading import Reading
from audit.records import Entry, EntryType
from audit.seal import Sealer
from audit.store import Store
from audit.witnessed import Notary, read_head
from models.domain import Json


@dataclass(frozen=True, slots=True)
class Loss:
    """What a recovery has to name.

    Parameters
    ----------
    reason
        Why the log may not go on as it is; one sentence.
    old_key
        Verifier key that signed so far.
    found_size
        Entries that are left in the database.
    signed_size
        Entries that are known to have been signed under the old key.
    found_note, kept_note
        The checkpoints of the two; None where there is none.
    """

    reason: str
    old_key: str
    found_size: int
    signed_size: int
    found_note: str | None
    kept_note: str | None


def assess_loss(store: Store, notary: Notary) -> Loss:
    """Return what is lost, or refuse because nothing is.

    Raises
    ------
    NothingToRecoverError
        If the database continues the kept checkpoint.
    LogDamagedError, StoreUnavailableError, CheckpointInvalidError
        If the database is damaged otherwise; a recovery cannot help then.
    """
    try:
        notary.verify(store)
    except (LogRolledBackError, CheckpointLostError) as error:
        reason = error.detail
    else:
        raise NothingToRecoverError("the database continues the last checkpoint")
    with store.reading() as reading:
        old_key = notary.keyring.present_key(reading)
        found_note, head = reading.head(), read_head(reading)
    try:
        kept_note = notary.kept.read(old_key.partition("+")[0])
    except CheckpointLostError:
        kept_note = None
    kept_size = 0 if kept_note is None else parse_checkpoint(kept_note).tree_size
    found_size = 0 if head is None else head.tree_size
    return Loss(reason, old_key, found_size, max(kept_size, found_size), found_note, kept_note)


def recover(
    store: Store,
    notary: Notary,
    signer: LogSigner,
    sealer: Sealer,
    *,
    entry_id: str,
    recorded_at: datetime,
    facts: dict[str, Json],
) -> tuple[Loss, Appended]:
    """Begin a new origin and key on top of what is left.

    Parameters
    ----------
    store, notary
        The log that may not go on.
    signer
        Of a new origin; its private key is stored already.
    sealer
        See `audit.log.append`.
    entry_id, recorded_at, facts
        Of the entry.

    Raises
    ------
    NothingToRecoverError, LogDamagedError, StoreUnavailableError, CheckpointInvalidError
        See `assess_loss`; nothing was changed.
    """
    loss = assess_loss(store, notary)
    header: dict[str, Json] = {
        "old_key": loss.old_key,
        "new_key": signer.verifier_key,
        "found_size": loss.found_size,
        "signed_size": loss.signed_size,
        "found": loss.found_note,
        "kept": loss.kept_note,
    }
    entry = Entry(
        entry_id=entry_id,
        entry_type=EntryType.LOG_RECOVERED,
        recorded_at=recorded_at,
        header=header,
        facts={**facts, "reason": loss.reason},
    )
    [appended] = append(store, [entry], _Recovering(loss, signer, notary.kept), sealer)
    if not isinstance(appended, Appended):
        raise appended
    return loss, appended


class _Recovering:
    """Signs the one entry that begins a new origin."""

    def __init__(self, loss: Loss, signer: LogSigner, kept: KeptCheckpoint) -> None:
        self._loss = loss
        self._signer = signer
        self._kept = kept

    def verify_head(self, reading: Reading, head: Checkpoint | None) -> None:  # noqa: ARG002 - the protocol's signature
        """Check that the database is still what the loss was assessed from."""
        if reading.head() != self._loss.found_note:
            raise NothingToRecoverError("the database was changed in between")

    def choose_signer(self, reading: Reading, changes: Sequence[bytes]) -> LogSigner:  # noqa: ARG002 - the protocol's signature
        """Return the new signer."""
        return self._signer

    def keep(self, note: str) -> None:
        """Keep the new origin's checkpoint; the old file stays beside it."""
        self._kept.begin(note)

"""The errors of recording and proving.

Each says what is wrong with this occurrence (`detail`, never personal data) and what to do
about it (`remedy`). None of them knows HTTP.
"""

from models.errors import PlatformError


class AuditError(PlatformError):
    """Something about the log is not as it has to be."""

    code = "audit-failed"
    default_remedy = "Run `candor verify` and read what it names."


class UnsafeStoreError(AuditError):
    """The SQLite version and journal mode in use can lose acknowledged commits."""

    code = "unsafe-store"
    default_remedy = (
        "Use SQLite 3.51.3 or later (pysqlite3 brings one), or journal_mode=DELETE with "
        "synchronous=EXTRA."
    )


class StoreUnavailableError(AuditError):
    """The store could not be read or written, so nothing was recorded."""

    code = "store-unavailable"
    default_remedy = "Free disk space or restore access to the store, then send the request again."


class LogDamagedError(AuditError):
    """The stored tree does not match its last checkpoint, so nothing may be added to it."""

    code = "log-damaged"
    default_remedy = "Run `candor verify`, restore the entry it names from a copy, then try again."


class IdempotencyConflictError(AuditError):
    """The Idempotency-Key was used before with another body."""

    code = "idempotency-conflict"
    default_remedy = "Send the first body again, or choose a new Idempotency-Key."


class EntryExistsError(AuditError):
    """An entry with this id is in the log already."""

    code = "entry-exists"
    default_remedy = "Give every entry an id of its own."


class RecordNotFoundError(AuditError):
    """No such entry, checkpoint or tile is in the log."""

    code = "record-not-found"
    default_remedy = "Check the id, or list what there is."


class RecordVoidError(AuditError):
    """A decision without snapshot, model version or confidence is not a record."""

    code = "record-void"
    default_remedy = "Record the decision with its features, model version, bundle and confidence."


class RecordMalformedError(AuditError):
    """Bytes that should be a record are not in a record's form."""

    code = "record-malformed"
    default_remedy = "Compare the bytes with the header's hash; restore them from a copy."


class CheckpointInvalidError(AuditError):
    """A checkpoint is malformed or not signed by the log's key."""

    code = "checkpoint-invalid"
    default_remedy = "Fetch the checkpoint again and check that the verifier key is the log's."


class VerifierKeyInvalidError(AuditError):
    """A verifier key is not of the form name+hash+base64."""

    code = "verifier-key-invalid"
    default_remedy = "Copy the key again from `GET /v1/log/key`, whole and on one line."


class ProofInvalidError(AuditError):
    """A proof does not lead from the leaf to the root."""

    code = "proof-invalid"
    default_remedy = "Fetch leaf and receipt again; if it still fails, the record was changed."


class SealBrokenError(AuditError):
    """A sealed part cannot be opened with this key for this entry."""

    code = "seal-broken"
    default_remedy = "Check that the key is the store's own; a changed sealed part never opens."


class SearchInvalidError(AuditError):
    """A search asks for what cannot be searched."""

    code = "search-invalid"
    default_remedy = "Use aware times, a limit from 1 to 1000 and a cursor that a search gave."

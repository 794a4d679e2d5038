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
    """The database as it is set up could lose acknowledged commits, or have records changed."""

    code = "unsafe-store"
    default_remedy = (
        "SQLite: 3.51.3 or later (pysqlite3 brings one), or journal_mode=DELETE with "
        "synchronous=EXTRA. PostgreSQL: set it up as docs/databases.md says."
    )


class SchemaOutdatedError(AuditError):
    """The database's schema is not the one that this program works with."""

    code = "schema-outdated"
    default_remedy = "Run `candor database migrate` with the owner's CANDOR_DATABASE_OWNER_URL."


class DatabaseUrlError(AuditError):
    """The URL of the database is malformed, or of a database that is not supported."""

    code = "database-url-invalid"
    default_remedy = "Write it as docs/databases.md says: sqlite:///… or postgresql+psycopg://…"


class StoreUnavailableError(AuditError):
    """The store could not be read or written, so nothing was recorded."""

    code = "store-unavailable"
    default_remedy = "Free disk space or restore access to the store, then send the request again."


class LogDamagedError(AuditError):
    """The stored tree does not match its last checkpoint, so nothing may be added to it."""

    code = "log-damaged"
    default_remedy = "Run `candor verify`, restore the entry it names from a copy, then try again."


class LogRolledBackError(LogDamagedError):
    """The database is not a continuation of the last checkpoint kept outside it."""

    code = "log-rolled-back"
    default_remedy = (
        "Restore the newest copy of the database; if there is none, `candor recover --confirm` "
        "goes on under a new origin and key and records what is lost."
    )


class CheckpointLostError(LogDamagedError):
    """The checkpoint kept outside the database is missing or unreadable."""

    code = "checkpoint-lost"
    default_remedy = (
        "Mount the disk that holds it or restore the file; if it is gone for good, "
        "`candor recover --confirm` goes on under a new origin and key."
    )


class NothingToRecoverError(AuditError):
    """The database continues the last checkpoint, so nothing is lost."""

    code = "nothing-to-recover"
    default_remedy = "Go on as before; to change only the key, use `candor log rotate-key`."


class LogKeyChangedError(AuditError):
    """A change of the log's key does not follow from the key in use."""

    code = "log-key-changed"
    default_remedy = "Read `GET /v1/log/keys` and begin the rotation again."


class CosignatureInvalidError(AuditError):
    """A note holds no cosignature of a known witness over a checkpoint of this log."""

    code = "cosignature-invalid"
    default_remedy = (
        "Cosign a checkpoint that `GET /v1/log/checkpoint` gave, with the key that is configured "
        "for the witness."
    )


class AnchorInvalidError(AuditError):
    """A timestamping authority's reply is not a timestamp of this checkpoint."""

    code = "anchor-invalid"
    default_remedy = (
        "Check the address in CANDOR_TIMESTAMP_URLS and the authority's CA file beside it."
    )


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


class ErasedError(AuditError):
    """The data subject was erased: the key of its sealed parts is destroyed."""

    code = "erased"
    default_remedy = "Nothing brings it back; header, facts and proof of the record still stand."


class RecordPurgedError(AuditError):
    """The facts of the record were removed when its retention had ended."""

    code = "record-purged"
    default_remedy = "Nothing brings it back; header and proof of the record still stand."


class PurgeInvalidError(AuditError):
    """An entry that says what was purged covers what it may not, or cannot be read."""

    code = "purge-invalid"
    default_remedy = "Run `candor verify`; parts that only this entry covers count as missing."


class PurgeOutdatedError(AuditError):
    """Something was recorded about a record that was just about to be purged."""

    code = "purge-outdated"
    default_remedy = "Run `candor purge` again."


class SubjectKeyMissingError(AuditError):
    """The key of a sealed part is not in the key store, and no erasure says why."""

    code = "subject-key-missing"
    default_remedy = "Restore the key store (`keys/subjects.db`) from its own backup."


class KeyEncryptionError(AuditError):
    """The key-encryption key at hand is not the one that the key store was wrapped under."""

    code = "key-encryption-wrong"
    default_remedy = "Give the service the key-encryption key of the epoch that the detail names."


class KeyUnavailableError(AuditError):
    """The key-encryption key cannot be had at the moment, so nothing is sealed or opened."""

    code = "key-unavailable"
    default_remedy = (
        "Restore access to the key service that CANDOR_KMS_COMMAND asks; the service goes on by "
        "itself, then send the request again."
    )


class LedgerDamagedError(AuditError):
    """The erasure ledger cannot be read, so nothing that was sealed may be shown."""

    code = "ledger-damaged"
    default_remedy = "Restore `keys/erasures.jsonl` from its own newest copy."


class LedgerBehindError(AuditError):
    """The log records erasures that the erasure ledger does not know."""

    code = "ledger-behind"
    default_remedy = (
        "Restore the newest copy of `keys/erasures.jsonl`; an older one loses erasures."
    )


class SubjectNotFoundError(AuditError):
    """Nothing is sealed under a key of this data subject."""

    code = "subject-not-found"
    default_remedy = "Check the id; a subject that was erased is not known any more."


class SubjectHeldError(AuditError):
    """A legal hold forbids to erase the data subject."""

    code = "subject-held"
    default_remedy = "Lift the hold with `candor hold remove`, then erase."


class SearchInvalidError(AuditError):
    """A search asks for what cannot be searched."""

    code = "search-invalid"
    default_remedy = "Use aware times, a limit from 1 to 1000 and a cursor that a search gave."


class ArchiveUnavailableError(AuditError):
    """A record of a released month is asked for, and its archive file cannot be read."""

    code = "archive-unavailable"
    default_remedy = "Restore access to the archive (CANDOR_ARCHIVE_URL), or its missing file."


class ArchiveDamagedError(AuditError):
    """An archive file is not as it was written."""

    code = "archive-damaged"
    default_remedy = "Run `candor verify`, restore the file that it names from a copy."

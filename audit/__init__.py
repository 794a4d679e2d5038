"""From a decision to proof of it; SQL and bytes, no HTTP and no MLflow.

Read `log.append` first: entries (`records`, `identifiers`, `facts`) become canonical headers
(`canonical`) with parts sealed (`seal`) under a key for each data subject (`subject_keys`), a
longer Merkle tree (`merkle`), one signed head (`checkpoint`) and receipts (`receipt`), written in
one transaction (`store`, `reading`, `tables`, `guards`; `sqlite` or `postgres`). `schema`,
`migrations` and `ownership` make the tables; `folders` makes names durable. `tiles` serves the log
to other tools, `verify` (`scan`, `opening`, `inspection`, `counters`) checks all that is stored,
`replay` decides a record again and `divergence` says why it differs, `erasure` destroys a subject's
key, and `ledger` remembers that it did. `rotation` knows whose key signs, `witnessed` and `kept`
compare the log with a checkpoint outside the database, `recovery` goes on after a loss,
`cosignature` keeps what witnesses signed. `archive` (`archive_files`, `archive_place`,
`archive_rows`, `archive_index`) moves months that are over to Parquet, `archive_source` reads them
back, `archive_check` checks them and `archive_stream` joins them with the hot store. `purge`
(`purge_plan`, `purge_rows`, `retention`) removes what is due, and `archive_purge` takes it out of
the files.
"""

__all__ = [
    "archive",
    "archive_check",
    "archive_files",
    "archive_index",
    "archive_place",
    "archive_purge",
    "archive_rows",
    "archive_source",
    "archive_stream",
    "canonical",
    "checkpoint",
    "cosignature",
    "divergence",
    "erasure",
    "errors",
    "facts",
    "folders",
    "guards",
    "identifiers",
    "inspection",
    "kept",
    "ledger",
    "log",
    "merkle",
    "migrations",
    "opening",
    "ownership",
    "postgres",
    "reading",
    "receipt",
    "records",
    "recovery",
    "replay",
    "rotation",
    "scan",
    "schema",
    "seal",
    "sqlite",
    "store",
    "subject_keys",
    "tables",
    "tiles",
    "verify",
    "witnessed",
]

"""From a decision to proof of it; SQL and bytes, no HTTP and no MLflow.

Read `log.append` first: entries (`records`, `facts`) become canonical headers (`canonical`) with
sealed parts (`seal`), a longer Merkle tree (`merkle`), one signed head (`checkpoint`) and receipts
(`receipt`), written in one transaction (`store`, `reading`, `tables`, `sqlite`). `tiles` serves
the log to other tools, `verify` (`scan`, `inspection`) checks all that is stored, `replay` decides
a record again.
"""

__all__ = [
    "canonical",
    "checkpoint",
    "errors",
    "facts",
    "inspection",
    "log",
    "merkle",
    "reading",
    "receipt",
    "records",
    "replay",
    "scan",
    "seal",
    "sqlite",
    "store",
    "tables",
    "tiles",
    "verify",
]

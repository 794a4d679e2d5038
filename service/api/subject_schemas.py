"""The shape of an erasure's answer."""

from pydantic import BaseModel

from service.api.schemas import Receipt


class NamedExport(BaseModel):
    """An export that opened a personal part of the subject: a file that still shows it."""

    entry_id: str
    leaf_index: int
    exported_at: str
    bundle_sha256: str
    removed: bool


class Erasure(BaseModel):
    """What an erasure did: the entry that proves it, and what can no longer be shown."""

    entry_id: str
    erased_at: str
    records: dict[str, int]
    decision_ids: list[str]
    lost: list[str]
    exports: list[NamedExport]
    receipt: Receipt


SUBJECT_DOCUMENTED = (Erasure, NamedExport)

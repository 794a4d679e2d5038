"""The shape of an erasure's answer."""

from pydantic import BaseModel

from service.api.schemas import Receipt


class Erasure(BaseModel):
    """What an erasure did: the entry that proves it, and what can no longer be shown."""

    entry_id: str
    erased_at: str
    records: dict[str, int]
    decision_ids: list[str]
    lost: list[str]
    receipt: Receipt


SUBJECT_DOCUMENTED = (Erasure,)

"""The shapes of anchors."""

from pydantic import BaseModel


class AnchorPlace(BaseModel):
    """Who stamped which checkpoint, and when by their clock."""

    tree_size: int
    authority: str
    stamped_at: str


class AnchorList(BaseModel):
    """Timestamps of the log, newest first."""

    anchors: list[AnchorPlace]


class Timestamp(AnchorPlace):
    """A timestamp: RFC 3161 TimeStampResp, in base64."""

    reply: str


class AnchoredCheckpoint(BaseModel):
    """A checkpoint as it was stamped, and its timestamps."""

    tree_size: int
    checkpoint: str
    anchors: list[Timestamp]


ANCHOR_DOCUMENTED = (AnchorList, AnchoredCheckpoint)

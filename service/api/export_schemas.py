"""The shapes of exports: what is asked for, and how far it has come."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

_Id = Annotated[str, Field(min_length=1, max_length=256)]


class ExportRequest(BaseModel):
    """What to export; everything is optional, and without anything it is the whole log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_at: Annotated[AwareDatetime | None, Field(alias="from")] = None
    to_at: Annotated[AwareDatetime | None, Field(alias="to")] = None
    kind: Annotated[str | None, Field(max_length=64)] = None
    decisions: Annotated[list[_Id] | None, Field(min_length=1, max_length=100_000)] = None
    orders: Annotated[list[_Id] | None, Field(max_length=1_000_000)] = None
    reason: Annotated[str | None, Field(min_length=1, max_length=4000, pattern=r"\S")] = None


class ExportProblem(BaseModel):
    """Why an export failed."""

    code: str
    detail: str
    remedy: str


class ExportedOrders(BaseModel):
    """How many orders were supplied, and how many of them have a decision."""

    supplied: int
    found: int


class Exported(BaseModel):
    """What was exported, and the entry of the log that says so."""

    begin: int
    end: int
    head: int
    decisions: int
    orders: ExportedOrders | None
    is_personal: bool
    bytes: int
    sha256: str
    manifest_sha256: str
    entry_id: str
    leaf_index: int


class Export(BaseModel):
    """How far an export has come."""

    export_id: str
    status: Literal["queued", "running", "done", "failed"]
    requested_at: AwareDatetime
    actor: str
    is_personal: bool
    result: Exported | None
    problem: ExportProblem | None
    download: str | None


EXPORT_DOCUMENTED: tuple[type[BaseModel], ...] = (ExportRequest, Export)

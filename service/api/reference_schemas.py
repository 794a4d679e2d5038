"""The shapes of reference tables, and of a replay that asks other versions of them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from service.api.schemas import Scalar, Words

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
_Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class ReferenceRow(BaseModel):
    """One entry of a reference table."""

    id: str
    valid_from: str | None = None
    valid_to: str | None = None
    values: dict[str, Scalar]


class ReferenceTable(BaseModel):
    """One version of a reference table, as docs/writing-a-reference-table.md describes it."""

    name: str
    title: Words
    source: str
    as_of: AwareDatetime
    staleness_days: float | None = None
    columns: list[str]
    rows: list[ReferenceRow]


class ReferenceVersion(BaseModel):
    """A version of a reference table, and the entry that brought it into force."""

    name: str
    digest: str
    as_of: AwareDatetime
    source: str
    staleness_days: float | None
    rows: int
    bootstrap: bool
    origin: Literal["file", "http", "built-in"]
    actor: str
    entry_id: str
    leaf_index: int
    recorded_at: AwareDatetime


class ReferenceListed(ReferenceVersion):
    """A version in force, and the live kinds that ask it."""

    is_stale: bool
    kinds: list[str]


class ReferenceList(BaseModel):
    """The version in force of every table."""

    references: list[ReferenceListed]


class ReferenceRead(ReferenceVersion):
    """One version with its content, and the table's versions, newest first."""

    is_stale: bool
    in_force: bool
    table: ReferenceTable
    versions: list[ReferenceVersion]


class ReferenceLoading(ReferenceVersion):
    """What came of loading a version: `recorded` is false when it was in force already."""

    recorded: bool


class ReplayRequest(BaseModel):
    """Which versions of the reference tables to ask instead of those recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: AwareDatetime | None = None
    references: dict[_Name, _Digest] = Field(default_factory=dict)


REFERENCE_DOCUMENTED: tuple[type[BaseModel], ...] = (
    ReferenceTable,
    ReferenceList,
    ReferenceRead,
    ReferenceLoading,
    ReplayRequest,
)

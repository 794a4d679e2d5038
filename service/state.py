"""API keys: who has one, in tables of their own beside the log.

A key is 256 random bits; only its SHA-256 is kept, so a copy of the database opens nothing. Each
creation and revocation is also an entry of the log (`service.usecases.keys`).
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from sqlalchemy import Column, Engine, LargeBinary, MetaData, Text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import Field, Session, SQLModel, col, select

from audit.errors import StoreUnavailableError
from audit.tables import MAY_CHANGE, UtcDateTime
from service.auth import Principal, Role
from service.errors import ApiKeyNotFoundError

METADATA: Final = MetaData()
_KEY_BYTES: Final = 32
_KEY_PREFIX: Final = "candor_"
_FAILURES: Final = (DBAPIError, PoolTimeoutError)


class ApiKeyRow(SQLModel, table=True):
    """One API key."""

    metadata = METADATA
    __tablename__ = "api_key"
    __table_args__ = {"info": {MAY_CHANGE: ("revoked_at",)}}

    id: str = Field(sa_column=Column("id", Text, primary_key=True))
    name: str = Field(sa_column=Column("name", Text, nullable=False))
    role: str = Field(sa_column=Column("role", Text, nullable=False))
    key_sha256: bytes = Field(
        sa_column=Column("key_sha256", LargeBinary, unique=True, nullable=False)
    )
    created_at: datetime = Field(sa_column=Column("created_at", UtcDateTime, nullable=False))
    revoked_at: datetime | None = Field(sa_column=Column("revoked_at", UtcDateTime))


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret."""

    id: str
    name: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None


def make_secret() -> str:
    """Return a new key: 256 random bits."""
    return _KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def hash_secret(secret: str) -> bytes:
    """Return what is kept of a key: its SHA-256, 32 bytes."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


class ApiKeys:
    """The table of API keys.

    Parameters
    ----------
    engine
        Of the store's database, after the store was opened: that makes the table.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find_principal(self, key: str) -> Principal | None:
        """Return whose key this is; None when it is unknown or revoked.

        Raises
        ------
        StoreUnavailableError
            If the table cannot be read.
        """
        digest = hash_secret(key)
        query = select(col(ApiKeyRow.id), col(ApiKeyRow.role)).where(
            col(ApiKeyRow.key_sha256) == digest, col(ApiKeyRow.revoked_at).is_(None)
        )
        try:
            with self._engine.connect() as connection:
                row = connection.execute(query).first()
        except _FAILURES as error:
            raise StoreUnavailableError("the table of API keys cannot be read") from error
        return None if row is None else Principal(row.id, Role(row.role))

    def add(self, key: ApiKey, secret: str) -> None:
        """Keep a new key.

        Raises
        ------
        StoreUnavailableError
            If it could not be written.
        """
        row = ApiKeyRow(
            id=key.id,
            name=key.name,
            role=key.role.value,
            key_sha256=hash_secret(secret),
            created_at=key.created_at,
            revoked_at=None,
        )
        try:
            with Session(self._engine) as session:
                session.add(row)
                session.commit()
        except _FAILURES as error:
            raise StoreUnavailableError("the API key could not be written") from error

    def revoke(self, key_id: str, revoked_at: datetime) -> ApiKey:
        """Make a key unknown from now on; revoking it again changes nothing.

        Raises
        ------
        ApiKeyNotFoundError
            If there is no such key.
        StoreUnavailableError
            If it could not be written.
        """
        try:
            with Session(self._engine) as session:
                row = session.get(ApiKeyRow, key_id)
                if row is None:
                    raise ApiKeyNotFoundError("no API key has this id")
                row.revoked_at = row.revoked_at or revoked_at
                session.add(row)
                session.commit()
                return _api_key(row)
        except _FAILURES as error:
            raise StoreUnavailableError("the revocation could not be written") from error

    def list_all(self) -> list[ApiKey]:
        """Return every key, oldest first.

        Raises
        ------
        StoreUnavailableError
            If the table cannot be read.
        """
        try:
            with Session(self._engine) as session:
                query = select(ApiKeyRow).order_by(col(ApiKeyRow.created_at))
                return [_api_key(row) for row in session.exec(query)]
        except _FAILURES as error:
            raise StoreUnavailableError("the table of API keys cannot be read") from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _api_key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(row.id, row.name, Role(row.role), row.created_at, row.revoked_at)

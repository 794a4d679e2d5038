"""A database for one test, SQLite or PostgreSQL, and what a stranger could do to it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysqlite3

from audit.store import Store, open_store
from tests.pooler import Pooler
from tests.postgres import OWNER, SERVICE, PostgresServer

# The last is PostgreSQL with pgbouncer in front of it.
SQLITE, POSTGRESQL, POOLED = "sqlite", "postgresql", "pgbouncer"


class SampleDatabase:
    """A database that a store can be opened in.

    Parameters
    ----------
    folder
        Where the SQLite file lies.
    server
        PostgreSQL's server; None means SQLite.
    template
        PostgreSQL: the database that it is a copy of; empty for one with our schema alone.
    file
        Name of the SQLite file.
    pooler
        PostgreSQL: what a service connects to; None means the server itself.
    """

    def __init__(
        self,
        folder: Path,
        server: PostgresServer | None,
        template: str = "",
        file: str = "log.db",
        pooler: Pooler | None = None,
    ) -> None:
        self.server = server
        self.pooler = pooler
        self.path = folder / file
        self.name = "" if server is None else server.make_database(template=template)
        if pooler is not None:
            self.url = pooler.url(self.name)
        elif server is not None:
            self.url = server.url(self.name, SERVICE)
        else:
            self.url = f"sqlite:///{self.path}"

    @property
    def owner_url(self) -> str:
        """Return the owner's URL; of PostgreSQL only."""
        assert self.server is not None
        return self.server.url(self.name, OWNER)

    @property
    def zeros(self) -> str:
        """Return 32 zero bytes as an SQL expression."""
        return "zeroblob(32)" if self.server is None else "decode(repeat('00', 32), 'hex')"

    def open(self, **settings: Any) -> Store:  # noqa: ANN401 - settings of open_store
        """Open the store as a service does."""
        return open_store(self.url, **settings)

    def connect(self) -> Any:  # noqa: ANN401 - a DBAPI connection has no type
        """Connect as somebody who may do everything; each statement is a transaction."""
        if self.server is None:
            return pysqlite3.connect(self.path, isolation_level=None)
        return self.server.admin(self.name)

    def tamper(self, *statements: str) -> None:
        """Switch every guard off for good, then change what should not change."""
        connection = self.connect()
        if self.server is None:
            query = "SELECT 'DROP TRIGGER ' || name FROM sqlite_master WHERE type = 'trigger'"
        else:
            query = (
                "SELECT format('ALTER TABLE %I DISABLE TRIGGER ALL', tablename) "
                "FROM pg_tables WHERE schemaname = 'public'"
            )
        unguard = [row[0] for row in connection.execute(query).fetchall()]
        for statement in [*unguard, *statements]:
            connection.execute(statement)
        connection.close()

    def copy(self) -> "SampleDatabase":
        """Return a copy as of now, as a backup is; nobody may be connected to this one."""
        folder = self.path.with_name("copy")
        folder.mkdir()
        if self.server is None:
            shutil.copy(self.path, folder)
        return SampleDatabase(folder, self.server, self.name, pooler=self.pooler)

    def overwrite(self, table: str, column: str, edit: Callable[[bytes], bytes]) -> None:
        """Change a column of bytes in every row that has a leaf index, guards off."""
        self.tamper()
        connection = self.connect()
        mark = "?" if self.server is None else "%s"
        rows = connection.execute(f"SELECT leaf_index, {column} FROM {table}").fetchall()  # noqa: S608 - names of tests
        for leaf_index, old in rows:
            update = f"UPDATE {table} SET {column} = {mark} WHERE leaf_index = {mark}"  # noqa: S608 - names of tests
            connection.execute(update, (edit(old), leaf_index))
        connection.close()

    def close(self) -> None:
        """Remove a PostgreSQL database; a file goes with its folder."""
        if self.server is not None:
            self.server.drop_database(self.name)

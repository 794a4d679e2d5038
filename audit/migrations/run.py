"""Running revisions with alembic, and comparing the schema with the tables in code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from alembic.autogenerate import produce_migrations
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData

from audit.postgres import read_partitions

_FOLDER: Final = Path(__file__).parent


def newest_revision() -> str | None:
    """Return the newest revision that there is a file for."""
    return _scripts().get_current_head()


def upgrade_schema(connection: Connection) -> None:
    """Run the revisions that the database does not have yet.

    Parameters
    ----------
    connection
        In a transaction, which stays open; nothing of it lasts unless that commits.
    """
    scripts = _scripts()

    def steps(revision: Any, _context: MigrationContext) -> Any:  # noqa: ANN401 - alembic's own types are private
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001 - the function that alembic's upgrade command runs

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def find_drift(connection: Connection, metadata: Sequence[MetaData]) -> list[object]:
    """Return what `alembic check` would report: differences of the schema and the tables in code.

    Parameters
    ----------
    connection
        To a database at the newest revision.
    metadata
        All tables that the database should have.
    """
    partitions = set()
    if connection.dialect.name == "postgresql":
        partitions = {one.name for one in read_partitions(connection)}
    context = MigrationContext.configure(
        connection,
        opts={
            "target_metadata": list(metadata),
            "compare_type": True,
            "compare_server_default": True,
            # Partitions come and go with the months; their tables are compared.
            "include_name": lambda name, kind, _parents: kind != "table" or name not in partitions,
        },
    )
    # Several MetaData are allowed, but alembic declares one.
    wanted: Any = list(metadata)
    found = produce_migrations(context, wanted).upgrade_ops
    return [] if found is None else list(found.as_diffs())


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_FOLDER), version_locations=[str(_FOLDER / "versions")])

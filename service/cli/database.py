"""`candor database`: the schema, its guards and the service's rights.

An SQLite store needs neither command: whoever opens it brings its schema up to date.
"""

from typing import Final

import typer
from sqlalchemy.engine import make_url

from audit.errors import DatabaseUrlError
from audit.ownership import prepare_database
from audit.schema import HEAD
from audit.store import open_store
from service.cli.options import JsonOption, VarOption, load_settings
from service.cli.output import print_json, reported_errors, say
from service.settings import Settings
from service.state import METADATA

_OWNER_MISSING: Final = "CANDOR_DATABASE_OWNER_URL is not set"
commands = typer.Typer(help="Make and upgrade the database's schema.", no_args_is_help=True)


@commands.command("init")
@commands.command("migrate")
def prepare(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Make or upgrade the tables, guard them, and give the service's database user its rights."""
    with reported_errors():
        revision = prepare_store(load_settings(var))
    if as_json:
        print_json({"revision": revision})
    else:
        say(f"schema revision {revision}")


def prepare_store(settings: Settings) -> str:
    """Bring the database of some settings to the newest revision, and return that.

    Raises
    ------
    UnsafeStoreError, SchemaOutdatedError, StoreUnavailableError
        See `audit.ownership.prepare_database`.
    DatabaseUrlError
        If PostgreSQL's owner or the service's database user is not named.
    """
    url = make_url(settings.store_url)
    if url.get_backend_name() == "sqlite":
        settings.var.mkdir(parents=True, exist_ok=True)
        open_store(settings.store_url).close()
        return HEAD
    if settings.database_owner_url is None:
        raise DatabaseUrlError(_OWNER_MISSING)
    if url.username is None:
        raise DatabaseUrlError("CANDOR_DATABASE_URL names no database user for the service")
    return prepare_database(
        settings.database_owner_url.get_secret_value(), url.username, [METADATA]
    )

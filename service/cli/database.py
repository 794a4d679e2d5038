"""`candor database`: the schema, its guards and the service's rights.

An SQLite store needs neither command: whoever opens it brings its schema up to date.
"""

from contextlib import closing
from datetime import datetime

import typer
from sqlalchemy.engine import make_url

from audit.months import months_from
from audit.ownership import add_partitions, prepare_database
from audit.partitions import inspect_partitions
from audit.schema import HEAD
from audit.store import open_store
from service.cli.options import JsonOption, VarOption, load_settings, require_store
from service.cli.output import print_json, reported_errors, say
from service.settings import Settings
from service.state import METADATA
from service.wiring import find_owner, utc_now

commands = typer.Typer(help="Make and upgrade the database's schema.", no_args_is_help=True)


@commands.command("init")
@commands.command("migrate")
def prepare(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Make or upgrade the tables, guard them, and give the service's database user its rights."""
    with reported_errors():
        revision = prepare_store(load_settings(var), utc_now())
    if as_json:
        print_json({"revision": revision})
    else:
        say(f"schema revision {revision}")


@commands.command("partitions")
def partitions(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Make the monthly partitions of the months ahead; SQLite has none."""
    with reported_errors():
        made = add_months(load_settings(var), utc_now())
    if as_json:
        print_json({"made": [*made]})
    else:
        say(f"made     {', '.join(made) or 'none, all are there'}")


@commands.command("check")
def check(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Check schema, guards, rights and partitions as a start does; warns of what comes due."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with closing(open_store(settings.store_url)) as store, store.raw() as connection:
            warnings = inspect_partitions(connection, utc_now())
    if as_json:
        print_json({"ok": True, "warnings": [*warnings]})
        return
    say("fit")
    for warning in warnings:
        say(f"warning  {warning}; run `candor database partitions`")


def add_months(settings: Settings, now: datetime) -> list[str]:
    """Make the partitions of the months ahead, and return the names of those made.

    Parameters
    ----------
    now
        Aware time.

    Raises
    ------
    DatabaseUrlError, UnsafeStoreError, SchemaOutdatedError, StoreUnavailableError
        See `audit.ownership.add_partitions`.
    """
    if make_url(settings.store_url).get_backend_name() == "sqlite":
        return []
    owner_url, service_role = find_owner(settings)
    months = months_from(now, settings.partition_months + 1)
    return add_partitions(owner_url, service_role, months)


def prepare_store(settings: Settings, now: datetime) -> str:
    """Bring the database of some settings to the newest revision, and return that.

    Parameters
    ----------
    now
        Aware time; partitions are made from its month on.

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
    owner_url, service_role = find_owner(settings)
    months = months_from(now, settings.partition_months + 1)
    return prepare_database(owner_url, service_role, [METADATA], months)

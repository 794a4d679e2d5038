"""Options that commands share."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from sqlalchemy.engine import make_url

from audit.errors import StoreUnavailableError
from service.settings import Settings

ACTOR = "cli"
VarOption = Annotated[
    Path | None,
    typer.Option("--var", help="Folder of everything that a run writes (default: CANDOR_VAR)."),
]
LanguageOption = Annotated[
    Literal["zh-CN", "en"] | None, typer.Option("--lang", help="Of the texts.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every draw.")]


def parse_moment(text: str) -> datetime:
    """Read a time of the command line; without a zone it is UTC.

    Raises
    ------
    typer.BadParameter
        When it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("not a time like 2026-02-01T00:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def load_settings(var: Path | None) -> Settings:
    """Return the settings, with the folder given on the command line."""
    return Settings() if var is None else Settings(var=var)


def require_store(settings: Settings) -> None:
    """Refuse to check an SQLite store that is not there; opening it would make an empty one.

    Raises
    ------
    StoreUnavailableError
        Naming the file.
    """
    url = make_url(settings.store_url)
    if url.get_backend_name() != "sqlite":
        return
    database = url.database
    if database is None or not Path(database).is_file():
        raise StoreUnavailableError(
            f"there is no store at {database}", "Name the folder that holds it: --var DIR."
        )

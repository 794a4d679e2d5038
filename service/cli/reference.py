"""`candor reference`: versions of reference tables."""

from pathlib import Path
from typing import Annotated

import typer

from models.domain import Json
from models.errors import PlatformError
from service.answers import JsonObject
from service.cli.options import ACTOR, JsonOption, VarOption, load_settings, require_store
from service.cli.output import FAILED, print_json, reported_errors, say, warn, working
from service.reference_versions import Origin
from service.usecases.pull import Puller
from service.usecases.records import read_object
from service.usecases.references import (
    list_references,
    load_version,
    read_reference,
    read_table_file,
)
from service.wiring import open_platform

commands = typer.Typer(help="Load, list, show and pull reference tables.", no_args_is_help=True)


@commands.command("load")
def load(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The table, JSON.")],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Although it is older than the version in force.")
    ] = False,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Bring a version of a table into force."""
    with reported_errors(), open_platform(load_settings(var)) as platform:
        table = read_table_file(platform, file)
        loaded = load_version(
            platform, table, actor=ACTOR, origin=Origin.FILE, is_forced=force
        ).describe()
    if as_json:
        print_json(loaded)
    else:
        _print_loaded(loaded)


@commands.command("list")
def list_all(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """List the version in force of every table."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform:
            listed = list_references(platform)
    if as_json:
        print_json(listed)
        return
    for table in _objects(listed["references"]):
        notes = [note for note in ("bootstrap", "is_stale") if table[note]]
        say(_line(table) + "".join(f"  {note.removeprefix('is_')}" for note in notes))


@commands.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name of the table.")],
    digest: Annotated[str | None, typer.Option(help="A version; else the one in force.")] = None,
    *,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Show one version of a table with its content, and what versions there were."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform:
            shown = read_reference(platform, name, digest)
    if as_json:
        print_json(shown)
        return
    say(_line(shown))
    say(f"source  {shown['source']}")
    for row in _objects(read_object(shown["table"])["rows"]):
        values = ", ".join(f"{key} {value}" for key, value in read_object(row["values"]).items())
        say(f"  {row['id']}  {row['valid_from'] or ''} to {row['valid_to'] or ''}  {values}")
    say("versions, newest first:")
    for version in _objects(shown["versions"]):
        say(f"  {version['recorded_at']}  {_line(version)}")


@commands.command("pull")
def pull(
    name: Annotated[str | None, typer.Argument(help="Name of the table; else all.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Load what the sources of the settings serve now."""
    pulled: list[Json] = []
    failed: list[Json] = []
    with reported_errors(), open_platform(load_settings(var)) as platform, working("pulling"):
        puller = Puller(platform, ACTOR)
        for each in puller.names() if name is None else [name]:
            try:
                loading = puller.pull(each)
            except PlatformError as error:
                failed.append({"name": each, "code": error.code, "detail": error.detail})
                warn(f"{each}: {error.code}: {error.detail}\n{error.remedy}")
            else:
                pulled += [] if loading is None else [loading.describe()]
    if as_json:
        print_json({"pulled": pulled, "failed": failed})
    else:
        for loaded in _objects(pulled):
            _print_loaded(loaded)
    if failed:
        raise typer.Exit(FAILED)


def _print_loaded(loaded: JsonObject) -> None:
    say(_line(loaded))
    place = f"entry {loaded['leaf_index']} of the log"
    say(f"in force: {place}" if loaded["recorded"] else f"was in force already: {place}")


def _line(version: JsonObject) -> str:
    return (
        f"{version['name']}  as of {version['as_of']}  {version['rows']} rows  "
        f"{version['origin']}  {version['digest']}"
    )


def _objects(value: Json) -> list[JsonObject]:
    return [read_object(item) for item in value] if isinstance(value, list) else []

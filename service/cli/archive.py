"""`candor archive`: months that are over go to Parquet files, and then out of the hot store."""

from typing import Annotated

import typer

from service.cli.options import ACTOR, JsonOption, VarOption, load_settings, require_store
from service.cli.output import print_json, progress_bar, reported_errors, say
from service.usecases.archive import archive_log
from service.usecases.records import read_object
from service.wiring import open_platform


def archive(
    *,
    release: Annotated[
        bool,
        typer.Option("--release", help="Also remove archived parts from the hot store, as owner."),
    ] = False,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Write every month that is over and not archived yet; nothing happens when none is."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform, progress_bar() as advance:
            done = archive_log(
                platform,
                actor=ACTOR,
                is_releasing=release,
                on_progress=lambda part, total: advance("archive", part / max(total, 1)),
            )
    if as_json:
        print_json(done)
        return
    for what in ("archived", "released"):
        months = done[what]
        for month in map(read_object, months if isinstance(months, list) else []):
            size = f"{month['entries']} entries, {month['files']} files, {month['bytes']} bytes"
            say(f"{what}  {month['month']}  {size}, entry {month['entry_id']}")
    if not done["archived"] and not done["released"]:
        say("nothing is due")

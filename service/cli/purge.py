"""`candor purge`: removing what is older than its retention."""

from typing import Annotated

import typer

from models.domain import Json
from service.cli.options import ACTOR, JsonOption, VarOption, load_settings, require_store
from service.cli.output import print_json, reported_errors, say, working
from service.usecases.purge import purge_records
from service.usecases.records import read_object
from service.wiring import open_platform


def purge(
    *,
    is_trial: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Remove facts and sealed parts whose retention has ended; header and proof stay."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform, working("purging"):
            done = purge_records(platform, actor=ACTOR, is_trial=is_trial)
    if as_json:
        print_json(done)
        return
    verb = "due     " if is_trial else "purged  "
    say(f"{verb} {_listed(done['records']) or 'no records'}")
    say(f"kinds    {_listed(done['decisions']) or 'none'}")
    say(f"held     {done['held']} decisions that are due, for a legal hold's sake")
    if done["away"]:
        say(f"away     {done['away']} decisions, of which parts are missing: run `candor verify`")
    files = read_object(done["archive"])
    if files["replaced"] or files["removed"]:
        say(f"archive  {files['replaced']} files replaced, {files['removed']} removed")
    left = files["left"]
    for path in left if isinstance(left, list) else []:
        say(f"left     {path} is not the archive file that was logged: run `candor verify`")
    if not is_trial:
        say(f"keys     {done['keys']} destroyed")


def _listed(counts: Json) -> str:
    return ", ".join(f"{count} {name}" for name, count in read_object(counts).items())

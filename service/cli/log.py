"""`candor log`: the keys that sign the log, and who else signs."""

import typer

from models.domain import Json
from service.cli.options import ACTOR, JsonOption, VarOption, load_settings, require_store
from service.cli.output import print_json, reported_errors, say
from service.usecases.log_keys import read_ranges, rotate_key
from service.wiring import open_platform

commands = typer.Typer(help="Rotate and list the keys that sign the log.", no_args_is_help=True)


@commands.command("rotate-key")
def rotate(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Make a new key sign the log from the next checkpoint on; an entry of the log."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform:
            appended, vkey = rotate_key(platform, ACTOR)
    if as_json:
        print_json({"verifier_key": vkey, "leaf_index": appended.leaf_index})
    else:
        say(f"entry {appended.leaf_index} names the new key, which signs from the next entry on")
        say(f"key  {vkey}")


@commands.command("keys")
def list_keys(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """List all keys that signed the log, each with the sizes of trees that it signed."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform:
            ranges = read_ranges(platform)
    keys: list[Json] = [
        {"verifier_key": one.vkey, "first_size": one.first_size, "last_size": one.last_size}
        for one in ranges
    ]
    if as_json:
        print_json({"keys": keys})
        return
    for one in ranges:
        last = "-" if one.last_size is None else one.last_size
        say(f"{one.vkey or 'unknown'} {one.first_size} {last}")

"""`candor log`: the keys that sign the log, and who else vouches for it."""

from typing import Annotated

import typer

from audit.anchor import newest_anchors
from audit.records import format_time
from models.domain import Json
from models.errors import PlatformError
from service.cli.options import ACTOR, JsonOption, VarOption, load_settings, require_store
from service.cli.output import FAILED, print_json, reported_errors, say, warn, working
from service.usecases.anchor import anchor_newest, require_authorities
from service.usecases.log_keys import read_ranges, rotate_key
from service.usecases.submit import require_witnesses, submit_newest
from service.wiring import open_platform

commands = typer.Typer(
    help="Keys that sign the log, timestamps of it, and its witnesses.", no_args_is_help=True
)
_LARGEST_SIZE = 2**63 - 1


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


@commands.command("anchor")
def anchor(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Have the newest checkpoint stamped by every timestamping authority of the settings."""
    failed: list[Json] = []
    made: list[Json] = []
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        authorities = require_authorities(settings)
        with open_platform(settings) as platform, working("asking for timestamps"):
            for authority in authorities:
                try:
                    kept = anchor_newest(platform, authority)
                except PlatformError as error:
                    warn(f"{error.code}: {error.detail}")
                    failed.append({"authority": authority.url, "code": error.code})
                    continue
                at = None if kept is None else format_time(kept.stamp.stamped_at)
                size = None if kept is None else kept.tree_size
                made.append({"authority": authority.url, "tree_size": size, "stamped_at": at})
                if not as_json:
                    say(f"{authority.url}: " + (f"{size} entries at {at}" if at else "nothing new"))
    _finish({"anchored": made, "failed": failed}, as_json=as_json)


@commands.command("anchors")
def list_anchors(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="At most so many.")] = 100,
) -> None:
    """List the newest timestamps of the log."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform, platform.store.reading() as reading:
            found = newest_anchors(reading, _LARGEST_SIZE, limit)
    listed: list[Json] = [
        {
            "tree_size": one.tree_size,
            "authority": one.authority,
            "stamped_at": format_time(one.stamp.stamped_at),
        }
        for one in found
    ]
    if as_json:
        print_json({"anchors": listed})
        return
    for one in found:
        say(f"{one.tree_size} {format_time(one.stamp.stamped_at)} {one.authority}")


@commands.command("submit")
def submit(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Have the newest checkpoint cosigned by every witness that has an address."""
    failed: list[Json] = []
    made: list[Json] = []
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        witnesses = require_witnesses(settings)
        with open_platform(settings) as platform, working("asking for cosignatures"):
            for witness in witnesses:
                try:
                    kept = submit_newest(platform, witness)
                except PlatformError as error:
                    warn(f"{error.code}: {error.detail}")
                    failed.append({"witness": witness.name, "code": error.code})
                    continue
                made.append({"witness": witness.name, "lines": [one.line for one in kept]})
                if not as_json:
                    say(f"{witness.name}: " + ("cosigned" if kept else "nothing new"))
    _finish({"submitted": made, "failed": failed}, as_json=as_json)


def _finish(result: dict[str, Json], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    if result["failed"]:
        raise typer.Exit(FAILED)

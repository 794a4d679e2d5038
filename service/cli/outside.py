"""`candor outside`: kinds that an outside node serves."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import ACTOR, JsonOption, VarOption, load_settings
from service.cli.output import FAILED, print_json, reported_errors, say, working
from service.usecases.publish_outside import check_node, publish_outside, read_outside_kind
from service.wiring import open_platform

commands = typer.Typer(help="Check and publish kinds that an outside node serves.")
_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The kind file.")]


@commands.command("check")
def check(file: _File, *, as_json: JsonOption = False, var: VarOption = None) -> None:
    """Ask the node whether it is ready and fits the kind; exit 1 when not."""
    with reported_errors():
        kind = read_outside_kind(file)
        with open_platform(load_settings(var)) as platform, working("asking the node"):
            problems = check_node(platform, kind)
    if as_json:
        print_json({"kind": kind.name, "ok": not problems, "problems": [*problems]})
    else:
        say(f"{kind.name}: {'the node is ready and fits' if not problems else 'does not fit'}")
        for problem in problems:
            say(f"  {problem}")
    if problems:
        raise typer.Exit(FAILED)


@commands.command("publish")
def publish(
    file: _File,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Although another version of the kind is live.")
    ] = False,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Make the node decide the kind from here on; it is not asked for that."""
    with reported_errors():
        kind = read_outside_kind(file)
        with open_platform(load_settings(var)) as platform:
            published = publish_outside(platform, kind, actor=ACTOR, is_replacing=replace)
    described = published.describe()
    if as_json:
        print_json(described)
        return
    say(f"{kind.name} version {kind.version}, {published.publication.model.bundle}")
    if published.appended is None:
        say("it is live already")
    else:
        say(f"live from entry {published.appended.leaf_index} of the log on")

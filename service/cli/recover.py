"""`candor recover`: go on after the log was lost in part."""

from typing import Annotated

import typer

from service.cli.options import ACTOR, JsonOption, VarOption, load_settings
from service.cli.output import print_json, reported_errors, say
from service.usecases.log_keys import recover_log


def recover(
    *,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Yes: no newer copy of the database is left.")
    ] = False,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Begin a new origin and key on what is left of the log; its first entry names the loss."""
    if not confirm:
        raise typer.BadParameter(
            "restore the newest copy of the database if there is one; if there is none, --confirm"
        )
    with reported_errors():
        result = recover_log(load_settings(var), ACTOR)
    loss = result.loss
    if as_json:
        print_json(
            {
                "verifier_key": result.verifier_key,
                "leaf_index": result.appended.leaf_index,
                "found_size": loss.found_size,
                "signed_size": loss.signed_size,
                "reason": loss.reason,
            }
        )
        return
    say(loss.reason)
    say(f"{loss.found_size} entries are left of {loss.signed_size} that were signed")
    say(f"entry {result.appended.leaf_index} says so, first of the new key")
    say(f"key  {result.verifier_key}")

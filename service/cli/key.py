"""`candor key`: API keys."""

from typing import Annotated

import typer

from audit.records import format_time
from models.domain import Json
from service.auth import Role
from service.cli.options import ACTOR, JsonOption, VarOption, load_settings
from service.cli.output import print_json, reported_errors, say
from service.state import ApiKey
from service.usecases.keys import create_key, revoke_key
from service.wiring import open_platform

commands = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)


@commands.command("create")
def create(
    name: Annotated[str, typer.Option(help="What people call it.")],
    role: Annotated[Role, typer.Option(help="What it is for.")],
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Create a key; its secret is shown only now."""
    with reported_errors(), open_platform(load_settings(var)) as platform:
        key, secret = create_key(platform, name, role, ACTOR)
    if as_json:
        print_json({"id": key.id, "key": secret})
    else:
        say(f"id   {key.id}")
        say(f"key  {secret}")


@commands.command("list")
def list_all(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """List all keys without their secrets."""
    with reported_errors(), open_platform(load_settings(var)) as platform:
        keys = platform.api_keys.list_all()
    if as_json:
        print_json({"keys": [_describe(key) for key in keys]})
        return
    for key in keys:
        state = "live" if key.revoked_at is None else f"revoked {format_time(key.revoked_at)}"
        say(f"{key.id}  {key.role:<11}  {format_time(key.created_at)}  {state}  {key.name}")


@commands.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key.")],
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Revoke a key at once."""
    with reported_errors(), open_platform(load_settings(var)) as platform:
        key = revoke_key(platform, key_id, ACTOR)
    if as_json:
        print_json(_describe(key))
    else:
        say(f"revoked {key.id}")


def _describe(key: ApiKey) -> Json:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.value,
        "created_at": format_time(key.created_at),
        "revoked_at": None if key.revoked_at is None else format_time(key.revoked_at),
    }

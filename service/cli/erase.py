"""`candor erase`, `candor hold` and `candor key-encryption`: forgetting, and not forgetting."""

from typing import Annotated

import typer

from models.domain import Json
from service.cli.options import ACTOR, JsonOption, VarOption, load_settings, require_store
from service.cli.output import print_json, reported_errors, say, working
from service.keyfiles import rotate_key_encryption
from service.usecases.erase import DEFAULT_REASON, SubjectKind, erase_subject, hold_subject
from service.usecases.records import read_object
from service.wiring import open_platform

holds = typer.Typer(help="Legal holds: who may not be erased.", no_args_is_help=True)
key_encryption = typer.Typer(help="The key that wraps the subjects' keys.", no_args_is_help=True)
SubjectOption = Annotated[str | None, typer.Option("--subject", help="Id of the customer.")]
OrderOption = Annotated[
    str | None, typer.Option("--order", help="Id of an order that came without a customer's id.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="A code or ticket number; nothing personal.")
]


def erase(
    subject: SubjectOption = None,
    order: OrderOption = None,
    reason: ReasonOption = DEFAULT_REASON,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Destroy a data subject's key and remove it from every look-up."""
    kind, name = _choose(subject, order)
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform, working("erasing"):
            erased = erase_subject(platform, name, kind=kind, actor=ACTOR, reason=reason)
    if as_json:
        print_json(erased)
        return
    counted = ", ".join(f"{count} {name}" for name, count in _pairs(erased["records"]))
    say(f"erased   {counted or 'no records'}")
    say(f"entry    {erased['entry_id']}, leaf {read_object(erased['receipt'])['leaf_index']}")
    lost = erased["lost"]
    say(f"gone     {', '.join(map(str, lost if isinstance(lost, list) else []))}")
    exports = erased["exports"]
    for one in map(read_object, exports if isinstance(exports, list) else []):
        done = "removed" if one["removed"] else "REMOVE IT wherever it is"
        say(
            f"export   entry {one['entry_id']}, {one['exported_at']}, "
            f"sha256 {one['bundle_sha256']}: {done}"
        )


@holds.command("add")
def add(
    subject: SubjectOption = None,
    order: OrderOption = None,
    reason: ReasonOption = "court",
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Forbid to erase a data subject."""
    _hold(subject, order, reason, var, is_held=True, as_json=as_json)


@holds.command("remove")
def remove(
    subject: SubjectOption = None,
    order: OrderOption = None,
    reason: ReasonOption = "lifted",
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Allow it again."""
    _hold(subject, order, reason, var, is_held=False, as_json=as_json)


@key_encryption.command("rotate")
def rotate(
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Wrap every subject's key under a new key-encryption key; no record is touched."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform, working("wrapping"):
            epoch, wrapped = rotate_key_encryption(settings, platform.subject_keys)
    if as_json:
        print_json({"epoch": epoch, "wrapped": wrapped})
    else:
        say(f"epoch {epoch}, {wrapped} keys wrapped")


# A single command in a group is otherwise taken for the group itself.
@key_encryption.callback()
def _group() -> None:
    """Keep `rotate` a command of its own name."""


def _hold(
    subject: str | None,
    order: str | None,
    reason: str,
    var: VarOption,
    *,
    is_held: bool,
    as_json: bool,
) -> None:
    kind, name = _choose(subject, order)
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform:
            held = hold_subject(
                platform, name, kind=kind, actor=ACTOR, reason=reason, is_held=is_held
            )
    if as_json:
        print_json(held)
    else:
        say(f"{'held' if is_held else 'released'}, entry {held['entry_id']}")


def _choose(subject: str | None, order: str | None) -> tuple[SubjectKind, str]:
    if subject is not None and order is None:
        return "subject", subject
    if order is not None and subject is None:
        return "order", order
    raise typer.BadParameter("name either --subject or --order")


def _pairs(counts: Json) -> list[tuple[str, Json]]:
    return list(read_object(counts).items())

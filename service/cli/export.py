"""`candor export`: an evidence bundle for a period or some decisions."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from reports.evidence import EvidenceRequest
from service.answers import JsonObject
from service.cli.options import (
    ACTOR,
    JsonOption,
    VarOption,
    load_settings,
    parse_moment,
    require_store,
)
from service.cli.output import print_json, progress_bar, reported_errors, say
from service.usecases.export import export_evidence
from service.wiring import open_platform


def export(
    *,
    out: Annotated[Path, typer.Option(dir_okay=False, help="The zip file to write.")],
    from_at: Annotated[
        datetime | None,
        typer.Option("--from", parser=parse_moment, metavar="TIME", help="Included; UTC."),
    ] = None,
    to_at: Annotated[
        datetime | None,
        typer.Option("--to", parser=parse_moment, metavar="TIME", help="Not included; UTC."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only decisions of this kind.")] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Only these: decision ids, one a line."),
    ] = None,
    orders: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Orders to reconcile: ids, one a line."),
    ] = None,
    personal: Annotated[
        bool, typer.Option("--personal", help="Open personal parts; needs --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why personal parts are opened.")] = None,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Write an evidence bundle, which `verify.py` in it checks without Candor."""
    if personal != bool(reason and reason.strip()):
        raise typer.BadParameter("--personal and --reason go together")
    if not out.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.parent}")
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        request = EvidenceRequest(
            from_at, to_at, kind, _read_ids(decisions), _read_ids(orders), reason
        )
        with open_platform(settings) as platform:
            with progress_bar() as advance:
                exported = export_evidence(
                    platform,
                    request,
                    out,
                    actor=ACTOR,
                    on_progress=lambda done, total: advance("export", done / total),
                )
            result: JsonObject = {
                "file": str(out),
                **exported,
                "key": platform.signer.verifier_key,
            }
    if as_json:
        print_json(result)
        return
    say(f"{out}  {result['bytes']} bytes, sha256 {result['sha256']}")
    say(f"{result['decisions']} decisions in entries {result['begin']} to {result['end']}")
    say(f"recorded as entry {result['leaf_index']}; check it with")
    say(f"  candor verify {out} --key {result['key']}")


def _read_ids(path: Path | None) -> tuple[str, ...] | None:
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path.name} is not UTF-8") from error
    return tuple(line.strip() for line in lines if line.strip())

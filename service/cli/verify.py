"""`candor verify`: the whole store, or a receipt or an evidence bundle without any store."""

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Annotated

import orjson
import typer

from audit.errors import ProofInvalidError
from audit.receipt import parse_receipt, verify_receipt
from audit.verify import Report
from models.domain import Json, Language
from service.answers import JsonObject
from service.cli.options import (
    JsonOption,
    LanguageOption,
    VarOption,
    load_settings,
    require_store,
)
from service.cli.output import (
    FAILED,
    print_json,
    progress_bar,
    reported_errors,
    say,
    working,
)
from service.cli.replay import print_sample
from service.language import text_language
from service.settings import Settings
from service.usecases.check_bundle import replay_bundle, run_verifier
from service.usecases.check_store import verify_everything
from service.usecases.records import read_object
from service.wiring import open_platform


def verify(
    bundle: Annotated[
        Path | None, typer.Argument(exists=True, help="An evidence bundle: a zip or its folder.")
    ] = None,
    *,
    receipt: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A tlog-proof, or a decision as answered."),
    ] = None,
    leaf: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The header's bytes, for a tlog-proof."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The log's verifier key, or a file that holds it.")
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option(help="A witness's verifier key, for a bundle; may be given several times."),
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Make every decision of the bundle again.")
    ] = False,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Check the store, a receipt or a bundle; exit 1 when something is not as it was."""
    if (bundle is not None and receipt is not None) or (replay and bundle is None):
        raise typer.BadParameter("name a bundle (--replay goes with it only) or a receipt")
    with reported_errors():
        vkey = None if key is None else _read_key(key)
        settings = load_settings(var)
        if bundle is not None:
            language = text_language(lang or settings.language) if replay else None
            _verify_bundle(bundle, vkey, witness or [], language, as_json=as_json)
            return
        if receipt is None:
            result = _verify_store(settings, vkey)
        else:
            result = _verify_receipt(settings, receipt, leaf, vkey)
    if as_json:
        print_json(result)
    else:
        _print(result)
    if not result["ok"]:
        raise typer.Exit(FAILED)


def _verify_bundle(
    bundle: Path,
    vkey: str | None,
    witnesses: list[str],
    language: Language | None,
    *,
    as_json: bool,
) -> None:
    # Without a language it is not replayed: nothing else has texts.
    keys = [] if vkey is None else [vkey]
    with working("checking"):
        code, printed = run_verifier(bundle, keys, witnesses, as_json=as_json)
    result = None
    # What is not as it was issued is not worth replaying.
    if language is not None and code != FAILED:
        with progress_bar() as advance:
            result = replay_bundle(
                bundle, lambda done, total: advance("replay", done / total), language
            )
        if result["replayed"] != result["identical"]:
            code = FAILED
    if as_json:
        told = read_object(orjson.loads(printed))
        added: JsonObject = {} if result is None else {"replay": result}
        print_json({**told, **added, "ok": code == 0, "exit_code": code})
    else:
        say(printed.rstrip("\n"))
        if result is not None:
            print_sample(result)
    if code:
        raise typer.Exit(code)


def _verify_store(settings: Settings, vkey: str | None) -> JsonObject:
    require_store(settings)
    with progress_bar() as advance:
        checked = verify_everything(
            settings, vkey, lambda done, total: advance("verify", done / max(total, 1))
        )
    return _describe(checked)


def _problems(result: JsonObject) -> list[Json]:
    problems = result["problems"]
    return problems if isinstance(problems, list) else []


def _describe(report: Report) -> JsonObject:
    problems: list[Json] = [
        {
            "leaf_index": problem.leaf_index,
            "entry_id": problem.entry_id,
            "code": problem.code,
            "detail": problem.detail,
        }
        for problem in report.problems
    ]
    return {
        "ok": report.ok,
        "tree_size": report.tree_size,
        "root_hash": b64encode(report.root_hash).decode("ascii"),
        "problems": problems,
        "erased": report.erased,
        "purged": report.purged,
        "cosignatures": report.cosignatures,
        "anchors": report.anchors,
    }


def _verify_receipt(
    settings: Settings, receipt: Path, leaf: Path | None, vkey: str | None
) -> JsonObject:
    text, header = _read_receipt(receipt)
    if leaf is not None:
        header = leaf.read_bytes()
    if header is None or vkey is None:
        # What was not given is looked up in the store; then this is no check without us.
        require_store(settings)
        with open_platform(settings) as platform, platform.store.reading() as reading:
            header = header or reading.record_at(parse_receipt(text).leaf_index).leaf
            vkey = vkey or platform.signer.verifier_key
    checkpoint = verify_receipt(text, header, vkey)
    return {
        "ok": True,
        "leaf_index": parse_receipt(text).leaf_index,
        "tree_size": checkpoint.tree_size,
        "root_hash": b64encode(checkpoint.root_hash).decode("ascii"),
        "problems": [],
    }


def _read_receipt(path: Path) -> tuple[str, bytes | None]:
    try:
        text = path.read_text(encoding="utf-8")
        if not text.lstrip().startswith("{"):
            return text, None
        document = read_object(orjson.loads(text))
        said = read_object(document.get("receipt", document))
        return str(said["proof"]), b64decode(str(said["leaf"]), validate=True)
    except (KeyError, ValueError) as error:
        raise ProofInvalidError(f"{path.name} holds no receipt") from error


def _read_key(key: str) -> str:
    if "+" in key:
        return key.strip()
    path = Path(key)
    if not path.is_file():
        raise typer.BadParameter("neither a verifier key nor a file that holds one")
    return path.read_text(encoding="utf-8").strip()


def _print(result: JsonObject) -> None:
    say("verified" if result["ok"] else "NOT as it was written")
    say(f"tree size {result['tree_size']}, root {result['root_hash']}")
    for problem in map(read_object, _problems(result)):
        say(
            f"  leaf {problem['leaf_index']}, entry {problem['entry_id']}: "
            f"{problem['code']}: {problem['detail']}"
        )

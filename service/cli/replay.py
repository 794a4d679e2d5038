"""`candor replay`: recorded decisions decided again, compared bit for bit."""

from datetime import datetime
from functools import partial
from typing import Annotated

import typer

from service.answers import JsonObject
from service.cli.options import (
    JsonOption,
    LanguageOption,
    SeedOption,
    VarOption,
    load_settings,
    parse_moment,
    require_store,
)
from service.cli.output import FAILED, print_json, progress_bar, reported_errors, say
from service.language import text_language
from service.usecases.as_of import OtherLists, replay_as_of, replay_record_as_of
from service.usecases.records import read_object
from service.usecases.replay import replay_decision, replay_record, replay_sample
from service.wiring import open_platform


def replay(
    decision_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One decision; else a sample.")
    ] = None,
    *,
    sample: Annotated[int, typer.Option(min=1, help="How many decisions, evenly drawn.")] = 1000,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_moment,
            metavar="TIME",
            help="Ask the reference tables in force then; UTC unless it says otherwise.",
        ),
    ] = None,
    seed: SeedOption = 1,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Replay one decision or a sample; exit 1 when something comes out otherwise."""
    lists = OtherLists(as_of)
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        language = text_language(lang or settings.language)
        with open_platform(settings) as platform:
            if decision_id is not None:
                one = (
                    replay_as_of(platform, decision_id, lists, language)
                    if lists
                    else replay_decision(platform, decision_id, language)
                )
                _finish_one(one, as_json=as_json)
                return
            replay_one = partial(replay_record_as_of, lists=lists) if lists else replay_record
            with progress_bar() as advance:
                result = replay_sample(
                    platform,
                    sample,
                    seed,
                    lambda done, total: advance("replay", done / total),
                    replay_one,
                    language=language,
                )
    _finish_sample(result, as_json=as_json)


def _finish_one(result: JsonObject, *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        recorded, replayed = read_object(result["recorded"]), read_object(result["replayed"])
        say(f"recorded  {recorded['outcome']}")
        say(f"replayed  {replayed.get('outcome', '-')}")
        say("identical" if result["match"] else str(result["cause"]))
        for difference in _objects(result["differences"]):
            before, after = difference["recorded"], difference["replayed"]
            say(f"  {difference['path']}: {before} was recorded, {after} replays")
    if not result["match"]:
        raise typer.Exit(FAILED)


def _finish_sample(result: JsonObject, *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        print_sample(result)
    if result["replayed"] != result["identical"]:
        raise typer.Exit(FAILED)


def print_sample(result: JsonObject) -> None:
    """Print how many decisions came out identical, and where and why the others did not."""
    say(f"{result['replayed']} replayed, {result['identical']} identical")
    for difference in _objects(result["differences"]):
        say(f"  {difference['decision_id']} {difference['path']}: {difference['cause']}")


def _objects(value: object) -> list[JsonObject]:
    return [read_object(item) for item in value] if isinstance(value, list) else []

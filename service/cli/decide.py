"""`candor decide`: one order from a file, decided and recorded as the service does."""

from pathlib import Path
from typing import Annotated

import typer

from service.answers import JsonObject
from service.cli.options import ACTOR, JsonOption, LanguageOption, VarOption, load_settings
from service.cli.output import print_json, reported_errors, say
from service.language import text_language
from service.usecases.chain import ChainAsk, decide_chain
from service.usecases.lines import Ask, Line
from service.usecases.records import read_object
from service.usecases.split import decide_any
from service.wiring import open_platform


def decide(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The order, JSON.")],
    kind: Annotated[str | None, typer.Option("--kind", help="Name of the kind.")] = None,
    *,
    chain: Annotated[
        bool, typer.Option("--chain", help="From admission to split, instead of one kind.")
    ] = False,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Decide one order, record it and print the decision, or those of the whole chain."""
    if chain == (kind is not None):
        raise typer.BadParameter("give either --kind KIND or --chain")
    with reported_errors():
        settings = load_settings(var)
        language = text_language(lang or settings.language)
        line = Line(file.read_bytes())
        with open_platform(settings) as platform:
            if kind is None:
                answer = decide_chain(platform, ChainAsk(ACTOR, "cli", language), line)
            else:
                answer = decide_any(platform, Ask(kind, ACTOR, "cli", language), line)
        if as_json:
            print_json(answer)
        elif kind is None:
            print_chain(answer)
        else:
            print_decision(answer)


def print_chain(answer: JsonObject) -> None:
    """Print what a chain came to, and each of its decisions."""
    stopped = "" if answer["stopped_at"] is None else f", stopped at {answer['stopped_at']}"
    say(f"chain       {answer['outcome']}{stopped}")
    decisions = answer["decisions"]
    for decision in map(read_object, decisions if isinstance(decisions, list) else []):
        say()
        say(f"kind        {decision['kind']}")
        print_decision(decision)


def print_decision(answer: JsonObject) -> None:
    """Print a decision for people to read."""
    model = read_object(answer["model"])
    say(f"outcome     {answer['outcome']}")
    say(f"confidence  {answer['confidence']:.4f}")
    say(f"model       {model['name']} version {model['version']}, {model['bundle']}")
    print_plan(answer)
    print_reasons(answer)
    say(f"recorded    leaf {read_object(answer['receipt'])['leaf_index']}, {answer['decision_id']}")


def print_plan(answer: JsonObject) -> None:
    """Print where a split ships each order line from; nothing for other decisions."""
    plan = answer.get("plan")
    for line in map(read_object, plan if isinstance(plan, list) else []):
        say(
            f"plan        {line['quantity']} x {line['sku']} from {line['warehouse_id']} by "
            f"{line['service_id']}, to be shipped by {line['ship_by']}"
        )


def print_reasons(answer: JsonObject) -> None:
    """Print a decision's summary and its reasons with their shares."""
    say(f"summary     {answer['summary']}")
    reasons = answer["reasons"]
    for reason in map(read_object, reasons if isinstance(reasons, list) else []):
        say(f"  {reason['rank']}. {reason['share']:>5.1%}  {reason['text']}  [{reason['code']}]")

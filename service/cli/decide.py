"""`candor decide`: one order from a file, decided and recorded as the service does."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.answers import JsonObject
from service.cli.options import ACTOR, JsonOption, VarOption, load_settings
from service.cli.output import print_json, reported_errors, say
from service.language import text_language
from service.usecases.decide import Ask, Line
from service.usecases.records import read_object
from service.usecases.split import decide_any
from service.wiring import open_platform


def decide(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The order, JSON.")],
    kind: Annotated[str, typer.Option("--kind", help="Name of the kind.")],
    lang: Annotated[Literal["zh-CN", "en"] | None, typer.Option(help="Of the texts.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Decide one order, record it and print the decision."""
    with reported_errors():
        settings = load_settings(var)
        ask = Ask(kind, ACTOR, "cli", text_language(lang or settings.language))
        with open_platform(settings) as platform:
            answer = decide_any(platform, ask, Line(file.read_bytes()))
        if as_json:
            print_json(answer)
        else:
            print_decision(answer)


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

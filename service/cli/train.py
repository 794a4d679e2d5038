"""`candor train`: from the simulator or a CSV to a registered model."""

from pathlib import Path
from typing import Annotated

import typer

from models.kind import load_kind
from service.answers import JsonObject
from service.cli.options import ACTOR, JsonOption, SeedOption, VarOption, load_settings
from service.cli.output import Advance, print_json, progress_bar, reported_errors, say
from service.errors import GatesFailedError
from service.settings import Settings
from service.usecases.records import read_object
from service.wiring import open_platform

_SHOWN = ("auc", "logloss", "brier", "ece")


def train(
    name: Annotated[str | None, typer.Argument(help="Built-in kind, on the simulator.")] = None,
    kind: Annotated[Path | None, typer.Option("--kind", help="Kind file, for a CSV.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Labelled table.")] = None,
    *,
    orders: Annotated[int, typer.Option(min=1, help="Simulated orders.")] = 120_000,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
    var: VarOption = None,
) -> None:
    """Train a model, register it, and publish it when it is the kind's first."""
    from_csv = kind is not None and csv is not None
    if from_csv == (name is not None) or (kind is None) != (csv is None):
        raise typer.BadParameter("give either the NAME of a built-in kind, or --kind and --csv")
    with reported_errors():
        with progress_bar() as advance:
            trained = _train(
                load_settings(var), name, kind, csv, orders=orders, seed=seed, advance=advance
            )
        if as_json:
            print_json(trained)
        else:
            _print(trained)
        if trained["failed_gates"]:
            raise GatesFailedError(f"not published, these gates failed: {trained['failed_gates']}")


def _train(
    settings: Settings,
    name: str | None,
    kind_file: Path | None,
    csv: Path | None,
    *,
    orders: int,
    seed: int,
    advance: Advance,
) -> JsonObject:
    # What trains takes seconds to import, and is needed by no other command.
    from service.usecases import train as training  # noqa: PLC0415 - see above

    with open_platform(settings) as platform:
        advance("orders", 0.0)
        if kind_file is not None and csv is not None:
            kind = load_kind(kind_file)
            source = training.tabled(kind, csv)
        else:
            kind, source = training.simulated(name or "", orders, seed)
        return training.train(
            platform, kind, source, seed=seed, actor=ACTOR, on_progress=advance
        ).describe()


def _print(trained: JsonObject) -> None:
    say(f"{trained['name']} version {trained['version']}, {trained['bundle']}")
    metrics = read_object(trained["metrics"])
    say(", ".join(f"{name} {metrics[name]:.4f}" for name in _SHOWN))
    if trained["published"]:
        say("published: it is the kind's first version (bootstrap)")
    elif not trained["failed_gates"]:
        say("registered, not published: the kind has a live model")

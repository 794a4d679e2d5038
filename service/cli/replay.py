"""`candor replay`: recorded decisions decided again, compared bit for bit."""

from typing import Annotated

import typer

from service.cli.options import JsonOption, SeedOption, VarOption, load_settings, require_store
from service.cli.output import FAILED, print_json, progress_bar, reported_errors, say
from service.usecases.records import read_object
from service.usecases.replay import replay_sample
from service.wiring import open_platform


def replay(
    sample: Annotated[int, typer.Option(min=1, help="How many decisions, evenly drawn.")] = 1000,
    seed: SeedOption = 1,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line
    var: VarOption = None,
) -> None:
    """Replay a sample of decisions; exit 1 when one comes out otherwise."""
    with reported_errors():
        settings = load_settings(var)
        require_store(settings)
        with open_platform(settings) as platform, progress_bar() as advance:
            result = replay_sample(
                platform, sample, seed, lambda done, total: advance("replay", done / total)
            )
    differences = result["differences"]
    if as_json:
        print_json(result)
    else:
        say(f"{result['replayed']} replayed, {result['identical']} identical")
        for difference in map(read_object, differences if isinstance(differences, list) else []):
            say(f"  {difference['decision_id']} {difference['path']}: {difference['cause']}")
    if result["replayed"] != result["identical"]:
        raise typer.Exit(FAILED)

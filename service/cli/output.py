"""What commands print: results on stdout, everything else on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from models.domain import Json
from models.errors import PlatformError

FAILED: Final = 1
Advance = Callable[[str, float], None]


def say(text: str = "") -> None:
    """Print a line of the result."""
    # Rich would wrap and colour what other programs read.
    print(text)


def warn(text: str) -> None:
    """Print a line about the result on stderr."""
    typer.echo(text, err=True)


def print_json(value: Json) -> None:
    """Print one JSON object, the only thing that --json puts on stdout."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn an error of the platform into a sentence, a remedy and exit code 1."""
    try:
        yield
    except PlatformError as error:
        warn(f"{error.code}: {error.detail}")
        for fault in getattr(error, "faults", ()):
            warn(f"  {fault.pointer or '/'}: {fault.message}")
        warn(error.remedy)
        raise typer.Exit(FAILED) from error
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            warn(f"setting-invalid: CANDOR_{'_'.join(map(str, item['loc']))}: {item['msg']}")
        warn("Correct the setting; docs/settings.md lists them all.")
        raise typer.Exit(FAILED) from error


@contextmanager
def working(on_what: str) -> Iterator[None]:
    """Show on stderr that something is being done whose progress is not known."""
    with Console(stderr=True).status(on_what):
        yield


@contextmanager
def progress_bar() -> Iterator[Advance]:
    """Show a bar on stderr; call what is yielded with a step's name and the part done, 0 to 1."""
    with Progress(
        TextColumn("{task.description:>14}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("", total=1.0)

        def advance(step: str, part: float) -> None:
            progress.update(task, description=step, completed=part)

        yield advance

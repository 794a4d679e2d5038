"""`candor serve`: the HTTP service."""

import signal
import sys
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from service.app import create_app
from service.cli.options import VarOption, load_settings
from service.cli.output import reported_errors
from service.logs import open_log
from service.wiring import open_platform


def serve(
    host: Annotated[str | None, typer.Option(help="Default: CANDOR_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: CANDOR_PORT.")] = None,
    var: VarOption = None,
) -> None:
    """Serve decisions over HTTP until stopped."""
    with reported_errors():
        settings = load_settings(var)
        # Opening it once here says in one sentence what would otherwise be a traceback.
        with open_platform(settings):
            pass
    host = settings.host if host is None else host
    port = settings.port if port is None else port
    open_log(settings.log_level).info("serving", host=host, port=port)
    # The server gives the signal back when everything is closed: stopping is a good end.
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
    )


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)

"""The application: every route, and what surrounds them.

`create_app` is the main path of this package: read it first. Nothing that trains (MLflow, pandas,
scikit-learn, shap) is ever imported from here.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from structlog.types import FilteringBoundLogger

from models.errors import FieldFault, PlatformError
from service.api import (
    anchors,
    decisions,
    events,
    exports,
    health,
    kinds,
    orders,
    records,
    references,
    subjects,
)
from service.api import log as log_api
from service.api.contract import build_openapi
from service.edge import Edge
from service.errors import (
    MethodNotAllowedError,
    PageNotFoundError,
    RequestInvalidError,
    RequestRefusedError,
)
from service.logs import open_log
from service.metrics import Metrics
from service.problems import UNAVAILABLE, find_problem, render_problem
from service.settings import Settings
from service.turns import Turns
from service.usecases.export_jobs import running_exports
from service.usecases.pull import scheduled_pulls
from service.usecases.vouching import scheduled_vouching
from service.web import api_pages
from service.wiring import open_platform

_READING_THREADS = 32
_NOT_FOUND, _METHOD_NOT_ALLOWED = 404, 405


def create_app(settings: Settings) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    settings
        What to serve; the platform opens when the application starts and closes when it stops.
    """
    log, metrics = open_log(settings.log_level), Metrics()

    # 1. The platform is open as long as the application runs.
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        limiter = anyio.to_thread.current_default_thread_limiter()
        # Those that record take turns; so many threads more are always left for those that read.
        limiter.total_tokens = settings.request_threads + _READING_THREADS
        with (
            open_platform(settings, metrics=metrics) as platform,
            scheduled_pulls(platform, log),
            scheduled_vouching(platform, log),
            running_exports(platform, log) as jobs,
        ):
            app.state.platform, app.state.exports = platform, jobs
            app.state.turns = Turns(
                at_once=settings.request_threads,
                waiting_max=settings.queue_max_entries,
                deadline_seconds=settings.request_deadline_seconds,
            )
            yield

    # 2. The routes.
    app = FastAPI(
        title="Candor",
        summary="Order decisions that explain themselves, and can prove it",
        version=version("candor"),
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        openapi_url="/openapi.json" if settings.openapi_enabled else None,
        redirect_slashes=False,
    )
    for module in (
        *(kinds, decisions, orders, events, records, references, subjects, exports),
        *(log_api, anchors, health),
    ):
        app.include_router(module.router)
    if settings.openapi_enabled:
        app.include_router(api_pages.router)
    _describe(app)
    # 3. What surrounds them.
    _answer_errors(app, log, settings.retry_after_seconds)
    app.add_middleware(
        Edge, log=log, metrics=metrics, retry_after_seconds=settings.retry_after_seconds
    )
    return app


def _describe(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = build_openapi(app)
        return app.openapi_schema

    # FastAPI's documented way to replace the document.
    app.openapi = openapi  # type: ignore[method-assign]


def _answer_errors(app: FastAPI, log: FilteringBoundLogger, retry_after_seconds: int) -> None:
    def reply(request: Request, error: PlatformError, allow: str | None = None) -> Response:
        if find_problem(error).status == UNAVAILABLE:
            log.warning("unavailable", code=error.code, detail=error.detail)
        return render_problem(error, request.url.path, retry_after_seconds, allow)

    @app.exception_handler(PlatformError)
    async def _platform_error(request: Request, error: PlatformError) -> Response:
        return reply(request, error)

    @app.exception_handler(RequestValidationError)
    async def _validation_error(request: Request, error: RequestValidationError) -> Response:
        faults = tuple(
            FieldFault("".join(f"/{part}" for part in item["loc"]), item["msg"])
            for item in error.errors()
        )
        return reply(request, RequestInvalidError(faults))

    @app.exception_handler(HTTPException)
    async def _router_error(request: Request, error: HTTPException) -> Response:
        allow = (error.headers or {}).get("Allow")
        return reply(request, _name_router_error(error), allow)


def _name_router_error(error: HTTPException) -> PlatformError:
    if error.status_code == _NOT_FOUND:
        return PageNotFoundError("there is nothing at this path")
    if error.status_code == _METHOD_NOT_ALLOWED:
        return MethodNotAllowedError("the path does not take this method")
    return RequestRefusedError("the request could not be read")

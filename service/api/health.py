"""Whether the service lives, whether it can serve, and what it counted."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from audit.clock import CLOCK_TOLERANCE, read_last_time
from audit.errors import StoreUnavailableError
from audit.partitions import inspect_partitions
from models.domain import Json
from models.errors import PlatformError
from service.answers import JsonObject
from service.api import schemas
from service.api.access import OpenPlatform
from service.api.contract import answers
from service.api.replies import json_reply
from service.errors import ClockBehindError, NoLiveModelError, OverloadedError
from service.usecases.anchor import describe_anchors
from service.wiring import Platform

router = APIRouter(tags=["health"])
_RECENT_SECONDS: Final = 5.0


@router.get(
    "/health/live",
    response_class=Response,
    responses=answers(schemas.Health, "The process answers."),
)
async def live() -> Response:
    """Tell that the process answers."""
    return json_reply({"status": "live", "checks": []})


@router.get(
    "/health/ready",
    response_class=Response,
    responses={
        **answers(schemas.Health, "Store, queue, keys, model and disk are fit."),
        **answers(schemas.Health, "What is not fit, and why.", 503),
    },
)
def ready(platform: OpenPlatform) -> Response:
    """Tell whether store, queue, keys, model and disk are fit, and why not; and of the clock."""
    checks = [
        _check("store", _check_store, platform),
        _check("queue", _check_queue, platform),
        _check("keys", _check_keys, platform),
        _check("model", _check_models, platform),
        _check("disk", _check_disk, platform),
    ]
    # Told, but no reason to be unready: no decision depends on these.
    told = [
        _check("clock", _check_clock, platform),
        _check("partitions", _check_partitions, platform),
        _check("archive", _check_archive, platform),
    ]
    if platform.settings.timestamp_urls:
        told.append(_check("anchors", describe_anchors, platform))
    fit = all(check["ok"] for check in checks)
    listed: list[Json] = [*checks, *told]
    status = "ready" if fit else "unready"
    return json_reply({"status": status, "checks": listed}, 200 if fit else 503)


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus text exposition.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
def metrics(platform: OpenPlatform) -> Response:
    """Show counters in Prometheus form."""
    return Response(platform.metrics.render(), media_type="text/plain; version=0.0.4")


def _check(name: str, check: Callable[[Platform], str], platform: Platform) -> JsonObject:
    try:
        return {"name": name, "ok": True, "detail": check(platform)}
    except PlatformError as error:
        return {"name": name, "ok": False, "detail": f"{error.detail}: {error.remedy}"}


def _check_store(platform: Platform) -> str:
    if not platform.writer.is_alive():
        raise StoreUnavailableError("the writer does not run", "Restart the service.")
    # Told for a while only, so that whoever sends no orders to an unready service tries again.
    failure = platform.writer.recent_failure(_RECENT_SECONDS)
    if failure is not None:
        raise failure
    # A log that was rolled back or forked may be read, but nothing can be added to it.
    return f"{platform.notary.verify(platform.store)} entries"


def _check_queue(platform: Platform) -> str:
    seconds, most = platform.writer.stalled_seconds(), platform.settings.request_deadline_seconds
    if seconds > most:
        raise OverloadedError(
            f"the commit under way takes longer than {most} seconds",
            "Look after the disk or the database below; the service goes on by itself.",
        )
    return f"{platform.writer.depth} entries wait"


def _check_clock(platform: Platform) -> str:
    with platform.store.reading() as reading:
        last = read_last_time(reading, reading.tree_size())
    behind = timedelta() if last is None else last - platform.now()
    if behind > CLOCK_TOLERANCE:
        raise ClockBehindError(f"the clock is {behind} behind the last entry of the log")
    return "not behind the log"


def _check_keys(platform: Platform) -> str:
    return f"epoch {platform.subject_keys.verify_usable()}"


def _check_models(platform: Platform) -> str:
    published = sorted(platform.live.publications())
    if not published:
        raise NoLiveModelError("no model is live")
    for kind in published:
        # Without its tables a kind cannot decide either.
        platform.references.lookups(platform.live.get_kind(kind))
    return f"live: {', '.join(published)}"


def _check_partitions(platform: Platform) -> str:
    # A warning, and no reason to serve nothing: rows have a place in the default partition.
    with platform.store.raw() as connection:
        warnings = inspect_partitions(connection, platform.now())
    remedy = "run `candor database partitions` as the owner"
    return f"warning: {'; '.join(warnings)}; {remedy}" if warnings else "enough lie ahead"


def _check_archive(platform: Platform) -> str:
    with platform.store.raw() as connection:
        return f"{platform.archive.verify_reachable(connection)} months"


def _check_disk(platform: Platform) -> str:
    free = shutil.disk_usage(platform.settings.var).free
    least = platform.settings.disk_free_min_bytes
    if free < least:
        raise StoreUnavailableError(f"{free} bytes are free, {least} are needed")
    return f"{free} bytes are free"

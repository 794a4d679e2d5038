"""In which order each warehouse releases the plan's parcels, beside those already waiting.

It hands a warehouse's forklifts, stations and waiting parcels to `models.outbound` and says which
of the plan's parcels would miss its carrier there. The hard constraint ``cut_off`` looks at one
parcel alone; here parcels stand in each other's way, so a plan may still be doubted.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from models.domain import Text
from models.finding import Finding, build_finding
from models.outbound import OutboundParcel, Release, Resources, plan_releases
from models.split.plan import Parcel, Plan
from models.split.problem import Problem, WaitingParcel, Warehouse

_SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class ParcelRelease:
    """One position of a warehouse's sequence.

    Parameters
    ----------
    position
        From 1.
    service_id, waiting_id
        The plan's parcel by this service, or a waiting parcel; the other is None.
    starts_at, packing_at, ready_at
        When its forklift, or without one its packing, starts; when packing starts; when it ends.
    cut_off_at, is_met
        When its carrier leaves, and whether it is ready by then.
    slack_minutes
        Cut-off minus ready; negative when it is missed.
    finding
        Why it stands here.
    """

    position: int
    service_id: str | None
    waiting_id: int | None
    starts_at: datetime
    packing_at: datetime
    ready_at: datetime
    cut_off_at: datetime
    is_met: bool
    slack_minutes: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class WarehouseReleases:
    """A warehouse's release sequence; `is_exact` when no sequence is better."""

    warehouse_id: str
    is_exact: bool
    sequence: tuple[ParcelRelease, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    parcel: OutboundParcel
    service_id: str | None
    waiting_id: int | None
    cut_off_at: datetime


def plan_outbound(problem: Problem, plan: Plan) -> tuple[WarehouseReleases, ...]:
    """Sequence the parcels of every warehouse that ships.

    Parameters
    ----------
    problem
        Its warehouses say what they pack with and what waits there.
    plan
        Whose parcels leave.
    """
    shipping = plan.warehouses()
    return tuple(
        _plan_warehouse(problem, plan, warehouse)
        for warehouse in problem.warehouses
        if warehouse.warehouse_id in shipping
    )


def missed_cut_offs(releases: tuple[WarehouseReleases, ...]) -> tuple[Finding, ...]:
    """Say which of the plan's own parcels would miss its carrier."""
    return tuple(
        build_finding(
            "CUT_OFF_MISSED",
            Text(
                "{warehouse}的{service}包裹排队后{ready_at}才备妥,赶不上截单时间{cut_off_at}",
                "in the queue of {warehouse} the parcel by {service} is ready at {ready_at}, after "
                "its cut-off at {cut_off_at}",
            ),
            {
                "warehouse": house.warehouse_id,
                "service": release.service_id,
                "ready_at": release.finding.facts["ready_at"],
                "cut_off_at": release.finding.facts["cut_off_at"],
            },
        )
        for house in releases
        for release in house.sequence
        if release.service_id is not None and not release.is_met
    )


def _plan_warehouse(problem: Problem, plan: Plan, warehouse: Warehouse) -> WarehouseReleases:
    start, floor = problem.placed_at, warehouse.floor
    entries = [_own(start, plan, warehouse, parcel) for parcel in plan.parcels
               if parcel.warehouse_id == warehouse.warehouse_id]  # fmt: skip
    entries += [_waiting(start, parcel) for parcel in floor.waiting]
    resources = Resources(floor.forklifts_idle_minutes, floor.stations_idle_minutes)
    planned = plan_releases([entry.parcel for entry in entries], resources, start)
    known = {entry.parcel.parcel_id: entry for entry in entries}
    sequence = tuple(
        _release(start, known[release.parcel_id], release) for release in planned.releases
    )
    return WarehouseReleases(warehouse.warehouse_id, planned.is_exact, sequence)


def _own(start: datetime, plan: Plan, warehouse: Warehouse, parcel: Parcel) -> _Entry:
    lifting = warehouse.floor.forklift_minutes
    content = [s for s in plan.shipments if s.key[1:] == (parcel.warehouse_id, parcel.service_id)]
    aisles = {warehouse.stock_of(shipment.sku).aisle for shipment in content}
    outbound = OutboundParcel(
        parcel_id=f"own:{parcel.service_id}",
        available_minute=warehouse.backlog_minutes,
        forklift_minutes=lifting,
        # Articles of several aisles bind none of them for the whole time.
        aisle=aisles.pop() if len(aisles) == 1 else None,
        packing_minutes=warehouse.handling_minutes - lifting,
        cut_off_minute=_minutes(start, parcel.ship_by_at),
    )
    return _Entry(outbound, parcel.service_id, None, parcel.ship_by_at)


def _waiting(start: datetime, parcel: WaitingParcel) -> _Entry:
    outbound = OutboundParcel(
        parcel_id=f"waiting:{parcel.waiting_id:06d}",
        available_minute=max(0, _minutes(start, parcel.available_at or start)),
        forklift_minutes=parcel.forklift_minutes,
        aisle=parcel.aisle,
        packing_minutes=parcel.packing_minutes,
        cut_off_minute=_minutes(start, parcel.cut_off_at),
    )
    return _Entry(outbound, None, parcel.waiting_id, parcel.cut_off_at)


def _release(start: datetime, entry: _Entry, release: Release) -> ParcelRelease:
    return ParcelRelease(
        position=release.position,
        service_id=entry.service_id,
        waiting_id=entry.waiting_id,
        starts_at=start + timedelta(minutes=release.start_minute),
        packing_at=start + timedelta(minutes=release.packing_minute),
        ready_at=start + timedelta(minutes=release.ready_minute),
        cut_off_at=entry.cut_off_at,
        is_met=release.slack_minutes >= 0,
        slack_minutes=release.slack_minutes,
        finding=release.finding,
    )


def _minutes(start: datetime, end: datetime) -> int:
    return int((end - start).total_seconds()) // _SECONDS_PER_MINUTE

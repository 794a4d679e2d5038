"""Release sequences: as good as trying all of them, and no cut-off missed that could be met."""

from datetime import UTC, datetime
from itertools import permutations
from random import Random

import pytest

from models.finding import format_span
from models.outbound import (
    OutboundParcel,
    Resources,
    _Floor,
    _improve,
    _moore,
    _score,
    plan_releases,
    score,
)

_ONE = Resources((0,), (0,))
_NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _parcel(
    name: str, cut_off: int, packing: int = 10, forklift: int = 0, aisle: str | None = None
) -> OutboundParcel:
    return OutboundParcel(name, 0, forklift, aisle, packing, cut_off)


def _random(seed: int, count: int) -> tuple[list[OutboundParcel], Resources]:
    random = Random(seed)  # noqa: S311 - test data, not secrets
    parcels = [
        OutboundParcel(
            parcel_id=f"P{number}",
            available_minute=random.choice((0, 0, 15)),
            forklift_minutes=random.choice((0, 5, 20)),
            aisle=random.choice((None, "A", "B")),
            packing_minutes=random.randint(5, 30),
            cut_off_minute=random.randint(10, 30 * count),
        )
        for number in range(count)
    ]
    idle = tuple(random.randint(0, 20) for _ in range(random.randint(1, 2)))
    return parcels, Resources(idle, tuple(random.randint(0, 9) for _ in range(len(idle))))


def _best(parcels: list[OutboundParcel], resources: Resources) -> tuple[int, int, int]:
    return min(score(sequence, resources) for sequence in permutations(parcels))


def _planned(parcels: list[OutboundParcel], resources: Resources) -> tuple[int, int, int]:
    by_id = {parcel.parcel_id: parcel for parcel in parcels}
    plan = plan_releases(parcels, resources, _NOON)
    assert sorted(by_id) == sorted(release.parcel_id for release in plan.releases)
    total = score([by_id[release.parcel_id] for release in plan.releases], resources)
    assert len(plan.missed) == total[0]
    return total


def test_brute_force_agrees_on_500_small_cases() -> None:
    """Up to six parcels, no sequence misses fewer cut-offs, is less late, or ends earlier."""
    for seed in range(500):
        parcels, resources = _random(seed, 1 + seed % 5 + (seed % 25 == 0))
        assert _planned(parcels, resources) == _best(parcels, resources), seed


def test_the_sequence_does_not_depend_on_the_order_given() -> None:
    parcels, resources = _random(7, 6)
    assert plan_releases(parcels, resources, _NOON) == plan_releases(
        parcels[::-1], resources, _NOON
    )


def test_many_parcels_are_no_worse_than_by_cut_off_and_say_so() -> None:
    """Above the exact size no more cut-offs are missed than earliest-cut-off-first misses."""
    for seed in range(12):
        parcels, resources = _random(seed, 12)
        by_cut_off = sorted(parcels, key=lambda item: (item.cut_off_minute, item.parcel_id))
        assert _planned(parcels, resources) <= score(by_cut_off, resources)
        assert not plan_releases(parcels, resources, _NOON).is_exact


def test_the_heuristic_is_exact_for_one_station_without_forklifts() -> None:
    """Moore and Hodgson's rule misses as few cut-offs as any sequence on one machine."""
    random = Random(5)  # noqa: S311 - test data, not secrets
    floor = _Floor((0,), (0,))
    for _ in range(60):
        parcels = [
            _parcel(f"P{number}", random.randint(5, 90), random.randint(5, 30))
            for number in range(6)
        ]
        ordered = sorted(parcels, key=lambda item: (item.cut_off_minute, item.parcel_id))
        found = _score(_improve(_moore(ordered, floor), floor), floor)
        assert found[0] == _best(parcels, _ONE)[0]


def test_two_parcels_of_one_aisle_do_not_share_it() -> None:
    parcels = [_parcel("a", 100, 5, 20, "A"), _parcel("b", 100, 5, 20, "A")]
    first, second = plan_releases(parcels, Resources((0, 0), (0, 0)), _NOON).releases
    assert (first.start_minute, second.start_minute) == (0, 20)
    apart = [_parcel("a", 100, 5, 20, "A"), _parcel("b", 100, 5, 20, "B")]
    assert [
        r.start_minute for r in plan_releases(apart, Resources((0, 0), (0, 0)), _NOON).releases
    ] == [
        0,
        0,
    ]


def test_sentences_name_moments() -> None:
    (only,) = plan_releases([_parcel("a", 95, 30)], _ONE, _NOON).releases
    assert only.finding.facts == {
        "ready_at": "2026-03-01T12:30Z",
        "cut_off_at": "2026-03-01T13:35Z",
        "slack_minutes": 65,
        "sooner": 0,
    }
    assert only.finding.text.en == (
        "all others are released; ready at 2026-03-01T12:30Z, 1.1 hours before its cut-off"
    )
    assert only.finding.text.zh == "其余已放行;2026-03-01T12:30Z备妥,距截单余1.1小时"


@pytest.mark.parametrize(
    ("parcels", "code"),
    [
        ([_parcel("a", 20), _parcel("b", 90)], "EARLIEST_CUT_OFF"),
        ([_parcel("a", 5)], "CUT_OFF_MISSED"),
        ([_parcel("a", 50)], "LAST"),
        ([_parcel("a", 60, 10, 40), _parcel("b", 200, 20)], "STATION_IDLE"),
        ([_parcel("gone", 5, 30), _parcel("can", 20)], "LEAVES_MORE_IN_TIME"),
    ],
)  # fmt: skip
def test_each_position_says_why(parcels: list[OutboundParcel], code: str) -> None:
    first = plan_releases(parcels, _ONE, _NOON).releases[0]
    assert first.finding.code == code
    assert first.finding.facts["slack_minutes"] == abs(first.slack_minutes)
    assert format_span(abs(first.slack_minutes)).en in first.finding.text.en
    assert format_span(abs(first.slack_minutes)).zh in first.finding.text.zh


def test_who_overtakes_without_making_less_late_says_so() -> None:
    parcels = [_parcel("long", 400, 35, 10), _parcel("soon", 300, 30, 10)]
    first = plan_releases(parcels, Resources((0,), (0, 0)), _NOON).releases[0]
    assert (first.parcel_id, first.finding.code) == ("long", "ENDS_EARLIER")
    assert first.finding.facts["sooner"] == 1


def test_a_missed_cut_off_gives_way_to_those_that_can_be_met() -> None:
    plan = plan_releases(
        [_parcel("gone", 5, 30), _parcel("can", 20), _parcel("too", 30)], _ONE, _NOON
    )
    assert [release.parcel_id for release in plan.releases] == ["can", "too", "gone"]
    assert plan.missed == ("gone",)

"""Why a parcel stands where it stands in a release sequence: codes and sentences.

Their facts are the parcel's `ready_at`, `cut_off_at` and `slack_minutes`, and `sooner`: how many
with an earlier cut-off are released after it. `models.outbound` says which holds.
"""

from typing import TypeAlias

from models.domain import Text

Reason: TypeAlias = tuple[str, Text]

MISSED: Reason = (
    "CUT_OFF_MISSED",
    Text(
        "截单时间{cut_off_at}无法赶上,{ready_at}备妥,晚{slack_minutes};排在不影响其他包裹处",
        "its cut-off at {cut_off_at} is missed by {slack_minutes}, ready at {ready_at}; it stands "
        "where it costs the others least",
    ),
)
LAST: Reason = (
    "LAST",
    Text(
        "其余已放行;{ready_at}备妥,距截单余{slack_minutes}",
        "all others are released; ready at {ready_at}, {slack_minutes} before its cut-off",
    ),
)
EARLIEST: Reason = (
    "EARLIEST_CUT_OFF",
    Text(
        "剩余包裹中截单最早({cut_off_at}),备妥后余{slack_minutes}",
        "its cut-off at {cut_off_at} is the earliest of those left; {slack_minutes} to spare",
    ),
)
IDLE: Reason = (
    "STATION_IDLE",
    Text(
        "另有{sooner}个截单更早的包裹须等叉车或通道,打包台先处理本包裹,余{slack_minutes}",
        "the {sooner} with an earlier cut-off wait for a forklift or aisle, a station packs this "
        "one meanwhile; {slack_minutes} to spare",
    ),
)
MORE_IN_TIME: Reason = (
    "LEAVES_MORE_IN_TIME",
    Text(
        "先于{sooner}个截单更早的包裹放行,总体误点更少,余{slack_minutes}",
        "released before {sooner} with an earlier cut-off because so less is late in all; "
        "{slack_minutes} to spare",
    ),
)
ENDS_EARLIER: Reason = (
    "ENDS_EARLIER",
    Text(
        "先于{sooner}个截单更早的包裹放行,误点不增且总体完工更早,余{slack_minutes}",
        "released before {sooner} with an earlier cut-off because all is done earlier and nothing "
        "is later for it; {slack_minutes} to spare",
    ),
)

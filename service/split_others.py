"""What a split did not choose, as an answer shows it: warehouses, candidates and other plans."""

from collections.abc import Iterator
from typing import Final, cast

from models.domain import Json, Language, Text
from models.finding import format_money, format_span
from models.split.constraints import list_titles
from service.split_plan import (
    JsonObject,
    as_object,
    as_objects,
    build_cost,
    build_lines,
    in_money,
)

_SEMICOLONS: Final[dict[Language, str]] = {"zh": ";", "en": "; "}


def rejected_warehouses(said: JsonObject) -> Iterator[Json]:
    """Return why each warehouse that does not ship does not."""
    for one in as_objects(said["why_not"]):
        plan = one["plan"]
        yield {
            "warehouse_id": one["warehouse_id"],
            "line_id": None,
            "service_id": None,
            "standing": one["standing"],
            **as_object(one["finding"]),
            **_against(one),
            "plan": None if plan is None else build_lines(as_object(plan), None),
            "cost": None if plan is None else build_cost(as_object(plan)),
        }


def unused_candidates(said: JsonObject, currency: str, language: Language) -> Iterator[Json]:
    """Return why each candidate is not used."""
    for one in as_objects(said["candidates"]):
        if one["standing"] == "chosen":
            continue
        standing = str(one["standing"])
        yield {
            "warehouse_id": one["warehouse_id"],
            "line_id": one["line_id"],
            "service_id": one["service_id"],
            "standing": standing,
            "code": standing.upper(),
            "facts": {"late_probability": one["late_probability"]},
            "text": _say(one, currency).in_language(language)
            if not one["exclusions"]
            else _SEMICOLONS[language].join(str(f["text"]) for f in as_objects(one["exclusions"])),
            **_against(one),
            "plan": None,
            "cost": None,
        }


def build_alternative(one: JsonObject) -> Json:
    """Return a plan not taken."""
    difference, plan = one["difference"], as_object(one["plan"])
    return {
        "relaxed": one["relaxed"],
        "status": one["status"],
        **as_object(one["finding"]),
        "difference": None if difference is None else in_money(as_object(difference)),
        "plan": build_lines(plan, None),
        "cost": build_cost(plan),
        "arrives_at": plan["arrives_at"],
    }


def _say(candidate: JsonObject, currency: str) -> Text:
    """Say why a candidate that nothing excludes is not used, from its recorded difference."""
    blockers = [str(name) for name in cast("list[Json]", candidate["blocked_by"])]
    if blockers:
        titles = list_titles(blockers)
        return Text(
            f"改由此处发货将违反{titles['constraints_zh']}",
            f"moving the line here would break: {titles['constraints_en']}",
        )
    if candidate["difference"] is None:
        return Text("订单无可行方案", "the order has no plan")
    difference = as_object(candidate["difference"])
    cents, minutes = (cast("int", difference[n]) for n in ("cost_cents", "arrival_minutes"))
    money, span = f"{format_money(abs(cents))} {currency}", format_span(abs(minutes))
    zh, en = (
        f"改由此处发货:成本{'多' if cents >= 0 else '少'}{money}",
        "moving the line here would ",
    )
    en += f"cost {money} {'more' if cents >= 0 else 'less'}"
    if minutes:
        zh += f",{'晚' if minutes > 0 else '早'}{span.zh}送达"
        en += f", arrive {span.en} {'later' if minutes > 0 else 'earlier'}"
    late = cast("float", difference["late_lines"])
    return Text(
        f"{zh},预期迟到行数{late:+.2f}",
        f"{en} and change the expected number of late lines by {late:+.2f}",
    )


def _against(one: JsonObject) -> JsonObject:
    difference = one["difference"]
    return {
        "exclusions": one["exclusions"],
        "blocked_by": one["blocked_by"],
        "difference": None if difference is None else in_money(as_object(difference)),
        "groups": one["groups"],
    }

"""A recorded plan as an answer shows it: lines, parcels, money, and what the model says of each."""

from typing import Final, cast

from models.calibration import logistic
from models.domain import Json

JsonObject = dict[str, Json]
CANDIDATE_KEY: Final = ("line_id", "warehouse_id", "service_id")
_CENTS: Final = "_cents"
_OWN_TERMS: Final = ("freight_cents", "turnover_cents", "lateness_cents")


def build_lines(plan: JsonObject, scores: dict[tuple[Json, ...], JsonObject] | None) -> list[Json]:
    """Return where each piece of each order line leaves from.

    Parameters
    ----------
    plan
        A plan of the record.
    scores
        Candidate to what the model says of it; None leaves that out.
    """
    parcels = {candidate_key(parcel)[1:]: parcel for parcel in as_objects(plan["parcels"])}
    lines: list[Json] = []
    for shipment in as_objects(plan["shipments"]):
        parcel = parcels[candidate_key(shipment)[1:]]
        line: JsonObject = {
            **{name: shipment[name] for name in ("line_id", "sku", "warehouse_id", "service_id")},
            "carrier": parcel["carrier"],
            "quantity": shipment["quantity"],
            "ship_by": parcel["ship_by_at"],
            "arrives_at": parcel["arrives_at"],
            "cost": to_money(sum(cast("int", shipment[name]) for name in _OWN_TERMS)),
            **in_money({name: shipment[name] for name in _OWN_TERMS}),
            "lateness_probability": shipment["late_probability"],
        }
        if scores is not None:
            score = scores[candidate_key(shipment)]
            line |= {**without(explain(score), "probability"), **both_sides(score, None)}
        lines.append(line)
    return lines


def build_whole_plan(plan: Json) -> JsonObject:
    """Return a plan's parcels, cost and arrival; empty and None without a plan."""
    if plan is None:
        return {"parcels": [], "cost": None, "arrives_at": None, "expected_late_lines": None}
    known = as_object(plan)
    parcels: list[Json] = [in_money(parcel) for parcel in as_objects(known["parcels"])]
    return {
        "parcels": parcels,
        "cost": build_cost(known),
        "arrives_at": known["arrives_at"],
        "expected_late_lines": known["expected_late_lines"],
    }


def build_cost(plan: JsonObject) -> JsonObject:
    """Return a plan's cost by term, with its total."""
    cents = as_object(plan["cost"])
    return {**in_money(cents), "total": to_money(sum(cast("int", cents[name]) for name in cents))}


def explain(score: JsonObject) -> JsonObject:
    """Return what the model says of a candidate, as a decision of one margin shows it."""
    attributions = as_object(score["attributions"])
    return {
        "raw_probability": logistic(cast("float", attributions["margin"])),
        "probability": score["probability"],
        "interval": score["interval"],
        "features": as_object(score["snapshot"])["features"],
        "attributions": attributions,
    }


def both_sides(score: JsonObject, outcome: Json) -> JsonObject:
    """Return both sides' reasons, those towards `outcome` first where there are any."""
    pro, contra = (
        [without(reason, "side") for reason in as_objects(score[name])]
        for name in ("reasons", "counter_reasons")
    )
    if contra and contra[0]["toward"] == outcome:
        pro, contra = contra, pro
    return {"reasons": [*pro], "counter_reasons": [*contra]}


def in_money(values: JsonObject) -> JsonObject:
    """Return amounts in the currency's units under their names without the unit."""
    shown: JsonObject = {}
    for name, value in values.items():
        if name == "cents":
            shown["amount"] = to_money(value)
        elif name.endswith(_CENTS):
            shown[name.removesuffix(_CENTS)] = to_money(value)
        else:
            shown[name] = value
    return shown


def to_money(cents: Json) -> Json:
    """Return cents as an amount of the currency."""
    return None if cents is None else cast("int", cents) / 100


def candidate_key(value: JsonObject) -> tuple[Json, ...]:
    """Return line, warehouse and service; None where there is none."""
    return tuple(value.get(name) for name in CANDIDATE_KEY)


def without(value: JsonObject, name: str) -> JsonObject:
    """Return an object without one of its keys."""
    return {key: item for key, item in value.items() if key != name}


def as_object(value: Json) -> JsonObject:
    """Return a JSON value that is known to be an object."""
    # The store refuses records that are not of this form, and `verify` names any that became so.
    return cast("JsonObject", value)


def as_objects(value: Json) -> list[JsonObject]:
    """Return a JSON value that is known to be a list of objects."""
    return cast("list[JsonObject]", value)

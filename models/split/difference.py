"""How one plan differs from another, in numbers and in words."""

from dataclasses import dataclass
from typing import Literal

from models.domain import JsonScalar, Text
from models.finding import Finding, build_finding
from models.split.plan import Plan

_SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """Another plan minus the chosen one.

    Parameters
    ----------
    cost_cents
        Of the whole objective.
    freight_cents
        Of what the carriers are paid alone.
    parcels
        In number.
    arrival_minutes
        Of the last parcel.
    late_lines
        Of the expected number of late lines.
    """

    cost_cents: int
    freight_cents: int
    parcels: int
    arrival_minutes: int
    late_lines: float


def compare(chosen: Plan, other: Plan) -> Difference:
    """Return what `other` has more than `chosen`."""
    later = (other.arrives_at - chosen.arrives_at).total_seconds()
    return Difference(
        cost_cents=other.cost.total_cents - chosen.cost.total_cents,
        freight_cents=other.cost.freight_cents - chosen.cost.freight_cents,
        parcels=len(other.parcels) - len(chosen.parcels),
        arrival_minutes=int(later) // _SECONDS_PER_MINUTE,
        late_lines=other.expected_late_lines - chosen.expected_late_lines,
    )


def say_difference(
    code: str, opening: Text, facts: dict[str, JsonScalar], chosen: Plan, other: Plan
) -> Finding:
    """Say what another plan would change, after an opening with its own facts.

    Examples
    --------
    See ``tests/models/split/test_alternatives.py``: "one parcel less would cost 12.40 more and
    arrive 9 hours later".
    """
    difference = compare(chosen, other)
    shown = dict(facts)
    parts = [
        _signed(shown, "cost", "cents", difference.cost_cents, _COST),
        _signed(shown, "arrival", "minutes", difference.arrival_minutes, _ARRIVAL),
        _late(shown, chosen, other),
    ]
    said = [part for part in parts if part is not None]
    sentence = Text(
        opening.zh + ",".join(part.zh for part in said),
        opening.en + " and ".join(part.en for part in said),
    )
    return build_finding(code, sentence, shown)


_COST = (
    Text("成本多{cost_more_cents}元", "cost {cost_more_cents} more"),
    Text("成本少{cost_less_cents}元", "cost {cost_less_cents} less"),
)
_ARRIVAL = (
    Text("晚{arrival_more_minutes}送达", "arrive {arrival_more_minutes} later"),
    Text("早{arrival_less_minutes}送达", "arrive {arrival_less_minutes} earlier"),
)


def _signed(
    facts: dict[str, JsonScalar],
    name: Literal["cost", "arrival"],
    unit: str,
    value: int,
    sentences: tuple[Text, Text],
) -> Text | None:
    if value == 0:
        return Text("成本相同", "cost the same") if name == "cost" else None
    facts[f"{name}_{'more' if value > 0 else 'less'}_{unit}"] = abs(value)
    return sentences[0] if value > 0 else sentences[1]


def _late(facts: dict[str, JsonScalar], chosen: Plan, other: Plan) -> Text | None:
    if f"{chosen.late_probability:.2f}" == f"{other.late_probability:.2f}":
        return None
    facts["chosen_late_probability"] = chosen.late_probability
    facts["other_late_probability"] = other.late_probability
    return Text(
        "最高迟到概率{other_late_probability}%(当前方案{chosen_late_probability}%)",
        "have a largest P(late) of {other_late_probability} % instead of "
        "{chosen_late_probability} %",
    )

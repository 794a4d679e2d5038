"""Deciding: pure, the same in any batch, and refused when it does not add up."""

import math
from dataclasses import replace
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import Explainer
from models.decide import decide, decide_many, decide_snapshot, load_model
from models.decision import Decision
from models.domain import PolicyRef, Side, Verdict
from models.errors import InvariantError, OrderInvalidError
from models.invariants import verify_verdict
from models.kind import built_in_kind
from models.reasons import ReasonCatalogue
from tests.models.examples import bundle, loaded, order, small_kind

_GOOD = {"recent_orders": [{"ordered": 9, "returned": 0}]}
_BAD = {"recent_orders": [{"ordered": 4, "returned": 3}, {"ordered": 7, "returned": 6}]}


def _clock() -> float:
    return 0.0


def _rejected(**changes: Any) -> Decision:  # noqa: ANN401 - any JSON value
    return decide(loaded(), order(customer=_BAD, stock=4, **changes), _clock)


def test_a_rejection_says_why_in_both_languages() -> None:
    decision = _rejected()
    verdict = decision.verdict
    assert verdict.outcome == "reject"
    assert verdict.automated
    assert verdict.confidence == verdict.probability
    texts = [reason.text for reason in verdict.reasons[:2]]
    assert {text.zh for text in texts} == {"近3单退货率82%", "库存仅剩4件"}
    assert {text.en for text in texts} == {"82 % of the last 3 orders came back", "4 left in stock"}
    assert verdict.summary.zh.startswith("拒绝:①")
    assert verdict.summary.en.startswith("rejected because: 1. ")
    assert verdict.reasons[0].facts.keys() <= {"return_rate", "stock"}
    assert math.isclose(sum(reason.share for reason in verdict.reasons), 1.0)


def test_a_summary_has_its_own_words_for_a_case() -> None:
    assert _rejected(channel="amazon").verdict.summary.zh.startswith("拒绝跨境:")


def test_an_acceptance_gives_the_reasons_for_it() -> None:
    verdict = decide(loaded(), order(customer=_GOOD, stock=190), _clock).verdict
    assert verdict.outcome == "accept"
    assert verdict.confidence == 1 - verdict.probability
    assert {reason.side for reason in verdict.reasons} == {Side.FAVOURABLE}
    assert {reason.side for reason in verdict.counter_reasons} <= {Side.ADVERSE}


def test_a_rule_sends_a_good_order_to_review() -> None:
    verdict = decide(
        loaded(), order(customer=_GOOD, stock=190, lines=[{"quantity": 120}]), _clock
    ).verdict
    assert verdict.outcome == "review"
    assert not verdict.automated
    assert verdict.confidence == max(verdict.probability, 1 - verdict.probability)
    assert [hit.id for hit in verdict.rules] == ["many-pieces"]
    assert "review" in verdict.outcome_set
    assert "accept" not in verdict.outcome_set
    assert verdict.summary.zh.startswith("复核:①120件")


def test_an_outcome_that_nothing_speaks_for_still_has_reasons() -> None:
    """Then the reasons are those against it, and the summary says that the line is not reached."""
    lenient = loaded().policy.policy.model_copy(update={"review_at": 0.99, "adverse_at": 0.995})
    model = load_model(bundle(), loaded().model_ref, lenient, loaded().policy_ref)
    rows = [(rate, stock) for rate in range(10) for stock in (0, 20, 40)]
    verdicts = [
        decide(
            model,
            order(
                customer={"recent_orders": [{"ordered": 9, "returned": rate}]},
                stock=stock,
                express=True,
                channel="amazon",
            ),
            _clock,
        ).verdict
        for rate, stock in rows
    ]
    against = [v for v in verdicts if v.reasons[0].side is Side.ADVERSE]
    assert against
    for verdict in against:
        assert verdict.outcome == "accept"
        assert verdict.counter_reasons == ()
        assert verdict.summary.en == (
            "accepted because: 1. the probability still stays below the review line"
        )
    assert all(verdict.reasons for verdict in verdicts)


def test_the_outcome_set_holds_the_outcome() -> None:
    verdict = _rejected().verdict
    assert verdict.outcome in verdict.outcome_set


def test_timings_and_unknown_fields_are_kept() -> None:
    ticks = count()
    decision = decide(loaded(), order(note="?"), lambda: next(ticks) / 1000)
    assert decision.timings_ms == {"features": 1.0, "model": 1.0}
    assert decision.unknown_fields == ("/note",)


def test_an_invalid_order_is_refused() -> None:
    with pytest.raises(OrderInvalidError):
        decide(loaded(), order(stock="many"), _clock)


def test_an_unknown_explainer_is_refused() -> None:
    other = replace(bundle(), explainer=Explainer("tables", "1"))
    with pytest.raises(InvariantError, match="no explainer 'tables'"):
        load_model(other, loaded().model_ref, other.kind.policy, PolicyRef("p", "1", "d"))


_ORDERS = st.fixed_dictionaries(
    {},
    optional={
        "stock": st.floats(0, 1000),
        "express": st.booleans(),
        "channel": st.sampled_from(["tmall", "amazon"]),
        "customer": st.fixed_dictionaries(
            {
                "recent_orders": st.lists(
                    st.fixed_dictionaries(
                        {"ordered": st.integers(0, 9), "returned": st.integers(0, 9)}
                    ),
                    max_size=4,
                )
            }
        ),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_ORDERS, min_size=1, max_size=8))
def test_one_by_one_and_in_a_batch_are_the_same(orders: list[dict[str, Any]]) -> None:
    """A decision, its explanation and its texts do not depend on the batch."""
    model = loaded()
    bodies = [order(**changes) for changes in orders]
    batch = decide_many(model, [model.schema.parse(body) for body in bodies], _clock)
    assert batch == [decide(model, body, _clock) for body in bodies]
    for decision in batch:
        assert decide_snapshot(model, decision.snapshot) == decision.verdict


def test_a_snapshot_in_another_order_of_names_is_the_same_snapshot() -> None:
    decision = _rejected(channel="amazon")
    features = dict(sorted(decision.snapshot.features.items(), reverse=True))
    assert list(features) != list(decision.snapshot.features)
    again = decide_snapshot(loaded(), replace(decision.snapshot, features=features))
    assert again == decision.verdict


def _changed(verdict: Verdict, name: str) -> Verdict:
    shifted = replace(verdict.attributions, margin=verdict.attributions.margin + 1e-6)
    renamed = replace(
        verdict.attributions,
        values={f"x_{key}": value for key, value in verdict.attributions.values.items()},
    )
    first, *rest = verdict.reasons
    changes: dict[str, Verdict] = {
        "margin": replace(verdict, attributions=shifted),
        "names": replace(verdict, attributions=renamed),
        "raw": replace(verdict, raw_probability=verdict.raw_probability + 1e-16 + 1e-15),
        "probability": replace(verdict, probability=verdict.probability / 2),
        "interval": replace(verdict, interval=(0.0, 1.0)),
        "order": replace(verdict, reasons=(*rest, first)),
        "rank": replace(verdict, reasons=(replace(first, rank=2), *rest)),
        "fact": replace(verdict, reasons=(replace(first, facts={"stock": 5.0}), *rest)),
        "contribution": replace(
            verdict, reasons=(replace(first, contribution=first.contribution + 1), *rest)
        ),
        "text": replace(
            verdict,
            reasons=(replace(first, text=replace(first.text, zh=first.text.zh + "99")), *rest),
        ),
    }
    return changes[name]


@pytest.mark.parametrize(
    "name",
    ["margin", "names", "raw", "probability", "interval", "order", "rank", "fact", "contribution",
     "text"],
)  # fmt: skip
def test_what_does_not_add_up_is_refused(name: str) -> None:
    decision = _rejected()
    model = loaded()
    verify_verdict(model.calibration, model.kind, decision.snapshot, decision.verdict)
    with pytest.raises(InvariantError):
        verify_verdict(
            model.calibration, model.kind, decision.snapshot, _changed(decision.verdict, name)
        )


@pytest.mark.parametrize("name", ["admission", "risk"])
def test_examples_of_built_in_kinds_are_orders(name: str) -> None:
    """Each built-in kind ships at least three examples that its own schema accepts."""
    kind = built_in_kind(name)
    assert len(kind.examples) >= 3
    for example in kind.examples:
        assert orjson.loads(example.order)["order_id"]


def test_a_group_s_contribution_is_rounded_once() -> None:
    """Not as `sum` adds floats, which is otherwise from one Python to the next."""
    values = {"return_rate": 0.1, "stock": 0.1, "express": 1.0, "channel": 1e-16}
    assert loaded().catalogue.group_contributions(values)["other"] == math.fsum([1.0, 1e-16])
    features = small_kind().features
    grouped = [one.model_copy(update={"group": "other"}) for one in features]
    catalogue = ReasonCatalogue(small_kind().model_copy(update={"features": tuple(grouped)}))
    values = dict(zip((one.name for one in features), (1.0, 1e-16, 1e-16, 1e-16), strict=True))
    assert catalogue.group_contributions(values)["other"] == 1.0000000000000002

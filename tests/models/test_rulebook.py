"""The engine says which rows hold; what they say comes from the checked document."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain import Effect, JsonScalar, ValueType
from models.rule_table import ThresholdRow
from models.rulebook import Rulebook, RulebookAnswer
from tests.models.jdm import chain, edge, graph, node, rule_table, table, threshold_table

KNOWN: dict[str, ValueType] = {"stock": "number", "channel": "text", "is_new": "boolean"}


def book(**tables: dict[str, Any]) -> Rulebook:
    return Rulebook(graph(**tables), KNOWN)


def fired(answer: RulebookAnswer) -> list[str]:
    assert answer.failure is None
    return [row.id for row in answer.fired]


def test_collect_fires_every_row_that_holds_in_the_order_of_the_document() -> None:
    rows = [
        ({"stock": "< 5"}, "low", "review"),
        ({"channel": "'tmall', 'jd'"}, "domestic", "none"),
        ({"stock": "< 5", "is_new": "true"}, "low-and-new", "reject"),
    ]
    rulebook = book(
        b=rule_table(rows[2:], ["stock", "is_new"], outputPath="second"),
        a=rule_table(rows[:2], ["stock", "channel"]),
    )
    values: dict[str, JsonScalar] = {"stock": 4.0, "channel": "jd", "is_new": True}
    assert fired(rulebook.evaluate(values)) == ["low-and-new", "low", "domestic"]
    assert fired(rulebook.evaluate({"stock": 4.0})) == ["low"]
    assert fired(rulebook.evaluate({})) == []
    assert rulebook.evaluate(values).fired[0].effect is Effect.REJECT


def test_first_fires_only_the_first_row() -> None:
    rows = [({"stock": "< 5"}, "low", "review"), ({}, "any", "none")]
    rulebook = book(a=rule_table(rows, ["stock"], hitPolicy="first"))
    assert fired(rulebook.evaluate({"stock": 4.0})) == ["low"]
    assert fired(rulebook.evaluate({"stock": 6.0})) == ["any"]
    only = book(a=rule_table(rows[:1], ["stock"], hitPolicy="first"))
    assert fired(only.evaluate({"stock": 6.0})) == []


def test_thresholds_are_those_of_the_row_that_holds() -> None:
    rulebook = book(t=threshold_table([({"stock": "< 5"}, "0.25", "1")], ["stock"]))
    assert rulebook.evaluate({"stock": 4.0}).thresholds == ThresholdRow(0.25, 1.0)
    assert rulebook.evaluate({"stock": 6.0}).thresholds is None


@given(st.floats(allow_nan=True, allow_infinity=True), st.text(max_size=20) | st.none())
def test_no_value_makes_it_raise(stock: float, channel: str | None) -> None:
    """Whatever the values are, there is an answer; what the engine refuses is a failure."""
    rulebook = book(
        t=threshold_table([({"stock": "< 5"}, "0.25", "1")], ["stock"]),
        a=rule_table([({"channel": "'x'"}, "a", "none")], ["channel"]),
    )
    answer = rulebook.evaluate({"stock": stock, "channel": channel})
    assert answer.failure in {None, "engine"}
    if abs(stock) < 1e20:
        assert fired(answer) == (["a"] if channel == "x" else [])
        assert answer.thresholds == (ThresholdRow(0.25, 1.0) if stock < 5 else None)


def test_a_value_that_is_made_on_the_way() -> None:
    double = {"expressions": [{"id": "1", "key": "double", "value": "stock * 2"}]}
    reads = rule_table([({"double": "> 5"}, "a", "review")], ["double"])
    document = chain(node("e", "expressionNode", double), node("r", "decisionTableNode", reads))
    rulebook = Rulebook(document, KNOWN)
    assert fired(rulebook.evaluate({"stock": 3.0})) == ["a"]
    assert fired(rulebook.evaluate({"stock": 2.0})) == []
    band = table([({"stock": "> 5"}, {"band": "'high'"})], ["stock"])
    reads = rule_table([({"band": "'high'"}, "a", "review")], ["band"])
    document = chain(node("b", "decisionTableNode", band), node("r", "decisionTableNode", reads))
    assert fired(Rulebook(document, KNOWN).evaluate({"stock": 6.0})) == ["a"]


def test_a_switch_chooses_which_tables_are_asked() -> None:
    switch = {"statements": [{"id": "low", "condition": "stock < 5"}]}
    reads = node("r", "decisionTableNode", rule_table([({}, "a", "review")], []))
    document = chain(node("s", "switchNode", switch), reads)
    document["edges"][1] |= {"sourceHandle": "low"}
    document["edges"].append(edge("input", "output"))
    rulebook = Rulebook(document, KNOWN)
    assert fired(rulebook.evaluate({"stock": 4.0})) == ["a"]
    assert fired(rulebook.evaluate({"stock": 6.0})) == []


@pytest.mark.parametrize(
    ("result", "failure"),
    [
        ({"found": [{"id": "other"}]}, "rule"),
        ({"found": ["a"]}, "rule"),
        ({"review_at": "0.1", "adverse_at": 0.3}, "thresholds"),
        ({"review_at": 0.1}, "thresholds"),
        ({"found": [{"id": "a"}]}, None),
    ],
)
def test_an_answer_that_is_not_as_it_was_checked_is_a_failure(
    result: dict[str, Any], failure: str | None
) -> None:
    rulebook = book(a=rule_table([({}, "a", "none")], []))
    assert rulebook._read(result).failure == failure


def test_threads_share_a_rulebook() -> None:
    rulebook = book(a=rule_table([({"stock": "< 5"}, "low", "review")], ["stock"]))
    answers: list[list[str]] = []
    threads = [
        threading.Thread(
            target=lambda: answers.extend(fired(rulebook.evaluate({"stock": 4.0})) for _ in "12345")
        )
        for _ in "1234"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [["low"]] * 20

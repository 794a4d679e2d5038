"""A decision graph that could surprise is refused, at its node, row and column."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from models.decision_graph import check_graph
from models.domain import ValueType
from models.errors import PolicyError
from models.policy_document import built_in_policy
from tests.models.jdm import chain, edge, graph, node, rule_table, table, threshold_table

KNOWN: dict[str, ValueType] = {
    "stock": "number",
    "channel": "text",
    "is_new": "boolean",
    "anything": "any",
}
Change = Callable[[dict[str, Any]], object]


def rules(tests: dict[str, str]) -> dict[str, Any]:
    return graph(rules=rule_table([({}, "first", "none"), (tests, "second", "review")], [*tests]))


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ({"stock": "> > 5"}, r"node 'rules', row 2, column 'stock': cannot be read: '> > 5'"),
        ({"stock": "'five'"}, "row 2, column 'stock': compares a number with a text"),
        ({"stock": "true"}, "true is 1 and false is 0"),
        ({"channel": "> 5"}, "compares a text with a number"),
        ({"is_new": "1"}, "compares a boolean with a number"),
        ({"absent": "> 5"}, "no such value reaches this node: absent"),
        ({"stock": "> absent"}, "no such value reaches this node: absent"),
        ({"stock": "> d()"}, r"d\(\) may not be used"),
        ({"stock": "> date('now')"}, r"date\(\) may not be used"),
        ({"stock": "> rand(5)"}, r"rand\(\) may not be used"),
        ({"stock": "> $nodes.x"}, r"'\$' may not be used"),
        ({"stock": "> order.value"}, "values are flat"),
        ({"'constant'": "'constant'"}, "a column reads a value"),
    ],
)
def test_a_cell_that_could_surprise_is_refused(tests: dict[str, str], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        check_graph(rules(tests), KNOWN)


@pytest.mark.parametrize(
    "tests",
    [
        {"stock": "[1..5]"},
        {"stock": "1.5"},
        {"channel": "'tmall', 'amazon'"},
        {"channel": "null"},
        {"is_new": "true"},
        {"anything": "'x', 1, true"},
        {"stock": "> stock * 2 + len(channel)"},
        {"channel": "contains($, 'mall')"},
    ],
)
def test_a_cell_that_can_be_read(tests: dict[str, str]) -> None:
    checked = check_graph(rules(tests), KNOWN)
    assert checked.rows["second"].names[0] == next(iter(tests))
    assert checked.rows["second"].place == "rules, row 2"
    assert checked.rule_paths == ("found",)


def _at(*path: str | int, value: object) -> Change:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


_TABLE: tuple[str | int, ...] = ("nodes", 1, "content")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_at("nodes", 1, "type", value="functionNode"), "node 'rules', nodes.1.type"),
        (_at("nodes", 1, "type", value="decisionNode"), "node 'rules', nodes.1.type"),
        (_at("nodes", 1, "type", value="customNode"), "node 'rules', nodes.1.type"),
        (_at("nodes", 1, value=7), "node None, nodes.1"),
        (_at("nodes", value=7), "decision: nodes"),
        (_at("edges", value=[{}]), "decision: edges.0"),
        (_at("nodes", 1, "id", value="input"), "two nodes have the same id"),
        (_at("nodes", 0, "type", value="outputNode"), "exactly one inputNode"),
        (_at("nodes", 2, "type", value="inputNode"), "exactly one inputNode"),
        (_at("edges", 0, "sourceId", value="absent"), "a node that does not exist"),
        (_at("edges", 0, "sourceId", value="output"), "form a circle"),
        (lambda document: document["edges"].pop(0), "'rules', is not reached"),
        (lambda document: document["edges"].pop(1), "'output', is not reached"),
        (_at(*_TABLE, "hitPolicy", value="any"), "node 'rules', hitPolicy"),
        (_at(*_TABLE, "executionMode", value="loop"), "node 'rules', executionMode"),
        (_at(*_TABLE, "inputField", value="lines"), "node 'rules', inputField"),
        (_at(*_TABLE, "outputPath", value=None), "an outputPath of its own"),
        (_at(*_TABLE, "outputPath", value="a.b"), "an outputPath of its own"),
        (_at(*_TABLE, "rules", value=[]), "node 'rules', rules"),
        (_at(*_TABLE, "rules", 0, "other", value="1"), "row 1: no column has the id 'other'"),
        (_at(*_TABLE, "inputs", 0, "id", value="out_id"), "two columns have the same id"),
        (_at(*_TABLE, "rules", 0, "out_id", value=""), "row 1, column 'id': must be a constant"),
        (_at(*_TABLE, "rules", 0, "out_zh", value="stock"), "column 'zh': must be a constant"),
        (_at(*_TABLE, "rules", 0, "out_effect", value="'maybe'"), "no effect 'maybe'"),
        (_at(*_TABLE, "rules", 0, "out_effect", value="'exclude'"), "exclude is for plans"),
        (_at(*_TABLE, "rules", 0, "out_en", value="'{absent}'"), "show unknown values: absent"),
        (_at(*_TABLE, "rules", 0, "out_id", value="'second'"), "'second' is named twice"),
        (_at(*_TABLE, "rules", 0, "out_id", value="'Not A Slug'"), "no rule id 'Not A Slug'"),
        (_at(*_TABLE, "outputs", 3, "field", value="de"), "exactly the outputs id, effect"),
    ],
)
def test_a_graph_that_is_not_whole_is_refused(change: Change, message: str) -> None:
    document = copy.deepcopy(rules({"stock": "> 5"}))
    change(document)
    with pytest.raises(PolicyError, match=message):
        check_graph(document, KNOWN)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ("0.5", "0.4", "row 1: thresholds must be 0 <= review_at"),
        ("0.5", "1.4", "thresholds must be"),
        ("0.5", "'high'", "thresholds are numbers"),
        ("0.5", "", "row 1, column 'adverse_at': must be a constant"),
        ("0.5", "stock", "must be a constant"),
    ],
)
def test_thresholds_are_numbers_in_order(low: str, high: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        check_graph(graph(t=threshold_table([({}, low, high)], ["stock"])), KNOWN)


def test_one_table_gives_thresholds_and_is_joined_to_the_output() -> None:
    given = threshold_table([({"stock": "> 5"}, "0.2", "0.4")], ["stock"])
    assert check_graph(graph(t=given), KNOWN).thresholds[0].adverse_at == 0.4
    with pytest.raises(PolicyError, match="one table alone"):
        check_graph(graph(t=given, u=given), KNOWN)
    with pytest.raises(PolicyError, match="one table alone"):
        check_graph(graph(t={**given, "outputPath": "x"}), KNOWN)
    with pytest.raises(PolicyError, match="hitPolicy first"):
        check_graph(graph(t={**given, "hitPolicy": "collect"}), KNOWN)
    half = table([({}, {"review_at": "0.1"})], ["stock"])
    with pytest.raises(PolicyError, match="exactly the outputs review_at"):
        check_graph(graph(t=half), KNOWN)
    hidden = chain(
        node("t", "decisionTableNode", given),
        node("r", "decisionTableNode", rule_table([({}, "a", "none")], [])),
    )
    with pytest.raises(PolicyError, match="one table alone"):
        check_graph(hidden, KNOWN)


def test_a_rule_table_is_joined_to_the_output() -> None:
    given = rule_table([({}, "a", "none")], [])
    switched = chain(
        node("r", "decisionTableNode", given), node("s", "switchNode", {"statements": []})
    )
    with pytest.raises(PolicyError, match="a rule table is joined to the output"):
        check_graph(switched, KNOWN)
    with pytest.raises(PolicyError, match="an outputPath of its own"):
        check_graph(graph(a=given, b=given), KNOWN)


def _band(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a table
    return table([({"stock": "> 5"}, {"band": "'high'"})], ["stock"], **changes)


def test_a_value_is_seen_only_where_it_reaches() -> None:
    reads_band = node(
        "r", "decisionTableNode", rule_table([({"band": "'high'"}, "a", "review")], ["band"])
    )
    checked = check_graph(chain(node("b", "decisionTableNode", _band()), reads_band), KNOWN)
    assert checked.rows["a"].names == ("stock",)
    wrong = _band(hitPolicy="collect")
    with pytest.raises(PolicyError, match="hitPolicy first and no outputPath"):
        check_graph(chain(node("b", "decisionTableNode", wrong), reads_band), KNOWN)
    reads_channel = node(
        "r", "decisionTableNode", rule_table([({"channel": "'x'"}, "a", "review")], ["channel"])
    )
    with pytest.raises(PolicyError, match="node 'r', no such value reaches this node: channel"):
        check_graph(chain(node("b", "decisionTableNode", _band()), reads_channel), KNOWN)
    passed = node("b", "decisionTableNode", _band(passThrough=True))
    assert check_graph(chain(passed, reads_channel), KNOWN).names == ("stock", "channel")


def test_a_table_s_outputs_are_read_too() -> None:
    twice = table([({}, {"band": "stock * 2"})], ["channel"])
    reads_band = node(
        "r", "decisionTableNode", rule_table([({"band": "> 5"}, "a", "review")], ["band"])
    )
    checked = check_graph(chain(node("b", "decisionTableNode", twice), reads_band), KNOWN)
    assert checked.names == ("stock",)
    broken = table([({}, {"band": "absent * 2"})], ["channel"])
    with pytest.raises(PolicyError, match="row 1, column 'band': no such value"):
        check_graph(chain(node("b", "decisionTableNode", broken), reads_band), KNOWN)


def test_expressions_and_switches_are_checked() -> None:
    def made(value: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a node
        content = {"expressions": [{"id": "1", "key": "double", "value": value}], **changes}
        reads = rule_table([({"double": "> 5"}, "a", "review")], ["double"])
        return chain(node("e", "expressionNode", content), node("r", "decisionTableNode", reads))

    assert check_graph(made("stock * 2"), KNOWN).rows["a"].names == ("stock",)
    assert check_graph(made("stock * 2", passThrough=True), KNOWN).names == ("stock",)
    with pytest.raises(PolicyError, match="node 'e', expression 'double': cannot be read"):
        check_graph(made("stock *"), KNOWN)
    with pytest.raises(PolicyError, match="node 'e', outputPath"):
        check_graph(made("stock", outputPath="x"), KNOWN)
    reads = node("r", "decisionTableNode", rule_table([({}, "a", "review")], []))
    switch = {"statements": [{"id": "1", "condition": "stock > 5"}, {"id": "2", "condition": ""}]}
    assert check_graph(chain(node("s", "switchNode", switch), reads), KNOWN).names == ("stock",)
    wrong = {"statements": [{"id": "1", "condition": "absent > 5"}]}
    with pytest.raises(PolicyError, match="node 's', no such value"):
        check_graph(chain(node("s", "switchNode", wrong), reads), KNOWN)


def test_a_column_without_a_field_holds_conditions() -> None:
    content = rule_table([({"any": "stock > 5 and channel == 'x'"}, "a", "review")], ["any"])
    content["inputs"][0]["field"] = ""
    assert check_graph(graph(r=content), KNOWN).rows["a"].names == ("stock", "channel")


def test_the_graphs_that_ship_name_what_is_unknown() -> None:
    decision = built_in_policy("risk").decision
    assert decision is not None
    with pytest.raises(PolicyError, match="node 'thresholds', no such value"):
        check_graph(decision, KNOWN)
    assert edge("a", "b")["id"] == "a-b"

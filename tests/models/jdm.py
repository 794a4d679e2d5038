"""Small decision graphs for tests."""

from collections.abc import Sequence
from typing import Any

Tests = dict[str, str]


def table(
    rows: Sequence[tuple[Tests, dict[str, str]]],
    inputs: Sequence[str],
    **changes: Any,  # noqa: ANN401 - any part
) -> dict[str, Any]:
    outputs = list(dict.fromkeys(name for _, said in rows for name in said))
    return {
        "hitPolicy": "first",
        "inputs": [{"id": f"in_{name}", "name": name, "field": name} for name in inputs],
        "outputs": [{"id": f"out_{name}", "name": name, "field": name} for name in outputs],
        "rules": [
            {
                "_id": str(number),
                **{f"in_{name}": tests.get(name, "") for name in inputs},
                **{f"out_{name}": value for name, value in said.items()},
            }
            for number, (tests, said) in enumerate(rows)
        ],
        "passThrough": False,
        "inputField": None,
        "outputPath": None,
        "executionMode": "single",
        **changes,
    }


def rule_table(
    rows: Sequence[tuple[Tests, str, str]],
    inputs: Sequence[str],
    **changes: Any,  # noqa: ANN401 - any part
) -> dict[str, Any]:
    said = [
        (
            tests,
            {"id": f"'{name}'", "effect": f"'{effect}'", "zh": f"'{name}规则'", "en": f"'{name}'"},
        )
        for tests, name, effect in rows
    ]
    return table(said, inputs, **{"hitPolicy": "collect", "outputPath": "found", **changes})


def threshold_table(
    rows: Sequence[tuple[Tests, str, str]],
    inputs: Sequence[str],
    **changes: Any,  # noqa: ANN401 - any part
) -> dict[str, Any]:
    said = [(tests, {"review_at": low, "adverse_at": high}) for tests, low, high in rows]
    return table(said, inputs, **changes)


def node(identity: str, kind: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"id": identity, "name": identity, "type": kind, "content": content or {}}


def edge(source: str, target: str) -> dict[str, str]:
    return {"id": f"{source}-{target}", "sourceId": source, "targetId": target}


def graph(**tables: dict[str, Any]) -> dict[str, Any]:
    """Join each table to the input and the output."""
    nodes = [node(name, "decisionTableNode", content) for name, content in tables.items()]
    edges = [edge("input", name) for name in tables] + [edge(name, "output") for name in tables]
    return {
        "nodes": [node("input", "inputNode"), *nodes, node("output", "outputNode")],
        "edges": edges or [edge("input", "output")],
    }


def chain(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Join input, a first node, a second one and the output in a row."""
    return {
        "nodes": [node("input", "inputNode"), first, second, node("output", "outputNode")],
        "edges": [
            edge("input", first["id"]),
            edge(first["id"], second["id"]),
            edge(second["id"], "output"),
        ],
    }

"""Reading a decision graph (GoRules JSON decision model) and refusing one that could surprise.

The engine is lenient: an unknown name is null, a cell that cannot be parsed never holds, an output
that fails is left out. So everything is checked here before it is used, with node, row and column
in the message. Allowed nodes are input, output, decision table, expression and switch; functions,
custom nodes and other decisions (code and I/O) are refused.

A **rule table** has the outputs `id`, `effect`, `zh`, `en`, all constants, and writes its rows to
an `outputPath` of its own. A **threshold table** has the outputs `review_at` and `adverse_at`, both
numbers. Both are joined to the output node. Other tables and expression nodes make values that
tables after them may read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from models.domain import Effect, ValueType
from models.errors import PolicyError
from models.expressions import parse_value
from models.rule_table import RuleRow, Table, ThresholdRow, read_rules, read_tests, read_thresholds

_RULE_OUTPUTS = {"id", "effect", "zh", "en"}
_THRESHOLD_OUTPUTS = {"review_at", "adverse_at"}
# Name to the values of the kind that it comes from.
Origins: TypeAlias = dict[str, tuple[str, ...]]


class _Part(BaseModel):
    """A part of the graph; what the visual editor adds (positions, remarks) is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class _Edge(_Part):
    source_id: str
    target_id: str


class _Expression(_Part):
    key: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    value: str


class _ExpressionContent(_Part):
    expressions: tuple[_Expression, ...]
    pass_through: bool = False
    input_field: None = None
    output_path: None = None
    execution_mode: Literal["single"] = "single"


class _Statement(_Part):
    condition: str = ""


class _SwitchContent(_Part):
    statements: tuple[_Statement, ...]


class _Node(_Part):
    id: str
    name: str
    type: Literal["inputNode", "outputNode", "decisionTableNode", "expressionNode", "switchNode"]
    content: dict[str, JsonValue] = Field(default_factory=dict)


class _Graph(_Part):
    nodes: tuple[_Node, ...]
    edges: tuple[_Edge, ...]


@dataclass(frozen=True, slots=True)
class CheckedGraph:
    """What a graph reads and can say.

    Parameters
    ----------
    names
        Values of the kind that it reads.
    rows
        Rule id to its row, in the order of the document.
    thresholds, threshold_names
        Rows of the threshold table, empty when there is none, and the values that it reads.
    rule_paths
        Places in the engine's answer where fired rules stand.
    constants
        Numbers that its tables compare values with, rising.
    """

    names: tuple[str, ...]
    rows: dict[str, RuleRow]
    thresholds: tuple[ThresholdRow, ...]
    threshold_names: tuple[str, ...]
    rule_paths: tuple[str, ...]
    constants: tuple[float, ...]


@dataclass(slots=True)
class _Findings:
    names: list[str] = field(default_factory=list)
    rows: dict[str, RuleRow] = field(default_factory=dict)
    thresholds: tuple[ThresholdRow, ...] = ()
    threshold_names: tuple[str, ...] = ()
    rule_paths: list[str] = field(default_factory=list)
    constants: set[float] = field(default_factory=set)


def check_graph(document: Mapping[str, JsonValue], known: Mapping[str, ValueType]) -> CheckedGraph:
    """Check a decision graph.

    Parameters
    ----------
    document
        The JSON decision model.
    known
        Values that an order has, by name, with their types.

    Raises
    ------
    PolicyError
        Naming node, row and column.
    """
    # 1. The form: nodes of the allowed types, joined without a circle, all reachable.
    graph = _parse(document)
    order = _sorted_nodes(graph)
    # 2. Each node reads only what reaches it.
    output = next(node for node in graph.nodes if node.type == "outputNode")
    findings = _Findings()
    available: dict[str, Origins] = {}
    for node in order:
        sources = [edge.source_id for edge in graph.edges if edge.target_id == node.id]
        reaching: Origins = {}
        for source in sources:
            reaching |= available[source]
        is_joined = any(
            edge.source_id == node.id and edge.target_id == output.id for edge in graph.edges
        )
        if node.type == "inputNode":
            reaching = {name: (name,) for name in known}
        try:
            available[node.id] = _check_node(node, reaching, known, findings, is_joined=is_joined)
        except PolicyError as error:
            raise PolicyError(f"node {node.name!r}, {error.detail}") from error
    return CheckedGraph(
        tuple(dict.fromkeys(findings.names)),
        findings.rows,
        findings.thresholds,
        findings.threshold_names,
        tuple(findings.rule_paths),
        tuple(sorted(findings.constants)),
    )


def _parse(document: Mapping[str, JsonValue]) -> _Graph:
    try:
        return _Graph.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        nodes = document.get("nodes")
        if first["loc"][:1] == ("nodes",) and isinstance(nodes, list) and len(first["loc"]) > 1:
            node = nodes[int(first["loc"][1])]
            name = node.get("name") if isinstance(node, dict) else None
            raise PolicyError(f"node {name!r}, {place}: {first['msg']}") from error
        raise PolicyError(f"decision: {place}: {first['msg']}") from error


def _sorted_nodes(graph: _Graph) -> list[_Node]:
    nodes = {node.id: node for node in graph.nodes}
    if len(nodes) < len(graph.nodes):
        raise PolicyError("decision: two nodes have the same id")
    for node_type in ("inputNode", "outputNode"):
        if sum(node.type == node_type for node in graph.nodes) != 1:
            raise PolicyError(f"decision: exactly one {node_type} is needed")
    before: dict[str, set[str]] = {identity: set() for identity in nodes}
    for edge in graph.edges:
        if edge.source_id not in nodes or edge.target_id not in nodes:
            raise PolicyError("decision: an edge leads to a node that does not exist")
        before[edge.target_id].add(edge.source_id)
    for node in graph.nodes:
        if not before[node.id] and node.type != "inputNode":
            raise PolicyError(f"node {node.name!r}, is not reached from the input")
    try:
        return [nodes[identity] for identity in TopologicalSorter(before).static_order()]
    except CycleError as error:
        raise PolicyError("decision: the nodes form a circle") from error


def _check_node(
    node: _Node,
    reaching: Origins,
    known: Mapping[str, ValueType],
    findings: _Findings,
    *,
    is_joined: bool,
) -> Origins:
    try:
        if node.type == "expressionNode":
            return _check_expressions(
                _ExpressionContent.model_validate(node.content), reaching, findings
            )
        if node.type == "switchNode":
            for statement in _SwitchContent.model_validate(node.content).statements:
                if statement.condition:
                    _origins(parse_value(statement.condition).names, reaching, findings)
            return reaching
        if node.type == "decisionTableNode":
            table = Table.model_validate(node.content)
            return _check_table(node.name, table, reaching, known, findings, is_joined=is_joined)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PolicyError(f"{place}: {first['msg']}") from error
    return reaching


def _check_expressions(
    content: _ExpressionContent, reaching: Origins, findings: _Findings
) -> Origins:
    made: Origins = {}
    for expression in content.expressions:
        try:
            names = parse_value(expression.value).names
            made[expression.key] = _origins(names, reaching, findings)
        except PolicyError as error:
            raise PolicyError(f"expression {expression.key!r}: {error.detail}") from error
    return {**(reaching if content.pass_through else {}), **made}


def _check_table(
    node: str,
    table: Table,
    reaching: Origins,
    known: Mapping[str, ValueType],
    findings: _Findings,
    *,
    is_joined: bool,
) -> Origins:
    findings.constants |= table.constants()
    read = read_tests(table, {name: known.get(name, "any") for name in reaching})
    sources = [_origins(names, reaching, findings) for names in read]
    outputs = {column.field for column in table.outputs}
    if outputs & _RULE_OUTPUTS:
        _check_rule_table(table, outputs, findings, is_joined=is_joined)
        for row in read_rules(table, node, sources):
            if row.id in findings.rows:
                raise PolicyError(f"rule {row.id!r} is named twice")
            findings.rows[row.id] = row
            _check_shown(row, known, findings)
        return {}
    if outputs & _THRESHOLD_OUTPUTS:
        if findings.thresholds or not is_joined or table.output_path is not None:
            raise PolicyError(
                "one table alone gives thresholds, joined to the output, without outputPath"
            )
        findings.thresholds = read_thresholds(table)
        findings.threshold_names = tuple({name: None for names in sources for name in names})
        return {}
    made = tuple(dict.fromkeys(name for names in sources for name in names))
    if table.hit_policy != "first" or table.output_path is not None:
        raise PolicyError("a table that makes values has hitPolicy first and no outputPath")
    for column in table.outputs:
        for number, row_cells in enumerate(table.rules, start=1):
            cell = table.cell(row_cells, column)
            try:
                made += _origins(parse_value(cell).names, reaching, findings)
            except PolicyError as error:
                place = f"row {number}, column {column.field!r}"
                raise PolicyError(f"{place}: {error.detail}") from error
    here = {name: tuple(dict.fromkeys(made)) for name in outputs}
    return {**(reaching if table.pass_through else {}), **here}


def _check_rule_table(
    table: Table, outputs: set[str], findings: _Findings, *, is_joined: bool
) -> None:
    if outputs != _RULE_OUTPUTS:
        raise PolicyError("a rule table has exactly the outputs id, effect, zh, en")
    path = table.output_path
    if path is None or not path.isidentifier() or path in {*findings.rule_paths}:
        raise PolicyError("a rule table needs an outputPath of its own, one plain name")
    if not is_joined:
        raise PolicyError("a rule table is joined to the output")
    findings.rule_paths.append(path)


def _check_shown(row: RuleRow, known: Mapping[str, ValueType], findings: _Findings) -> None:
    unknown = sorted(set(row.shown) - set(known))
    if unknown:
        raise PolicyError(f"rule {row.id!r}: its words show unknown values: {', '.join(unknown)}")
    if row.effect is Effect.EXCLUDE:
        raise PolicyError(f"rule {row.id!r}: exclude is for plans, not for outcomes")
    findings.names.extend(row.shown)


def _origins(names: tuple[str, ...], reaching: Origins, findings: _Findings) -> tuple[str, ...]:
    unknown = sorted(set(names) - set(reaching))
    if unknown:
        raise PolicyError(f"no such value reaches this node: {', '.join(unknown)}")
    found = tuple(dict.fromkeys(origin for name in names for origin in reaching[name]))
    findings.names.extend(found)
    return found

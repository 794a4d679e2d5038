"""Evaluating a checked decision graph with the rules engine (zen-engine), in process and pure.

The engine only says which rows hold; what they say comes from the checked document. It is given no
loader and no handler, so it can reach nothing but the order's values. Whatever goes wrong while it
runs becomes a failure that the policy turns into a review: it never costs an order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
import zen
from pydantic import JsonValue

from models.decision_graph import CheckedGraph, check_graph
from models.domain import JsonScalar, ValueType
from models.rule_table import RuleRow, ThresholdRow


@dataclass(frozen=True, slots=True)
class RulebookAnswer:
    """What the graph says of one order.

    Parameters
    ----------
    thresholds
        The row of the threshold table that holds; None when none does or there is no such table.
    fired
        Rules whose rows hold, in the order of the document.
    failure
        None, or what went wrong, in one word.
    """

    thresholds: ThresholdRow | None
    fired: tuple[RuleRow, ...]
    failure: str | None


class Rulebook:
    """A decision graph, parsed once and kept in memory.

    Parameters
    ----------
    document
        The JSON decision model.
    known
        Values that an order has, by name, with their types.

    Raises
    ------
    PolicyError
        When the graph is not one that may be used; see `models.decision_graph`.
    """

    def __init__(self, document: Mapping[str, JsonValue], known: Mapping[str, ValueType]) -> None:
        self.checked: CheckedGraph = check_graph(document, known)
        self.names = self.checked.names
        self._places = {identity: place for place, identity in enumerate(self.checked.rows)}
        self._decision = zen.ZenEngine().create_decision(orjson.dumps(document).decode())

    def evaluate(self, values: Mapping[str, JsonScalar]) -> RulebookAnswer:
        """Return which thresholds apply and which rules fired.

        Parameters
        ----------
        values
            Name to value; an absent name is null to the engine.
        """
        try:
            answer = self._decision.evaluate({name: values.get(name) for name in self.names})
        except Exception:  # noqa: BLE001 - the engine raises plain Exception; see the module
            return RulebookAnswer(None, (), "engine")
        return self._read(answer["result"])

    def _read(self, result: Mapping[str, JsonValue]) -> RulebookAnswer:
        fired: list[RuleRow] = []
        for path in self.checked.rule_paths:
            found = result.get(path)
            for item in found if isinstance(found, list) else [found] if found else []:
                row = self.checked.rows.get(str(item.get("id"))) if isinstance(item, dict) else None
                if row is None:
                    return RulebookAnswer(None, (), "rule")
                fired.append(row)
        fired.sort(key=lambda row: self._places[row.id])
        review_at, adverse_at = result.get("review_at"), result.get("adverse_at")
        if review_at is None and adverse_at is None:
            return RulebookAnswer(None, tuple(fired), None)
        if not isinstance(review_at, int | float) or not isinstance(adverse_at, int | float):
            return RulebookAnswer(None, tuple(fired), "thresholds")
        thresholds = ThresholdRow(float(review_at), float(adverse_at))
        return RulebookAnswer(thresholds, tuple(fired), None)

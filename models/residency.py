"""Which data may leave to which node: data of domestic consumers stays with domestic nodes.

Rule kept here: what is not known may not leave. A value that is missing counts as if the
condition held.
"""

from collections.abc import Collection, Mapping
from typing import Literal

from models.condition import Condition
from models.domain import Effect, JsonScalar, RuleHit, Text
from models.policy_document import Residency, verify_known
from models.wording import render_text


class CompiledResidency:
    """A residency rule ready to apply.

    Parameters
    ----------
    residency
        As the policy says it.
    version
        The policy's version.
    """

    def __init__(self, residency: Residency, version: str) -> None:
        self.residency = residency
        self._version = version
        self._conditions = residency.conditions()
        self.names = tuple(
            dict.fromkeys(name for condition in self._conditions for name in condition.names())
        )

    def verify_names(self, known: Collection[str]) -> None:
        """Check that the rule reads values that there are.

        Raises
        ------
        PolicyError
            Naming the values that are unknown.
        """
        names = [*self.names, *self.residency.placeholders()]
        own = {"marks_needed", "node_marks"}
        verify_known(f"residency {self.residency.id!r}", names, {*known, *own})

    def refusal(
        self,
        values: Mapping[str, JsonScalar],
        node_marks: Collection[str],
        data: Literal["features", "personal"],
    ) -> RuleHit | None:
        """Return why this data may not go to a node, or None when it may.

        Parameters
        ----------
        values
            The order's values.
        node_marks
            What the node is marked as.
        data
            What would be sent.
        """
        applies = data in self.residency.data and all(
            _may_hold(condition, values) for condition in self._conditions
        )
        if not applies or set(self.residency.marks) <= set(node_marks):
            return None
        facts: dict[str, JsonScalar] = {name: values.get(name) for name in self.names}
        facts["marks_needed"] = ", ".join(self.residency.marks)
        facts["node_marks"] = ", ".join(sorted(node_marks))
        known = {**values, **facts}
        text = Text(render_text(self.residency.zh, known), render_text(self.residency.en, known))
        return RuleHit(self.residency.id, self._version, Effect.EXCLUDE, facts, text)


def _may_hold(condition: Condition, values: Mapping[str, JsonScalar]) -> bool:
    if condition.comparison not in {"missing", "present"} and any(
        values.get(name) is None for name in condition.names()
    ):
        return True
    return condition.holds(values)

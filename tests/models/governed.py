"""The built-in kinds with their policies and reference tables, up to what the policy looks at."""

from functools import cache

from models.features import Extractor
from models.kind import Kind, built_in_kind
from models.lookup import Lookups
from models.order import OrderSchema
from models.policy import CompiledPolicy, PolicyInputs
from models.reference import ReferenceTable, built_in_references


@cache
def governed_kind(name: str) -> Kind:
    return built_in_kind(name)


@cache
def governed_policy(name: str) -> CompiledPolicy:
    kind = governed_kind(name)
    return CompiledPolicy(kind.policy, kind.value_types())


def inputs(
    name: str,
    body: bytes,
    probability: float = 0.05,
    tables: dict[str, ReferenceTable] | None = None,
) -> PolicyInputs:
    """Read an order of a built-in kind up to what its policy looks at."""
    kind = governed_kind(name)
    order = OrderSchema(kind).parse(body).values
    snapshot = Extractor(kind).snapshot(order)
    found = Lookups(kind, tables or built_in_references()).find(order)
    values = {**snapshot.context, **snapshot.features, **found.context}
    placed_at = order["placed_at"]
    keys = governed_policy(name).cap_keys(values, placed_at)  # type: ignore[arg-type]  # a datetime field
    return PolicyInputs(
        probability,
        (max(probability - 0.05, 0.0), min(probability + 0.05, 1.0)),
        values,
        placed_at=placed_at,  # type: ignore[arg-type]  # a datetime field
        counts=dict.fromkeys(keys, 0),
        stale=found.stale,
    )

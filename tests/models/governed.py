"""The built-in kinds with their built-in policies and the look-ups that these read.

The look-ups and values stand in docs/writing-a-policy.md, so these tests run that document.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from models.features import Extractor
from models.kind import Kind, parse_kind
from models.lookup import Lookups
from models.order import OrderSchema
from models.policy import CompiledPolicy, PolicyInputs
from models.policy_document import built_in_policy
from models.reference import ReferenceTable, built_in_references

_ROOT = Path(__file__).parents[2]
_KEYS = {"request": "path", "context": "name", "lookups": "name"}
_TITLES = {"admission": "Admission:", "risk": "Risk:"}


def additions(name: str) -> dict[str, Any]:
    text = (_ROOT / "docs/writing-a-policy.md").read_text(encoding="utf-8")
    block = re.search(rf"{_TITLES[name]}\n\n```toml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    return tomllib.loads(block[1])


@cache
def governed_kind(name: str) -> Kind:
    path = _ROOT / "models/kinds" / f"{name}.toml"
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    for part, parts in additions(name).items():
        present = document.setdefault(part, [])
        known = {item[_KEYS[part]] for item in present}
        present += [item for item in parts if item[_KEYS[part]] not in known]
    document["policy"] = built_in_policy(name)
    return parse_kind(document)


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

"""The kind of docs/writing-an-outside-kind.md, so that its tests run that document."""

import re
import tomllib
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from models.calibration import logistic
from models.content_store import content_digest
from models.decide import build_case
from models.domain import PolicyRef
from models.kind import Kind, parse_kind
from models.outside import OutsideModel, decide_outside, load_outside, request_body
from models.outside_verdict import NodeCall, OutsideDecision

DOCUMENT = Path(__file__).parents[1] / "docs/writing-an-outside-kind.md"
NAME = "fragile_parcel"


def kind_text() -> str:
    """Return the TOML of the document."""
    block = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    return block[1]


def outside_document(url: str = "", **node: Any) -> dict[str, Any]:  # noqa: ANN401 - any part
    """Return the kind's data, with another address and other parts of its node; None leaves out."""
    document = tomllib.loads(kind_text())
    changed = {**document["node"], **({"url": url} if url else {}), **node}
    document["node"] = {name: value for name, value in changed.items() if value is not None}
    return document


def outside_kind(url: str = "", **node: Any) -> Kind:  # noqa: ANN401 - any part of the node
    """Return the kind."""
    return parse_kind(outside_document(url, **node))


def unexplained_document(url: str = "", **node: Any) -> dict[str, Any]:  # noqa: ANN401 - any part
    """Return a kind whose node does not explain itself, and that has no reasons."""
    document = outside_document(url, attributions=None, base_value=None, **node)
    del document["reasons"]
    return document


def outside_model(**node: Any) -> OutsideModel:  # noqa: ANN401 - any part of the node
    """Return the kind ready to decide."""
    kind = outside_kind(**node)
    return load_outside(kind, content_digest(b"kind"), kind.policy, PolicyRef(NAME, "1", "d"))


def outside_order(country: str | None = "DE", **changes: Any) -> bytes:  # noqa: ANN401 - JSON
    """Return an order of the kind; None leaves a field out."""
    order = {
        "order_id": "F-1",
        "placed_at": "2026-02-01T10:00:00+08:00",
        "customer": {"customer_id": "C-77"},
        "destination": {"country": country},
        "drop_height_cm": 80.0,
        "double_walled": False,
        "material": "glass",
        **changes,
    }
    return orjson.dumps({name: value for name, value in order.items() if value is not None})


ANSWER = orjson.dumps(
    {
        "model_name": "fragile-parcel",
        "model_version": "3",
        "id": None,
        "outputs": [
            {"name": name, "shape": [len(data)], "datatype": "FP64", "data": data}
            for name, data in (
                ("damage_probability", [logistic(0.9)]),
                ("contributions", [2.4, 0.0, 0.5]),
                ("expected_value", [-2.0]),
            )
        ],
    }
).decode()


@cache
def ready_model() -> OutsideModel:
    """Return the kind ready to decide, made once."""
    return outside_model()


def decided(body: str | None = ANSWER, country: str = "DE") -> OutsideDecision:
    """Decide an order by an answer, without a node; None for an answer that is not UTF-8."""
    model = ready_model()
    case = build_case(model, model.schema.parse(outside_order(country)))
    sent = request_body(model, case.snapshot, "d-1")
    digest = None if body is None else sha256(body.encode()).hexdigest()
    call = NodeCall("d-1", sha256(sent).hexdigest(), 12.5, 200, body, digest, None)
    asked = None if country == "CN" else call
    return decide_outside(model, case, asked, {"node": 12.5})

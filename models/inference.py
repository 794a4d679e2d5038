"""What is sent to an outside node and what is read of its answer: Open Inference Protocol V2.

The request is the one that MLServer's own client makes of a table with one row (content type
``pd``): one tensor of shape [1] per feature. A missing number is null; a missing text or
boolean has no null in that form, so its tensor is left out. Nothing of an answer is believed
before it was checked: names, types, shapes, ranges and, for attributions, that they add up.

Notes
-----
Open Inference Protocol, REST, "Inference Request JSON Object" and "Inference Response JSON Object".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from models.calibration import logistic
from models.declarations import Feature
from models.domain import Attributions, FeatureValue, Json
from models.invariants import ADDITIVITY_TOLERANCE
from models.node import Node

_LINK_TOLERANCE: Final = 1e-6
_FLOATS: Final = ("FP64", "FP32")
_DATATYPES: Final = {"number": "FP64", "boolean": "BOOL", "category": "BYTES"}
_SHOWN: Final = 64


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """Why a node gave no answer that could be used.

    Parameters
    ----------
    code
        Stable slug: ``timed-out``, ``wrong-shape``.
    detail
        One sentence about this occurrence.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """A node's answer that passed every check.

    Parameters
    ----------
    probability
        Of the adverse event, as the node says.
    attributions
        Why, when the node says so; they add up.
    """

    probability: float
    attributions: Attributions | None


class _AnswerError(Exception):
    """Ends the reading of an answer; carries the failure."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.failure = NodeFailure(code, detail)


def datatype(feature: Feature) -> str:
    """Return the tensor type that a feature is sent as."""
    return _DATATYPES[feature.type]


def build_request(
    node: Node,
    features: Sequence[Feature],
    values: Mapping[str, FeatureValue],
    request_id: str,
) -> bytes:
    """Return the body of an inference request.

    Parameters
    ----------
    node
        Whose outputs to ask for.
    features
        The kind's, in its order.
    values
        Feature name to value.
    request_id
        The node gives it back.
    """
    inputs: list[Json] = [
        _tensor(feature, values.get(feature.name))
        for feature in features
        if values.get(feature.name) is not None or feature.type == "number"
    ]
    body: Json = {
        "id": request_id,
        "parameters": {"content_type": "pd"},
        "inputs": inputs,
        "outputs": [{"name": name} for name in node.outputs()],
    }
    return orjson.dumps(body)


def _tensor(feature: Feature, value: FeatureValue) -> Json:
    sent: Json = bool(value) if feature.type == "boolean" else value
    tensor: dict[str, Json] = {
        "name": feature.name,
        "shape": [1],
        "datatype": datatype(feature),
        "data": [sent],
    }
    return {**tensor, "parameters": {"content_type": "str"}} if isinstance(sent, str) else tensor


def read_answer(
    node: Node, feature_names: Sequence[str], request_id: str, body: str
) -> NodeAnswer | NodeFailure:
    """Check a node's answer.

    Parameters
    ----------
    node
        What it promised.
    feature_names
        The kind's, in its order.
    request_id
        As it was sent.
    body
        The answer's text.
    """
    try:
        outputs = _read_outputs(node, request_id, body)
        probability = _read_probability(node, outputs)
        return NodeAnswer(probability, _read_why(node, feature_names, outputs, probability))
    except _AnswerError as error:
        return error.failure


def reported_version(body: str | None) -> str | None:
    """Return the model version that an answer names; None when it names none that can be shown.

    Examples
    --------
    >>> reported_version('{"model_version": "7"}'), reported_version("<html>")
    ('7', None)
    """
    try:
        answer: Json = orjson.loads(body or "")
    except orjson.JSONDecodeError:
        return None
    version = answer.get("model_version") if isinstance(answer, dict) else None
    return version if isinstance(version, str) and 0 < len(version) <= _SHOWN else None


def _read_outputs(node: Node, request_id: str, body: str) -> dict[str, dict[str, Json]]:
    try:
        answer: Json = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _AnswerError("not-json", "the answer is not JSON") from error
    listed = answer.get("outputs") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(listed, list):
        raise _AnswerError("wrong-form", "the answer is not an inference response")
    # Compared in tuples: what a node says need not be hashable.
    said = (answer.get("model_name"), answer.get("model_version"), answer.get("id"))
    if said[0] != node.model:
        raise _AnswerError("wrong-model", f"{_show(said[0])} answered for {node.model}")
    if node.version is not None and said[1] not in (None, node.version):
        raise _AnswerError("wrong-version", f"version {_show(said[1])} answered")
    if said[2] not in (None, request_id):
        raise _AnswerError("wrong-id", "the answer is to another request")
    named = {str(one["name"]): one for one in listed if isinstance(one, dict) and "name" in one}
    missing = sorted(set(node.outputs()) - named.keys())
    if missing:
        raise _AnswerError("missing-output", f"no output {_show(missing[0])}")
    if len(listed) != len(node.outputs()):
        raise _AnswerError("unexpected-output", "more outputs than were asked for")
    return named


def _read_probability(node: Node, outputs: Mapping[str, Mapping[str, Json]]) -> float:
    [probability] = _numbers(node.output, outputs[node.output], 1)
    if not 0.0 <= probability <= 1.0:
        raise _AnswerError("out-of-range", f"the probability is {probability!r}")
    return probability


def _read_why(
    node: Node,
    feature_names: Sequence[str],
    outputs: Mapping[str, Mapping[str, Json]],
    probability: float,
) -> Attributions | None:
    if node.attributions is None or node.base_value is None:
        return None
    values = _numbers(node.attributions, outputs[node.attributions], len(feature_names))
    [base_value] = _numbers(node.base_value, outputs[node.base_value], 1)
    total = math.fsum([base_value, *values])
    margin = total
    if node.margin is not None:
        [margin] = _numbers(node.margin, outputs[node.margin], 1)
    if not math.isfinite(total) or abs(total - margin) > ADDITIVITY_TOLERANCE:
        raise _AnswerError(
            "not-additive", "base value and attributions do not add up to the margin"
        )
    if abs(logistic(margin) - probability) > _LINK_TOLERANCE:
        raise _AnswerError("not-linked", "the probability is not the link of the margin")
    return Attributions(
        base_value, margin, node.link, dict(zip(feature_names, values, strict=True))
    )


def _numbers(name: str, tensor: Mapping[str, Json], expected: int) -> list[float]:
    if tensor.get("datatype") not in _FLOATS:
        raise _AnswerError("wrong-datatype", f"{_show(name)} is {_show(tensor.get('datatype'))}")
    if tensor.get("shape") not in _shapes(expected):
        shape = _show(tensor.get("shape"))
        raise _AnswerError("wrong-shape", f"{_show(name)} has the shape {shape}")
    data = _flatten(tensor.get("data"))
    numbers = [
        float(item) + 0.0
        for item in data
        if isinstance(item, int | float) and not isinstance(item, bool)
    ]
    if len(data) != expected:
        raise _AnswerError("wrong-shape", f"{_show(name)} holds {len(data)} values")
    if len(numbers) != expected or not all(map(math.isfinite, numbers)):
        raise _AnswerError("wrong-value", f"{_show(name)} holds what is no number")
    return numbers


def _shapes(expected: int) -> tuple[Json, ...]:
    return [expected], [1, expected]


def _flatten(data: Json) -> list[Json]:
    # The protocol allows the tensor's rows to be nested.
    if isinstance(data, list) and len(data) == 1 and isinstance(data[0], list):
        return data[0]
    return data if isinstance(data, list) else [data]


def _show(value: Json) -> str:
    # A node is not trusted with the length of what it says.
    return repr(value)[:_SHOWN]

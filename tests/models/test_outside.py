"""What follows from what an outside node said; whatever it said, something follows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import logistic
from models.case import Case
from models.content_store import save_content
from models.decide import build_case
from models.domain import PolicyRef
from models.errors import BundleCorruptError, KindFileError, PolicyError
from models.inference import NodeFailure, build_request, read_answer, reported_version
from models.kind import built_in_kind, parse_kind
from models.kind_store import load_stored_kind, save_kind
from models.node import Node
from models.outside import (
    OutsideModel,
    conclude_outside,
    decide_outside,
    load_outside,
    may_be_sent,
    model_ref,
    request_body,
)
from models.outside_verdict import NodeCall, OutsideVerdict
from tests.models.examples import small_kind
from tests.outside import (
    outside_document,
    outside_kind,
    outside_model,
    outside_order,
    unexplained_document,
)

NAMES = ("drop_height_cm", "double_walled", "material")
CALL = NodeCall("r-1", "00", 1.5, 200, "", "00", None)


def tensor(name: str, *data: float, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    shaped = {"name": name, "shape": [len(data)], "datatype": "FP64", "data": [*data]}
    return {**shaped, **changes}


def answer(
    probability: float | None = None, values: tuple[float, ...] = (2.4, 0.0, 0.5)
) -> dict[str, Any]:
    margin = sum(values) - 2.0
    return {
        "model_name": "fragile-parcel",
        "model_version": "3",
        "outputs": [
            tensor("damage_probability", logistic(margin) if probability is None else probability),
            tensor("contributions", *values),
            tensor("expected_value", -2.0),
        ],
    }


def body(**outputs: float) -> str:
    return orjson.dumps(answer(**outputs)).decode()  # type: ignore[arg-type]  # only probability


def case(model: OutsideModel, country: str = "DE", **changes: Any) -> Case:  # noqa: ANN401 - JSON
    return build_case(model, model.schema.parse(outside_order(country, **changes)))


def concluded(said: str | None, model: OutsideModel | None = None) -> OutsideVerdict:
    model = model or outside_model()
    read = case(model)
    call = replace(CALL, body=said)
    return conclude_outside(model, read.snapshot, read.surroundings, call)


@pytest.mark.parametrize(
    ("values", "outcome", "automated", "confidence"),
    [
        ((2.4, 0.0, 0.5), "reject", True, logistic(0.9)),
        ((1.4, 0.0, 0.5), "review", False, 1 - logistic(-0.1)),
        ((0.0, -1.0, 0.0), "accept", True, 1 - logistic(-3.0)),
    ],
)
def test_the_policy_decides_on_what_the_node_says(
    values: tuple[float, ...], outcome: str, *, automated: bool, confidence: float
) -> None:
    verdict = concluded(orjson.dumps(answer(None, values)).decode())
    assert (verdict.outcome, verdict.automated) == (outcome, automated)
    assert verdict.confidence == pytest.approx(confidence, abs=1e-12)
    assert (verdict.thresholds, verdict.failure) == ((0.3, 0.7), None)
    assert verdict.explained_by == "node"
    assert verdict.attributions is not None
    assert sum(verdict.attributions.values.values()) == pytest.approx(sum(values))


def test_a_margin_that_the_node_gives_is_held_to_its_attributions() -> None:
    node = outside_model(margin="log_odds").node
    said = answer()
    said["outputs"].append(tensor("log_odds", 0.9))
    read = read_answer(node, NAMES, "r-1", orjson.dumps(said).decode())
    assert not isinstance(read, NodeFailure)
    said["outputs"][-1] = tensor("log_odds", 0.9 + 1e-8)
    refused = read_answer(node, NAMES, "r-1", orjson.dumps(said).decode())
    assert isinstance(refused, NodeFailure)
    assert refused.code == "not-additive"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"shape": None}, "wrong-shape"),
        ({"datatype": None}, "wrong-datatype"),
        ({"data": None}, "wrong-value"),
        ({"data": [True]}, "wrong-value"),
        ({"data": [[0.1, 0.2]]}, "wrong-shape"),
        ({"data": [-1e-9]}, "out-of-range"),
    ],
)
def test_a_tensor_that_is_none_is_named(change: dict[str, Any], code: str) -> None:
    said = answer()
    said["outputs"][0] |= change
    failure = concluded(orjson.dumps(said).decode()).failure
    assert failure is not None
    assert failure.code == code


@pytest.mark.parametrize(
    ("name", "code"),
    [("model_name", "wrong-model"), ("model_version", "wrong-version"), ("id", "wrong-id")],
)
@pytest.mark.parametrize("value", [[], {}, 7, "x" * 1_000])
def test_a_name_of_any_type_is_compared(name: str, code: str, value: object) -> None:
    failure = concluded(orjson.dumps({**answer(), name: value}).decode()).failure
    assert failure is not None
    assert failure.code == code
    assert len(failure.detail) < 120


def test_outputs_are_those_of_the_kind_and_no_others() -> None:
    for change, code in (
        (lambda outputs: outputs[:2], "missing-output"),
        (lambda outputs: [*outputs, 1], "unexpected-output"),
        (lambda outputs: [*outputs, outputs[0]], "unexpected-output"),
        (lambda _: {}, "wrong-form"),
    ):
        said = answer()
        failure = concluded(orjson.dumps({**said, "outputs": change(said["outputs"])}).decode())
        assert failure.failure is not None
        assert failure.failure.code == code


@pytest.mark.parametrize("number", ["NaN", "1e400", "-1e400", f"{10**400}", "[" * 5_000])
def test_a_number_beyond_all_bounds_is_none(number: str) -> None:
    failure = concluded(orjson.dumps(answer(0.125)).decode().replace("0.125", number)).failure
    assert failure is not None
    assert failure.code in {"not-json", "wrong-value", "out-of-range"}


def test_rows_may_be_nested_and_floats_single() -> None:
    said = answer()
    [probability] = said["outputs"][0]["data"]
    said["outputs"][0] |= {"data": [[probability]], "shape": [1, 1], "datatype": "FP32"}
    assert concluded(orjson.dumps(said).decode()).probability == probability


def test_a_version_that_is_not_pinned_is_the_nodes_own() -> None:
    model = outside_model(version=None)
    read = case(model)
    said = orjson.dumps({**answer(), "model_version": "17"}).decode()
    decision = decide_outside(model, read, replace(CALL, body=said), {})
    assert (decision.model.version, decision.verdict.failure) == ("17", None)
    assert model_ref(model).version == "unknown"
    assert model_ref(outside_model()).version == "3"
    assert reported_version(orjson.dumps({"model_version": "x" * 65}).decode()) is None
    assert reported_version(None) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["outputs", "name", "data", "shape", "datatype", "model_name"])
                | st.text(max_size=3),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_json_is_taken_for_an_answer(said: object) -> None:
    """Whatever JSON comes is either a whole answer or a named failure; nothing is raised."""
    text = (
        orjson.dumps(said, option=orjson.OPT_PASSTHROUGH_DATACLASS, default=str).decode()
        if (not _has_big(said))
        else "{"
    )
    verdict = concluded(text)
    assert verdict.failure is not None
    assert (verdict.outcome, verdict.automated, verdict.confidence) == ("review", False, 0.0)


def _has_big(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) >= 2**63
    if isinstance(value, dict):
        return any(map(_has_big, value.values()))
    return isinstance(value, list) and any(map(_has_big, value))


@given(st.floats(0, 1), st.lists(st.floats(-5, 5), min_size=3, max_size=3))
@settings(max_examples=100, deadline=None)
def test_an_explanation_counts_only_when_it_is_of_the_probability(
    probability: float, values: list[float]
) -> None:
    """Either the attributions lead to the probability to 1e-6, or the answer is refused."""
    verdict = concluded(orjson.dumps(answer(probability, tuple(values))).decode())
    fits = abs(logistic(sum(values) - 2.0) - probability) <= 1e-6
    assert (verdict.failure is None) == fits
    assert (verdict.attributions is not None) == fits


def test_what_is_sent_is_the_features_alone() -> None:
    model = outside_model()
    read = case(model, double_walled=True)
    sent = orjson.loads(request_body(model, read.snapshot, "r-1"))
    assert sent["id"] == "r-1"
    assert [(one["name"], one["datatype"], one["data"]) for one in sent["inputs"]] == [
        ("drop_height_cm", "FP64", [80.0]),
        ("double_walled", "BOOL", [True]),
        ("material", "BYTES", ["glass"]),
    ]
    assert [one["name"] for one in sent["outputs"]] == list(model.node.outputs())
    assert request_body(model, read.snapshot, "r-1") == build_request(
        model.node, model.kind.features, read.snapshot.features, "r-1"
    )


def test_residency_is_asked_before_anything_is_sent() -> None:
    marked, unmarked = outside_model(marks=["domestic"]), outside_model()
    for model, country, allowed in (
        (unmarked, "DE", True),
        (unmarked, "CN", False),
        (marked, "CN", True),
    ):
        assert may_be_sent(model, case(model, country).snapshot) is allowed
    read = case(unmarked, "CN")
    # Even when somebody sent it nevertheless, what came back does not count.
    for call in (None, replace(CALL, body=body())):
        verdict = conclude_outside(unmarked, read.snapshot, read.surroundings, call)
        assert verdict.failure is not None
        assert verdict.failure.code == "not-asked"
        assert [hit.id for hit in verdict.rules] == ["domestic-data-stays", "node-not-asked"]


def test_the_policy_finds_no_interval() -> None:
    document = outside_document()
    document["policy"]["rules"] = [
        {
            "id": f"{name.replace('_', '-')}-missing",
            "when": [f"{name} is missing"],
            "effect": "none",
            "zh": "无",
            "en": "none",
        }
        for name in ("interval_low", "interval_high", "interval_width", "probability")
    ]
    kind = parse_kind(document)
    model = load_outside(kind, "sha256:00", kind.policy, PolicyRef("p", "1", "d"))
    answered = {hit.id for hit in concluded(body(), model).rules}
    assert "interval-width-missing" in answered
    assert "probability-missing" not in answered
    assert "probability-missing" in {hit.id for hit in concluded(None, model).rules}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"url": "ftp://n"}, "http or https"),
        ({"url": "http://"}, "http or https"),
        ({"url": "http://nöde"}, "http or https"),
        ({"url": "http://u:p@n"}, "without user"),
        ({"url": "http://n?x=1"}, "without user"),
        ({"url": "http://n:0"}, "without user"),
        ({"url": "http://n:99999"}, "node.url"),
        ({"url": "http://n/a b"}, "without spaces"),
        ({"model": "../x"}, "node.model"),
        ({"version": "3/4"}, "node.version"),
        ({"base_value": None}, "only together"),
        ({"attributions": None, "base_value": None, "margin": "m"}, "a margin explains only"),
        ({"base_value": "contributions"}, "named twice"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_node_is_refused(node: dict[str, Any], message: str) -> None:
    with pytest.raises(KindFileError, match=message):
        outside_kind(**node)


def test_a_kind_with_a_node_sends_nothing_personal_and_promises_nothing() -> None:
    personal = outside_document()
    personal["features"][2] |= {"source": None, "function": "is_different"}
    personal["features"][2] |= {"inputs": ["customer.customer_id", "material"], "type": "number"}
    with pytest.raises(KindFileError, match="reads a personal field"):
        parse_kind(personal)
    promising = outside_document()
    promising["policy"]["promise"] = {"adverse": 0.1, "favourable": 0.1}
    with pytest.raises(KindFileError, match="no promise can be kept"):
        parse_kind(promising)
    with pytest.raises(KindFileError, match="the kind has none"):
        parse_kind({**unexplained_document(), "features": []})
    named = outside_document()
    named["policy"]["rules"][0]["id"] = "node-failed"
    with pytest.raises(KindFileError, match="the platform's own"):
        parse_kind(named)


def test_only_a_node_that_explains_needs_reasons() -> None:
    silent = parse_kind(unexplained_document())
    assert (silent.reasons, silent.node is not None) == ((), True)
    explaining = outside_document()
    del explaining["reasons"]
    with pytest.raises(KindFileError, match="no plain adverse template"):
        parse_kind(explaining)
    with pytest.raises(KindFileError, match="no plain adverse template"):
        small_kind(reasons=[])


def test_a_kind_without_a_node_is_written_as_ever() -> None:
    """Its canonical form, and so a bundle's digest, does not know of nodes."""
    canonical = built_in_kind("admission").canonical()
    assert isinstance(canonical, dict)
    assert "node" not in canonical
    kind = outside_kind()
    assert parse_kind(kind.canonical()) == kind  # type: ignore[arg-type]  # it is an object


def test_a_kind_comes_back_by_its_digest(tmp_path: Path) -> None:
    digest = save_kind(tmp_path, outside_kind())
    assert load_stored_kind(tmp_path, digest) == outside_kind()
    assert save_kind(tmp_path, outside_kind(timeout_ms=7)) != digest
    for content in (b"{", b"[]", b"{}"):
        with pytest.raises(BundleCorruptError, match="is not a kind"):
            load_stored_kind(tmp_path, save_content(tmp_path, content))
    with pytest.raises(BundleCorruptError):
        load_stored_kind(tmp_path, "sha256:00")


def test_what_cannot_decide_is_not_loaded() -> None:
    reference = PolicyRef("p", "1", "d")
    with pytest.raises(KindFileError, match=r"no \[node\]"):
        load_outside(small_kind(), "d", small_kind().policy, reference)
    kind = outside_kind()
    with pytest.raises(PolicyError):
        load_outside(kind, "d", built_in_kind("risk").policy, reference)


def test_a_path_names_the_version_only_when_it_is_pinned() -> None:
    node = Node(url="http://n:1/base/", model="m", output="p")
    assert (node.url, node.model_path()) == ("http://n:1/base", "/v2/models/m")
    assert not node.explains

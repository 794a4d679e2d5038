"""What a chain of decisions comes to."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chain import ChainStep, chain_examples, chain_schema, conclude_chain
from models.kind import built_in_kind
from models.order import OrderSchema
from models.precedence import Level
from models.split.request import order_kind, order_schema, read_problem, split_kind

KINDS = ("admission", "risk", "split")
WORDS = {Level.FAVOURABLE: "yes", Level.REVIEW: "ask", Level.ADVERSE: "no"}


def steps(*said: tuple[Level, str]) -> list[ChainStep]:
    """Return decisions up to where the chain stops."""
    made: list[ChainStep] = []
    for kind, (level, on_review) in zip(KINDS, said, strict=False):
        mode = "provisional" if on_review == "provisional" else "stop"
        made.append(ChainStep(kind, level, WORDS[level], mode))  # type: ignore[arg-type]  # mypy widens the literal
        if made[-1].stops:
            break
    return made


_SAID = st.tuples(st.sampled_from(Level), st.sampled_from(["stop", "provisional"]))


@given(
    st.lists(_SAID, min_size=3, max_size=3),
    st.lists(st.sampled_from(["rule", "set", *KINDS]), unique=True),
)
def test_a_refusal_always_stands_and_a_review_is_never_forgotten(
    said: list[tuple[Level, str]], precedence: list[str]
) -> None:
    made = steps(*said)
    result = conclude_chain(made, KINDS, precedence)
    levels = [step.level for step in made]
    assert result.outcome in {step.outcome for step in made}
    if Level.ADVERSE in levels:
        assert (result.outcome, result.automated) == ("no", True)
    if not set(KINDS) & set(precedence):
        assert result.outcome == WORDS[max(levels)]
    assert (result.conflict is None) == (len(set(levels)) == 1)
    assert result.goes_ahead == (set(levels) == {Level.FAVOURABLE})
    passed = [step for step in made if step.level is Level.REVIEW and not step.stops]
    assert result.is_provisional == bool(passed)
    stopped = made[-1].stops and made[-1].kind != "split"
    assert result.stopped_at == (made[-1].kind if stopped else None)


def test_a_precedence_names_who_decides_between_kinds() -> None:
    made = steps((Level.FAVOURABLE, "stop"), (Level.REVIEW, "provisional"))
    strictest = conclude_chain(made, KINDS)
    assert (strictest.outcome, strictest.automated) == ("ask", False)
    listed = conclude_chain(made, KINDS, ("rule", "admission"))
    assert (listed.outcome, listed.automated) == ("yes", True)
    assert listed.conflict is not None
    assert (listed.conflict.winner, listed.conflict.by) == ("admission", "precedence")
    assert [voice.voice for voice in listed.conflict.voices] == ["admission", "risk"]


@pytest.mark.parametrize("example", chain_examples())
def test_every_example_is_read_by_every_kind(example: dict[str, object]) -> None:
    body = orjson.dumps(example["order"])
    kinds = [built_in_kind("admission"), built_in_kind("risk"), order_kind(split_kind())]
    for kind in kinds[:2]:
        OrderSchema(kind).parse(body)
    assert read_problem(order_schema(split_kind()).parse(body).values).lines
    assert chain_schema(kinds).parse(body).unknown_fields == ()
    other = orjson.dumps({**orjson.loads(body), "gift": True})
    assert chain_schema(kinds).parse(other).unknown_fields == ("/gift",)


def test_a_field_is_required_when_any_kind_requires_it() -> None:
    split, admission = order_kind(split_kind()), built_in_kind("admission")
    required = chain_schema([admission, split]).json_schema()
    lines = required["properties"]["lines"]["items"]  # type: ignore[call-overload,index]  # JSON
    assert {"line_id", "sku", "quantity"} <= set(lines["required"])  # type: ignore[call-overload,index,arg-type]  # JSON

"""Facts as columns: each name once, and back to what was written, whatever it was."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain import Json
from models.split.columns import pack, unpack
from models.split.record import problem_facts, verdict_facts
from tests.models.split.examples import decide_example

_SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2)
_NAMES = st.sampled_from(("a", "b", "c"))
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=30,
)


@given(_DOCUMENTS)
def test_what_is_packed_is_read_back(document: Json) -> None:
    """Unpacking gives what was packed, for every document without a name `columns`."""
    assert unpack(pack(document)) == document


@pytest.mark.parametrize(
    "value",
    [
        [{"a": 1}],
        [{"a": 1}, {"b": 1}],
        [{"a": 1}, 2],
        [{}, {}],
        {"columns": {}},
        {"columns": {"a": 1}},
        {"columns": {"a": [1], "b": [1, 2]}},
        {"columns": {"a": [1]}, "other": 1},
    ],
)
def test_what_is_not_alike_stays_as_it_is(value: Json) -> None:
    assert unpack(value) == value


def test_a_verdicts_names_are_written_once() -> None:
    """Names of features do not grow with the number of candidates, and nobody is named."""
    decision = decide_example("two-parcels")
    facts = verdict_facts(decision.verdict)
    assert isinstance(facts, dict)
    scores = orjson.dumps(facts["scores"])
    assert len(decision.verdict.scores) == 8
    # Once as a feature, once as a contribution; sentences name what they rest on.
    unused = replace(decision.verdict, scores=tuple(
        replace(score, reasons=(), counter_reasons=()) for score in decision.verdict.scores
    ))  # fmt: skip
    plain = verdict_facts(unused)
    assert isinstance(plain, dict)
    assert orjson.dumps(plain["scores"]).count(b'"stock_age_days"') == 2
    assert b'"columns"' in scores
    assert b"C-20871" not in scores + orjson.dumps(problem_facts(decision.problem))

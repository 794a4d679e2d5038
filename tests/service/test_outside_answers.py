"""What an answer says of a node's decision, in both languages, to those who may see what."""

from typing import Any, cast

from audit.canonical import facts_json, parse_json
from audit.outside_facts import build_outside_facts
from audit.records import PersonalPart
from models.domain import Json, Language
from models.outside_verdict import OutsideDecision
from service.api.schemas import Reason
from service.outside_answers import build_outside_fields
from tests.outside import decided

PERSONAL = PersonalPart("F-1", None, (), b"{}", {"parties": [1]})


def shown(
    decision: OutsideDecision, language: Language = "en", personal: PersonalPart | None = None
) -> dict[str, Any]:
    facts = parse_json(facts_json(build_outside_facts(decision, "oms", b"")))
    return build_outside_fields(cast("dict[str, Json]", facts), personal, language)


def test_a_usable_answer_shows_who_explains() -> None:
    english, chinese = shown(decided()), shown(decided(), "zh")
    assert english["explanation"].startswith("explained by the outside node")
    assert "外部节点" in chinese["explanation"]
    assert english["reasons"][0]["text"] == "it may drop 80 cm"
    assert chinese["reasons"][0]["text"] == "跌落高度80厘米"
    for reason in english["reasons"]:
        Reason.model_validate(reason, extra="forbid")
    assert (english["interval"], english["promise"], english["counterfactuals"]) == (None, None, [])
    assert english["outcome_set"] == ["reject"]


def test_without_one_nothing_is_shown_that_nobody_said() -> None:
    failed, refused = shown(decided("<html>")), shown(decided(country="CN"))
    for one in (failed, refused):
        assert (one["raw_probability"], one["probability"], one["attributions"]) == (None,) * 3
        assert one["explanation"] == "the outside node gave no usable answer; rules decided"
        assert (one["explained"], one["explained_by"], one["reasons"]) == (False, None, [])
    assert failed["node"] == {
        "asked": True,
        "request_id": "d-1",
        "latency_ms": 12.5,
        "status": 200,
        "failure": {"code": "not-json", "detail": "the answer is not JSON"},
    }
    assert (refused["node"]["asked"], refused["node"]["status"]) == (False, None)


def test_what_look_ups_matched_shows_only_with_the_personal_part() -> None:
    assert shown(decided())["matches"] is None
    assert shown(decided(), personal=PERSONAL)["matches"] == {"parties": [1]}

"""The kinds that ship with Candor are whole, say true things and hold examples that work."""

import re
from collections import Counter

import pytest

from models.condition import all_hold
from models.domain import JsonScalar, Side
from models.features import Extractor
from models.kind import Kind, built_in_kind
from models.order import OrderSchema
from models.reasons import ReasonCatalogue
from models.sentences import PLACEHOLDER

KINDS = ("admission", "risk")
IDENTIFIERS = (
    "order_id",
    "customer.customer_id",
    "customer.name",
    "customer.phone",
    "customer.email",
    "remark",
)
FULL_WIDTH = re.compile("[\uff0c\u3002\uff1b\uff1a\uff08\uff09\uff01\uff1f]")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return built_in_kind(str(request.param))


def facts(kind: Kind, order: str) -> dict[str, JsonScalar]:
    """Return everything that sentences and rules may use of an order."""
    snapshot = Extractor(kind).snapshot(OrderSchema(kind).parse(order.encode()).values)
    return {**snapshot.context, **snapshot.features}


@pytest.mark.parametrize(("name", "least"), [("admission", 19), ("risk", 30)])
def test_kinds_look_at_enough(name: str, least: int) -> None:
    kind = built_in_kind(name)
    assert len(kind.features) >= least
    assert len(kind.groups) >= 14
    assert {feature.group for feature in kind.features} == {group.name for group in kind.groups}


def test_admission_sees_every_driver_that_was_promised() -> None:
    names = {feature.name for feature in built_in_kind("admission").features}
    assert names >= {
        "presale_lead_days",
        "promised_window_days",
        "sku_failure_rate",
        "channel_failure_rate",
        "supplier_capacity_warning",
        "supplier_load",
        "article_stock",
        "article_cover",
        "bonded_category_stock",
        "bonded_category_cover",
        "in_transit_pieces",
        "in_transit_eta_days",
        "warehouse_backlog_hours",
        "carrier_load",
        "weather_origin",
        "weather_destination",
        "customs_rule_age_days",
        "filing_extension_days",
        "controlled_lines",
        "destination_risk",
        "cancel_rate_last_3",
        "cancel_rate_90d",
        "return_rate_last_3",
        "return_rate_90d",
        "order_value",
        "line_count",
    }


def test_outcomes_are_those_of_the_contract() -> None:
    for name, codes in (
        ("admission", ("accept", "review", "reject")),
        ("risk", ("pass", "review", "block")),
    ):
        outcomes = built_in_kind(name).outcomes
        assert (outcomes.favourable.code, outcomes.review.code, outcomes.adverse.code) == codes


def test_identifiers_are_personal_and_nothing_copies_them(kind: Kind) -> None:
    personal = {field.path for field in kind.request if field.personal}
    assert personal >= set(IDENTIFIERS)
    assert not personal & {value.source for value in (*kind.features, *kind.context)}


def test_examples_can_be_posted_and_know_no_strange_field(kind: Kind) -> None:
    assert len(kind.examples) >= 3
    for example in kind.examples:
        assert OrderSchema(kind).parse(example.order.encode()).unknown_fields == ()


def test_examples_leave_no_feature_missing_that_a_sentence_needs(kind: Kind) -> None:
    """In every example, each group has something to say on each side, placeholders filled."""
    catalogue = ReasonCatalogue(kind)
    extractor, schema = Extractor(kind), OrderSchema(kind)
    for example in kind.examples:
        snapshot = extractor.snapshot(schema.parse(example.order.encode()).values)
        for side, sign in ((Side.ADVERSE, 1.0), (Side.FAVOURABLE, -1.0)):
            values = {feature.name: sign for feature in kind.features}
            said = catalogue.reasons(snapshot, values, side)
            assert len(said) == len(kind.groups)
            for reason in said:
                assert "{" not in reason.text.zh + reason.text.en
                assert "–" not in reason.text.zh + reason.text.en


def test_no_rule_fires_on_the_examples(kind: Kind) -> None:
    """The examples are decided by the model, not by a rule."""
    for example in kind.examples:
        known = facts(kind, example.order)
        assert not [r.id for r in kind.policy.rules if all_hold(r.conditions(), known)]


def test_the_acceptance_example_holds_nine_of_eleven_and_four_pieces() -> None:
    kind = built_in_kind("admission")
    example = next(e for e in kind.examples if e.name == "cross-border-rejected")
    known = facts(kind, example.order)
    assert known["returned_pieces_last_3"] == 9.0
    assert known["ordered_pieces_last_3"] == 11.0
    assert known["bonded_category_stock"] == 4.0
    assert (known["effective_on"], known["filing_extension_days"]) == ("2026-01-15", 7.0)
    assert known["customs_rule_age_days"] == 19.0


def test_codes_are_unique(kind: Kind) -> None:
    counts = Counter(template.code for template in kind.reasons)
    assert [code for code, count in counts.items() if count > 1] == []


def test_sentences_use_ascii_punctuation_and_the_same_facts_in_both_languages(kind: Kind) -> None:
    for sentence in (*kind.reasons, *kind.summaries, *kind.policy.rules):
        assert not FULL_WIDTH.search(sentence.zh), sentence.zh
        zh, en = (
            {match[1] for match in PLACEHOLDER.finditer(text)}
            for text in (sentence.zh, sentence.en)
        )
        assert zh == en, sentence.zh


def test_a_plain_sentence_comes_last_in_its_group(kind: Kind) -> None:
    """A sentence that always holds would hide those after it."""
    seen: set[tuple[str, Side]] = set()
    for template in kind.reasons:
        assert (template.group, template.side) not in seen, template.code
        if not template.when and not template.placeholders():
            seen.add((template.group, template.side))


def test_every_request_field_that_a_feature_reads_has_limits(kind: Kind) -> None:
    """No number that the model sees is unbounded."""
    read = {path for f in kind.features for path in (f.source, *f.inputs) if path is not None}
    for field in kind.request:
        if field.path in read and field.type in {"integer", "number"}:
            assert field.minimum is not None, field.path
            assert field.maximum is not None, field.path


@pytest.mark.parametrize(
    ("name", "change", "rule"),
    [
        ("admission", ('"is_embargoed": false', '"is_embargoed": true'), "destination-embargoed"),
        ("admission", ('"licence_missing": false', '"licence_missing": true'), "licence-missing"),
        (
            "risk",
            ('"is_reported_stolen": false', '"is_reported_stolen": true'),
            "card-reported-stolen",
        ),
        ("risk", ('"chargebacks_365d": 0', '"chargebacks_365d": 4'), "chargebacks-repeated"),
    ],
)
def test_rules_fire_on_what_they_name(name: str, change: tuple[str, str], rule: str) -> None:
    kind = built_in_kind(name)
    order = next(e.order for e in kind.examples if change[0] in e.order).replace(*change)
    fired = [r for r in kind.policy.rules if all_hold(r.conditions(), facts(kind, order))]
    assert [r.id for r in fired] == [rule]

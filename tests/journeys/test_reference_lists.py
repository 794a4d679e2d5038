"""Lists over models: sanctions and export control decide whatever the model says, and say why."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from audit.canonical import parse_json
from models.kind import built_in_kind
from service.app import create_app
from service.auth import Role
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.records import find_decision, open_personal
from service.wiring import Platform, open_platform
from tests.journeys.small_models import publish_built_in
from training.simulator import simulate

_ORDERS = 1_000
_ASKED = 120


@dataclass(frozen=True)
class Shop:
    """A running application with small real models of admission and risk, and its callers' keys."""

    client: TestClient
    platform: Platform
    keys: dict[Role, str]

    def post(self, path: str, body: object, role: Role = Role.OMS, status: int = 200) -> Any:  # noqa: ANN401 - JSON
        """Send one request that must be answered so."""
        headers = {"Authorization": f"Bearer {self.keys[role]}", "Accept-Language": "en"}
        answer = self.client.post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    def decide(self, kind: str, order: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Decide one order."""
        return self.post(f"/v1/decisions/{kind}", order)

    def decide_many(self, kind: str, orders: list[dict[str, Any]]) -> list[Any]:
        """Decide many orders in one batch."""
        headers = {
            "Authorization": f"Bearer {self.keys[Role.OMS]}",
            "Content-Type": "application/x-ndjson",
        }
        lines = b"\n".join(orjson.dumps(order) for order in orders)
        path = f"/v1/decisions/{kind}/batch"
        answer = self.client.post(path, content=lines, headers=headers)
        return [orjson.loads(line) for line in answer.content.splitlines()]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    settings = Settings(
        var=tmp_path_factory.mktemp("lists") / "var", model_refresh_seconds=0, log_level="error"
    )
    with open_platform(settings) as platform:
        for name in ("admission", "risk"):
            publish_built_in(platform, name)
        keys = {role: create_key(platform, role.value, role, "test")[1] for role in Role}
    app = create_app(settings)
    with TestClient(app) as client:
        yield Shop(client, app.state.platform, keys)


def example(kind: str, name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
    """Return an order that ships with a kind; `a__b=1` writes its field a.b."""
    [text] = [one.order for one in built_in_kind(kind).examples if one.name == name]
    order: dict[str, Any] = orjson.loads(text)
    for path, value in changes.items():
        *steps, last = path.split("__")
        place = order
        for step in steps:
            place = place[step]
        place[last] = value
    return order


def rules(decision: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {rule["id"]: rule for rule in decision["rules"]}


@pytest.mark.parametrize(("kind", "place"), [("admission", "destination"), ("risk", "shipping")])
def test_a_sanctioned_destination_is_never_accepted(shop: Shop, kind: str, place: str) -> None:
    """Whatever the model says of the order, in every one of many orders."""
    # The latest, because a row counts on its own days only, compared with the order's.
    orders: list[dict[str, Any]] = [*simulate(kind, _ORDERS, 11).orders[-_ASKED:]]
    free = [{**order, "order_id": f"F{number}"} for number, order in enumerate(orders)]
    listed = []
    for number, order in enumerate(orders):
        where = {**order[place], "country": ("ZZ", "xx")[number % 2]}
        listed.append({**order, "order_id": f"L{number}", place: where})
    adverse = built_in_kind(kind).outcomes.adverse.code
    favourable = built_in_kind(kind).outcomes.favourable.code
    before = shop.decide_many(kind, free)
    after = shop.decide_many(kind, listed)
    assert sum(decision["outcome"] == favourable for decision in before) > _ASKED // 10
    assert {decision["outcome"] for decision in after} == {adverse}
    hits = [rules(decision)["destination-sanctioned"] for decision in after]
    assert {hit["facts"]["destination_sanctions_entry"] for hit in hits} == {"DST-001", "DST-002"}


def test_the_record_names_rule_policy_and_list_entry(shop: Shop) -> None:
    """In the answer, and in the stored facts with the digest of the list that said so."""
    order = example("admission", "domestic-accepted", destination={"country": "ZZ"})
    decision = shop.decide("admission", order)
    hit = rules(decision)["destination-sanctioned"]
    policy = built_in_kind("admission").policy
    assert (decision["outcome"], hit["effect"]) == ("reject", "reject")
    assert hit["version"] == policy.version == decision["policy"]["version"]
    assert hit["facts"]["destination_sanctions_entry"] == "DST-002"
    assert "ZZ" in hit["text"]
    record = find_decision(shop.platform, decision["decision_id"])
    facts = parse_json(record.facts or b"")
    assert isinstance(facts, dict)
    in_force = shop.platform.references.in_force()
    surroundings = facts["surroundings"]
    assert isinstance(surroundings, dict)
    pinned = surroundings["references"]
    assert isinstance(pinned, list)
    assert {(one["name"], one["digest"]) for one in pinned if isinstance(one, dict)} == {
        (name, in_force[name].version.digest)
        for name in ("customs_notices", "hs_control", *_PARTY_AND_PLACE)
    }


_PARTY_AND_PLACE = ("sanctioned_destinations", "sanctioned_parties")


def test_a_changed_list_gives_the_documented_difference(shop: Shop) -> None:
    """What was accepted stays recorded; asked again as of the new list it is refused, and why."""
    accepted = shop.decide("admission", example("admission", "domestic-accepted"))
    assert accepted["outcome"] == "accept"
    country = example("admission", "domestic-accepted")["destination"]["country"]
    shown = shop.client.get(
        "/v1/references/sanctioned_destinations",
        headers={"Authorization": f"Bearer {shop.keys[Role.ADMIN]}"},
    ).json()
    row = {"id": "DST-900", "valid_from": "2020-01-01", "values": {"country": country}}
    changed = {
        **shown["table"],
        "as_of": "2026-02-01T00:00:00Z",
        "rows": [*shown["table"]["rows"], row],
    }
    loaded = shop.post("/v1/references", changed, Role.ADMIN, 201)
    try:
        path = f"/v1/decisions/{accepted['decision_id']}/replay"
        then = shop.post(path, {"as_of": accepted["decided_at"]}, Role.AUDITOR)
        assert (then["match"], then["cause"]) == (True, None)
        assert shop.post(path, None, Role.AUDITOR)["match"] is True
        now = shop.post(path, {"as_of": loaded["recorded_at"]}, Role.AUDITOR)
        assert (now["recorded"]["outcome"], now["replayed"]["outcome"]) == ("accept", "reject")
        assert now["cause"] == (
            f"reference version: sanctioned_destinations: {shown['digest']} was recorded, "
            f"{loaded['digest']} replays"
        )
        [hit] = [one for one in now["replayed"]["rules"] if one["id"] == "destination-sanctioned"]
        assert hit["facts"]["destination_sanctions_entry"] == "DST-900"
        order = example("admission", "domestic-accepted", order_id="again")
        assert shop.decide("admission", order)["outcome"] == "reject"
    finally:
        # The other journeys go on under the list that was there.
        shop.post("/v1/references?force=true", shown["table"], Role.ADMIN, 201)


@pytest.mark.parametrize("kind", ["admission", "risk"])
def test_a_similar_name_is_for_a_person_and_its_entry_is_sealed(shop: Shop, kind: str) -> None:
    """Facts hold that there was a match and its score; who was matched opens only with the seal."""
    name = {"admission": "domestic-accepted", "risk": "loyal-customer-passed"}[kind]
    asked = "Demidenka, Viktor Aleksandrovich"
    decision = shop.decide(kind, example(kind, name, customer__name=asked))
    hit = rules(decision)["party-similar-to-sanctioned"]
    assert hit["effect"] == "review"
    assert decision["outcome"] != built_in_kind(kind).outcomes.favourable.code
    score = hit["facts"]["party_score"]
    assert 90 <= score < 99
    record = find_decision(shop.platform, decision["decision_id"])
    facts = parse_json(record.facts or b"")
    assert isinstance(facts, dict)
    context = facts["context"]
    assert isinstance(context, dict)
    party = {key: value for key, value in context.items() if key.startswith("party_")}
    assert party == {"party_matched": True, "party_count": 1.0, "party_score": score}
    for secret in (b"PTY-0001", b"Demidenk", b"Viktor"):
        assert secret not in (record.facts or b"") + record.leaf
    [match] = _objects(open_personal(shop.platform, record).matches["party"])
    assert (match["entry"], match["asked"], match["score"]) == ("PTY-0001", asked, score)


def _objects(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return [dict(item) for item in value]


def test_a_listed_name_is_refused(shop: Shop) -> None:
    """Equal once case, order, width and spaces are normalised, in either script."""
    for name in ("DEMIDENKO Viktor Aleksandrovich", "诸葛 明轩", "Blackwater Bay Trading"):
        order = example("admission", "domestic-accepted", customer__name=name)
        decision = shop.decide("admission", order)
        assert decision["outcome"] == "reject"
        assert rules(decision)["party-sanctioned"]["facts"]["party_score"] == 100.0


@pytest.mark.parametrize(
    ("code", "country", "lacks_licence", "outcome", "rule", "entry"),
    [
        ("9301.20.0000", "DE", False, "reject", "hs-code-prohibited", "HS-9301"),
        ("2844", "DE", True, "reject", "hs-code-prohibited", "HS-2844"),
        ("8526 10 00", "DE", True, "review", "hs-licence-needed", "HS-8526"),
        ("8526100000", "DE", False, "accept", None, None),
        ("8526910000", "SG", True, "review", None, None),
        ("8526910000", "DE", True, "review", "hs-licence-needed", "HS-8526"),
    ],
)
def test_export_control_by_hs_code(
    *,
    shop: Shop,
    code: str,
    country: str,
    lacks_licence: bool,
    outcome: str,
    rule: str | None,
    entry: str | None,
) -> None:
    """Prohibited goods are refused, licensed goods without a licence are for a person."""
    order = example("admission", "domestic-accepted", destination__country=country)
    order["lines"][0] |= {"hs_code": code, "licence_missing": lacks_licence}
    decision = shop.decide("admission", order)
    hits = {name: hit for name, hit in rules(decision).items() if name.startswith("hs-")}
    assert set(hits) == ({rule} if rule else set())
    for hit in hits.values():
        shown = hit["facts"]
        assert shown.get("hs_prohibited_entry", shown.get("hs_licence_entry")) == entry
    assert decision["outcome"] == outcome


def test_the_lists_in_force_say_who_asks_them(shop: Shop) -> None:
    """Tables that were there from the start are marked as such."""
    told = shop.client.get(
        "/v1/references", headers={"Authorization": f"Bearer {shop.keys[Role.AUDITOR]}"}
    ).json()["references"]
    kinds = {one["name"]: one["kinds"] for one in told}
    assert kinds["sanctioned_parties"] == ["admission", "risk"]
    assert kinds["hs_control"] == ["admission"]
    [control] = [one for one in told if one["name"] == "hs_control"]
    assert (control["bootstrap"], control["origin"]) == (True, "built-in")

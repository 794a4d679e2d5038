"""The whole decision through the real endpoint: admission, risk and split, one chain."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from audit.verify import verify_store
from models.chain import chain_examples
from models.policy_document import Policy
from models.split.policy import built_in_split_policy
from service.api.chain_schemas import Chain, EventList
from service.app import create_app
from service.auth import Role
from service.cli.application import application
from service.settings import Settings
from service.usecases.chain import CHAIN
from service.usecases.keys import create_key
from service.usecases.replay import replay_sample
from service.wiring import Platform, open_platform
from tests.journeys.small_models import publish_built_in
from tests.splits import publish_split

pytestmark = pytest.mark.both_databases

PATH = "/v1/orders/decide"
Change = Callable[[Policy], Policy]


def unchanged(policy: Policy) -> Policy:
    return policy


class World:
    """A served application with a live model of each kind of the chain."""

    def __init__(self, settings: Settings, **changes: Change) -> None:
        with open_platform(settings) as platform:
            for kind in ("admission", "risk"):
                publish_built_in(platform, kind, changes.get(kind, unchanged))
            # The small model is no judge of lateness, so its plans are not held up for it.
            sure = built_in_split_policy().model_copy(update={"review_late_at": 1.0})
            publish_split(platform, sure)
            self.keys = {r: create_key(platform, r.value, r, "test")[1] for r in Role}
        self.client = TestClient(create_app(settings), raise_server_exceptions=False)

    @property
    def platform(self) -> Platform:
        served: Platform = self.client.app.state.platform  # type: ignore[attr-defined]  # typed as ASGI
        return served

    def headers(self, role: Role = Role.OMS, **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {self.keys[role]}", "Accept-Language": "en", **named}

    def decide(self, order: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        given = self.headers() if key is None else self.headers(Idempotency_Key=key)
        answer = self.client.post(PATH, json=order, headers=given)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        Chain.model_validate(said)
        return said

    def verify(self) -> None:
        """Everything recorded verifies, and replays to the last bit."""
        report = verify_store(
            self.platform.store, [self.platform.signer.verifier_key], self.platform.sealer
        )
        assert report.problems == ()
        replayed = replay_sample(self.platform, 10_000, 1, lambda _done, _all: None)
        assert replayed["differences"] == []
        assert replayed["replayed"] == replayed["identical"]


def order(name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field of an order
    found = next(e for e in chain_examples() if isinstance(e, dict) and e["name"] == name)
    document: dict[str, Any] = deepcopy(found["order"])  # type: ignore[arg-type]  # an object
    return document | changes


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    opened = World(settings)
    with opened.client:
        yield opened


def with_thresholds(review_at: float, adverse_at: float, **more: Any) -> Change:  # noqa: ANN401 - any part of a policy
    """Take the decision graph's thresholds away, so that the policy's own apply."""

    def change(policy: Policy) -> Policy:
        parts = {"decision": None, "review_at": review_at, "adverse_at": adverse_at, **more}
        return policy.model_copy(update=parts)

    return change


ACCEPT = with_thresholds(1.0, 1.0)
REVIEW = with_thresholds(0.0, 1.0)


def test_one_call_decides_from_admission_to_split(settings: Settings) -> None:
    """Three records in one chain, each naming its parent, in one transaction."""
    world = World(settings, admission=ACCEPT, risk=ACCEPT)
    with world.client:
        said = world.decide(order("shipped-in-two-parcels"))
        kinds = [one["kind"] for one in said["decisions"]]
        assert kinds == ["admission", "risk", "split"]
        assert (said["outcome"], said["stopped_at"], said["automated"]) == ("ship", None, True)
        assert said["conflict"] is None
        assert said["decisions"][0]["parent_id"] is None
        for before, after in pairwise(said["decisions"]):
            assert after["parent_id"] == before["decision_id"]
            assert after["chain_id"] == before["chain_id"] == said["chain_id"]
            assert after["receipt"]["leaf_index"] == before["receipt"]["leaf_index"] + 1
            assert after["receipt"]["tree_size"] == before["receipt"]["tree_size"]
        # Fields of the other kinds are known to the chain.
        assert all(one["warnings"] == [] for one in said["decisions"])
        last = said["decisions"][-1]
        assert last["chain"]["outcome"] == "ship"
        read = world.client.get(
            f"/v1/decisions/{last['decision_id']}", headers=world.headers()
        ).json()
        assert read["chain"] == last["chain"]
        world.verify()


def test_a_field_that_no_kind_knows_is_named_once_for_each(world: World) -> None:
    said = world.decide(order("shipped-in-two-parcels", gift_note="for Li"))
    assert all("gift_note" in one["warnings"][0] for one in said["decisions"])


def test_a_refusal_stops_the_chain(settings: Settings) -> None:
    world = World(settings, admission=with_thresholds(0.0, 0.0))
    with world.client:
        said = world.decide(order("rejected-at-admission"))
        assert (said["outcome"], said["stopped_at"]) == ("reject", "admission")
        assert [one["kind"] for one in said["decisions"]] == ["admission"]
        world.verify()


def test_a_review_stops_the_chain_and_the_conflict_is_recorded(settings: Settings) -> None:
    """Admission says accept, risk says review: without a precedence the strictest stands."""
    world = World(settings, admission=ACCEPT, risk=REVIEW)
    with world.client:
        said = world.decide(order("stopped-for-review"))
        assert (said["outcome"], said["stopped_at"]) == ("review", "risk")
        assert (said["automated"], said["provisional"]) == (False, False)
        assert said["conflict"] == {
            "voices": [
                {"voice": "admission", "outcome": "accept", "cause": "decision"},
                {"voice": "risk", "outcome": "review", "cause": "decision"},
            ],
            "winner": "risk",
            "by": "strictest",
        }
        world.verify()


def test_a_policy_may_let_a_review_go_on_provisionally(settings: Settings) -> None:
    """The plan is made, and a person still has to say yes."""
    provisional = with_thresholds(0.0, 1.0, on_review="provisional")
    world = World(settings, admission=ACCEPT, risk=provisional)
    with world.client:
        said = world.decide(order("shipped-in-two-parcels"))
        assert [one["kind"] for one in said["decisions"]] == ["admission", "risk", "split"]
        assert (said["outcome"], said["provisional"], said["automated"]) == ("review", True, False)
        assert said["decisions"][-1]["outcome"] == "ship"
        world.verify()


def test_a_precedence_decides_between_kinds(settings: Settings) -> None:
    precedence = ("rule", "cap", "reference", "split", "admission", "risk")
    admission = with_thresholds(1.0, 1.0, precedence=precedence)
    world = World(
        settings, admission=admission, risk=with_thresholds(0.0, 1.0, on_review="provisional")
    )
    with world.client:
        said = world.decide(order("shipped-in-two-parcels"))
        assert (said["outcome"], said["automated"]) == ("ship", True)
        assert (said["conflict"]["winner"], said["conflict"]["by"]) == ("split", "precedence")


def test_a_retry_gets_the_whole_chain_again(world: World) -> None:
    first = world.decide(order("shipped-in-two-parcels"), "chain-1")
    with world.platform.store.reading() as reading:
        size = reading.tree_size()
    assert world.decide(order("shipped-in-two-parcels"), "chain-1") == first
    other = world.client.post(
        PATH, json=order("stopped-for-review"), headers=world.headers(Idempotency_Key="chain-1")
    )
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
    with world.platform.store.reading() as reading:
        assert reading.tree_size() == size


def test_faults_of_all_kinds_are_named_and_nothing_is_recorded(world: World) -> None:
    with world.platform.store.reading() as reading:
        size = reading.tree_size()
    bad = order("shipped-in-two-parcels", total_amount="much", warehouses=[], placed_at=None)
    answer = world.client.post(PATH, json=bad, headers=world.headers())
    assert answer.status_code == 422
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert {"/total_amount", "/placed_at"} <= pointers
    with world.platform.store.reading() as reading:
        assert reading.tree_size() == size


def vip(number: int) -> dict[str, Any]:
    found = order("shipped-in-two-parcels", order_id=f"VIP-{number}")
    found["customer"]["tier"] = "vip"
    found["service"] = {"priority": True}
    return found


def test_concurrent_requests_never_take_more_than_a_cap_allows(settings: Settings) -> None:
    """Twelve orders at once for five places: five go ahead, seven are asked about."""

    def five_places(policy: Policy) -> Policy:
        caps = tuple(
            cap.model_copy(update={"limits": {"vip": 5}}) if cap.id == "vip-priority-full" else cap
            for cap in policy.caps
        )
        return ACCEPT(policy).model_copy(update={"caps": caps})

    world = World(settings, admission=five_places, risk=ACCEPT)
    with world.client, ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda n: world.decide(vip(n)), range(12)))
        outcomes = sorted(one["outcome"] for one in said)
        assert outcomes == ["review"] * 7 + ["ship"] * 5
        used = sorted(
            cap["used"]
            for one in said
            for cap in one["decisions"][0]["caps"]
            if cap["cap"] == "vip-priority-full"
        )
        assert used == [0, 1, 2, 3, 4, *[5] * 7]
        asked = next(one for one in said if one["outcome"] == "review")
        (rule,) = [r for r in asked["decisions"][0]["rules"] if r["id"] == "vip-priority-full"]
        assert rule["facts"]["cap_limit"] == 5
        # Single decisions count in the same place.
        alone = world.client.post(
            "/v1/decisions/admission", json=vip(99), headers=world.headers()
        ).json()
        assert alone["outcome"] == "review"
        world.verify()


def test_the_command_line_decides_the_same_chain(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDOR_DATABASE_URL", settings.database_url)
    world = World(settings, admission=ACCEPT, risk=ACCEPT)
    file = tmp_path / "order.json"
    file.write_bytes(orjson.dumps(order("shipped-in-two-parcels")))
    given = ["--var", str(settings.var), "--lang", "en"]
    said = CliRunner().invoke(application, ["decide", str(file), "--chain", *given])
    assert said.exit_code == 0, said.output
    assert said.stdout.startswith("chain       ship\n")
    assert [f"kind        {kind}\n" in said.stdout for kind in CHAIN] == [True] * 3
    asked = CliRunner().invoke(application, ["decide", str(file), "--chain", "--json", *given])
    Chain.model_validate_json(asked.stdout)
    stopped = World(settings, admission=REVIEW)
    halted = CliRunner().invoke(application, ["decide", str(file), "--chain", *given])
    assert halted.stdout.startswith("chain       review, stopped at admission\n")
    assert stopped.keys != world.keys
    both = CliRunner().invoke(application, ["decide", str(file), *given])
    assert both.exit_code == 2


def test_events_tell_what_happened_after_the_answer(settings: Settings) -> None:
    world = World(settings, admission=REVIEW)
    with world.client:
        events = world.client.get("/v1/events", headers=world.headers()).json()
        EventList.model_validate(events)
        assert {one["type"] for one in events["events"]} == {"publication", "reference"}
        said = world.decide(order("stopped-for-review"))
        decision = said["decisions"][0]["decision_id"]
        world.client.post(
            f"/v1/decisions/{decision}/override",
            json={"outcome": "accept", "reason_code": "KNOWN_CUSTOMER", "comment": "called"},
            headers=world.headers(Role.OPERATOR),
        )
        after = f"/v1/events?after={events['next']}"
        (event,) = world.client.get(after, headers=world.headers()).json()["events"]
        assert (event["type"], event["decision_id"], event["outcome"]) == (
            "override",
            decision,
            "accept",
        )
        assert event["order_id"] == said["order_id"]
        assert "called" not in str(event)
        refused = world.client.get(after, headers=world.headers(Role.AUDITOR))
        assert refused.status_code == 403


def test_events_are_streamed_and_a_stream_ends_by_itself(settings: Settings) -> None:
    brief = settings.model_copy(update={"event_stream_seconds": 0.2, "event_poll_seconds": 0.05})
    world = World(brief)
    with world.client:
        given = world.headers(Accept="text/event-stream")
        text = world.client.get("/v1/events", headers=given).text
        ids = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
        assert ids == sorted(ids)
        assert "event: publication" in text
        assert text.endswith(": waiting\n\n")
        later = world.client.get("/v1/events", headers={**given, "Last-Event-ID": str(ids[-1])})
        assert "id: " not in later.text

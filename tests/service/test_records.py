"""Recorded decisions: searched, amended, replayed, shown by role."""

import pytest
from starlette.testclient import TestClient

from service.api import schemas
from service.auth import Role
from service.usecases import replay as replay_usecase
from service.usecases import search as search_usecase
from service.usecases.replay import replay_sample
from service.wiring import Platform
from tests.databases import SampleDatabase
from tests.models import examples
from tests.service.conftest import Headers, unfit

pytestmark = pytest.mark.both_databases

SEARCH = "/v1/decisions"


@pytest.fixture
def decided(client: TestClient, headers: Headers) -> list[str]:
    """Return the ids of four decisions: P-0 is for review, P-1 to P-3 are accepted."""
    given = headers(Content_Type="application/json")
    return [
        client.post(
            "/v1/decisions/parcel",
            content=examples.order(
                order_id=f"P-{number}",
                stock=60.0 * number,
                customer={"recent_orders": [{"ordered": 10, "returned": 0}]},
            ),
            headers=given,
        ).json()["decision_id"]
        for number in range(4)
    ]


def search(client: TestClient, headers: Headers, **query: str) -> list[str]:
    answer = client.get(SEARCH, params=query, headers=headers(Role.AUDITOR))
    page = schemas.SearchPage.model_validate(answer.json())
    return [found.decision_id for found in page.decisions]


def test_a_search_is_newest_first_and_pages(
    client: TestClient, headers: Headers, decided: list[str]
) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        query = {"limit": "2", **cursor}
        answer = client.get(SEARCH, params=query, headers=headers(Role.OPERATOR)).json()
        seen += [found["decision_id"] for found in answer["decisions"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
    assert seen == decided[::-1]


def test_a_search_finds_by_order_kind_outcome_and_time(
    client: TestClient, headers: Headers, decided: list[str]
) -> None:
    assert search(client, headers, order_id="P-2") == [decided[2]]
    assert search(client, headers, order_id="P-9") == []
    assert len(search(client, headers, kind="parcel")) == 4
    assert search(client, headers, kind="risk") == []
    accepted = search(client, headers, outcome="accept")
    assert 0 < len(accepted) < 4
    assert len(search(client, headers, **{"from": "2020-01-01T00:00:00"})) == 4
    assert search(client, headers, to="2020-01-01T00:00:00Z") == []


def test_an_overridden_review_no_longer_awaits_a_person(
    client: TestClient, headers: Headers, decided: list[str]
) -> None:
    waiting = search(client, headers, review="true")
    assert waiting
    assert set(waiting) | set(search(client, headers, review="false")) == set(decided)
    form = {"outcome": "accept", "reason_code": "STOCK", "comment": "call 4711"}
    path = f"/v1/decisions/{waiting[0]}/override"
    answer = client.post(path, json=form, headers=headers(Role.OPERATOR))
    assert answer.status_code == 201
    schemas.RecordedOverride.model_validate(answer.json())
    assert waiting[0] not in search(client, headers, review="true")
    read = client.get(f"/v1/decisions/{waiting[0]}", headers=headers()).json()
    assert read["outcome"] == "review"
    assert read["outcome_in_force"] == "accept"
    assert read["overrides"][0]["comment"] == "call 4711"


def test_what_a_search_scans_is_bounded(
    client: TestClient,
    headers: Headers,
    decided: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_usecase, "_MOST_PAGES", 1)
    query = {"limit": "1", "review": "true"}
    answer = client.get(SEARCH, params=query, headers=headers(Role.AUDITOR)).json()
    assert answer["decisions"] == []
    assert answer["next_cursor"] is not None
    assert decided


def test_what_really_happened_is_a_new_entry(
    client: TestClient, headers: Headers, decided: list[str]
) -> None:
    form = {"label": "late", "observed_at": "2026-03-01T00:00:00Z", "details": {"who": "4711"}}
    path = f"/v1/decisions/{decided[0]}"
    given = headers(Idempotency_Key="o")
    first = client.post(f"{path}/outcome", json=form, headers=given)
    again = client.post(f"{path}/outcome", json=form, headers=given)
    assert (first.status_code, first.content) == (201, again.content)
    schemas.RecordedOutcome.model_validate(first.json())
    read = client.get(path, headers=headers()).json()
    assert read["observed_outcome"]["details"] == {"who": "4711"}
    other = client.post(f"{path}/outcome", json={**form, "label": "lost"}, headers=given)
    assert other.status_code == 409


def test_only_some_roles_see_whose_order_it_is(
    client: TestClient, headers: Headers, decided: list[str]
) -> None:
    form = {"outcome": "accept", "reason_code": "STOCK", "comment": "call 4711"}
    path = f"/v1/decisions/{decided[0]}"
    client.post(f"{path}/override", json=form, headers=headers(Role.OPERATOR))
    hidden = client.get(path, headers=headers(Role.STRATEGIST))
    schemas.DecisionRead.model_validate(hidden.json())
    assert hidden.json()["order_id"] is None
    assert "4711" not in hidden.text
    assert client.get(path, headers=headers(Role.AUDITOR)).json()["order_id"] == "P-0"


def test_a_replay_is_identical(client: TestClient, headers: Headers, decided: list[str]) -> None:
    answer = client.post(f"/v1/decisions/{decided[0]}/replay", headers=headers(Role.AUDITOR))
    replay = schemas.Replay.model_validate(answer.json())
    assert (replay.match, replay.differences, replay.cause) == (True, [], None)


def test_a_sample_is_replayed(
    served: Platform, decided: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_usecase, "_PAGE", 3)
    done: list[tuple[int, int]] = []
    result = replay_sample(served, 10, 1, lambda *step: done.append(step))
    assert result == {"replayed": len(decided), "identical": len(decided), "differences": []}
    assert done[-1] == (4, 4)
    assert replay_sample(served, 2, 1, lambda *_step: None)["replayed"] == 2


def test_a_replay_that_differs_names_value_and_cause(
    served: Platform, decided: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = served.shelf.load

    def other(*references: object) -> object:
        model = honest(*references)  # type: ignore[arg-type]  # passed on as they came
        object.__setattr__(model.calibration, "probabilities", (0.04, 0.4, 0.96))
        return model

    monkeypatch.setattr(type(served.shelf), "load", lambda _shelf, *given: other(*given))
    result = replay_sample(served, 4, 1, lambda *_step: None)
    assert result["replayed"] == len(decided)
    differences = result["differences"]
    assert isinstance(differences, list)
    assert differences


def test_a_replay_without_its_bundle_says_so(
    served: Platform, decided: list[str], headers: Headers, client: TestClient
) -> None:
    for file in served.settings.bundles.rglob("model.txt"):
        file.write_text("altered", encoding="utf-8")
    served.shelf._models.clear()
    result = replay_sample(served, 1, 1, lambda *_step: None)
    assert result["identical"] == 0
    assert "model: model.txt: sha256:" in str(result["differences"])
    path = f"/v1/decisions/{decided[0]}/replay"
    told = schemas.Replay.model_validate(client.post(path, headers=headers(Role.AUDITOR)).json())
    assert (told.match, [one.part for one in told.causes]) == (False, ["model.txt"])
    assert "bundle-corrupt" in str(told.note)
    for file in served.settings.bundles.rglob("*"):
        file.rename(file.with_suffix(".lost"))
    assert client.post(path, headers=headers(Role.AUDITOR)).status_code == 503
    assert client.get("/health/ready").status_code == 503
    assert unfit(client) == ["model"]


def test_an_altered_record_shows_a_broken_proof(
    database: SampleDatabase, decided: list[str], headers: Headers, client: TestClient
) -> None:
    path = f"/v1/decisions/{decided[0]}"
    database.overwrite("facts_part", "body", lambda body: body.replace(b"{", b"{ "))
    facts = client.get(path, headers=headers()).json()["proof_status"]
    assert (facts["status"], "facts" in facts["detail"]) == ("broken", True)
    database.overwrite("log_entry", "leaf", lambda leaf: leaf.replace(b"{", b"{ "))
    leaf = client.get(path, headers=headers()).json()["proof_status"]
    assert (leaf["status"], leaf["checkpoint_tree_size"]) == ("broken", None)

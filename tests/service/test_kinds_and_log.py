"""What can be decided, and the log's open read interface."""

from base64 import b64decode

import orjson
import pytest
from starlette.testclient import TestClient

from audit.checkpoint import verify_checkpoint
from audit.merkle import EMPTY_ROOT, verify_consistency
from service.api import schemas
from service.app import create_app
from service.auth import Role
from service.settings import Settings
from service.wiring import Platform
from tests.models import examples
from tests.service.conftest import Headers, unfit

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("role", Role)
def test_everybody_with_a_key_reads_kinds(client: TestClient, headers: Headers, role: Role) -> None:
    answer = client.get("/v1/kinds", headers=headers(role))
    kinds = schemas.KindList.model_validate(answer.json()).kinds
    assert {"admission", "risk", "parcel"} <= {kind.name for kind in kinds}
    parcel = next(kind for kind in kinds if kind.name == "parcel")
    assert parcel.model is not None
    assert parcel.request_schema["type"] == "object"
    assert [outcome.code for outcome in parcel.outcomes] == ["accept", "review", "reject"]
    admission = next(kind for kind in kinds if kind.name == "admission")
    assert (admission.model, admission.policy) == (None, None)
    assert len(admission.examples) >= 3


def test_an_example_can_be_posted_as_it_is(client: TestClient, headers: Headers) -> None:
    kind = client.get("/v1/kinds/parcel", headers=headers()).json()
    order = kind["examples"][0]["order"]
    assert client.post("/v1/decisions/parcel", json=order, headers=headers()).status_code == 200


def test_the_log_is_read_without_a_key(
    client: TestClient, served: Platform, headers: Headers
) -> None:
    key = client.get("/v1/log/key").text.strip()
    assert client.get("/v1/log/keys").text == f"{key} 0 -\n"
    old = verify_checkpoint(client.get("/v1/log/checkpoint").text, key)
    client.post("/v1/decisions/parcel", json=orjson.loads(examples.order()), headers=headers())
    new = verify_checkpoint(client.get("/v1/log/checkpoint").text, key)
    assert new.tree_size == old.tree_size + 1
    sizes = {"from": old.tree_size, "to": new.tree_size}
    answer = client.get("/v1/log/consistency", params=sizes).json()
    proof = [b64decode(text) for text in schemas.Consistency.model_validate(answer).proof]
    verify_consistency(old.tree_size, new.tree_size, old.root_hash, new.root_hash, proof)
    tile = client.get(f"/v1/log/tile/0/000.p/{new.tree_size}")
    assert len(tile.content) == 32 * new.tree_size
    assert "immutable" in tile.headers["Cache-Control"]
    bundle = client.get(f"/v1/log/tile/entries/000.p/{new.tree_size}").content
    with served.store.reading() as reading:
        assert reading.record_at(0).leaf in bundle


def test_an_empty_log_has_a_signed_head_and_is_not_ready(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        key = client.get("/v1/log/key").text.strip()
        head = verify_checkpoint(client.get("/v1/log/checkpoint").text, key)
        assert (head.tree_size, head.root_hash) == (0, EMPTY_ROOT)
        ready = client.get("/health/ready")
        assert ready.status_code == 503
        assert "candor train" in ready.text


def test_a_full_disk_makes_the_service_unready(client: TestClient, served: Platform) -> None:
    assert client.get("/health/ready").json()["status"] == "ready"
    too_much = served.settings.model_copy(update={"disk_free_min_bytes": 2**62})
    object.__setattr__(served, "settings", too_much)
    assert unfit(client) == ["disk"]


def test_a_stopped_writer_makes_the_service_unready(client: TestClient, served: Platform) -> None:
    served.writer.close()
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert "writer" in answer.text

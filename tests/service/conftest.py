"""A running application over a real store, with a key for each role."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.auth import Role
from service.settings import Settings
from service.usecases.keys import create_key
from service.wiring import Platform, open_platform
from tests.conftest import publish_small_model
from tests.databases import POOLED, SQLITE, SampleDatabase

Headers: TypeAlias = Callable[..., dict[str, str]]


@pytest.fixture
def database(
    request: pytest.FixtureRequest, tmp_path: Path, database_kind: str
) -> Iterator[SampleDatabase]:
    """Return the database that the settings name."""
    server = None if database_kind == SQLITE else request.getfixturevalue("postgres_server")
    pooler = request.getfixturevalue("pooler") if database_kind == POOLED else None
    made = SampleDatabase(tmp_path / "var", server, file="candor.db", pooler=pooler)
    yield made
    made.close()


@pytest.fixture
def keys(settings: Settings) -> dict[Role, str]:
    with open_platform(settings) as platform:
        publish_small_model(platform)
        return {role: create_key(platform, role.value, role, "test")[1] for role in Role}


@pytest.fixture
def client(settings: Settings, keys: dict[Role, str]) -> Iterator[TestClient]:
    assert keys
    with TestClient(create_app(settings), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def served(client: TestClient) -> Platform:
    """Return the platform that the application runs on."""
    platform: Platform = client.app.state.platform  # type: ignore[attr-defined]  # typed as ASGI
    return platform


@pytest.fixture
def headers(keys: dict[Role, str]) -> Headers:
    def build(role: Role = Role.OMS, **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {"Authorization": f"Bearer {keys[role]}", **named}

    return build


def unfit(client: TestClient) -> list[str]:
    """Return the names of the checks that say that the service is not fit."""
    checks = client.get("/health/ready").json()["checks"]
    return [check["name"] for check in checks if not check["ok"]]

"""Fixtures that several packages share: databases, and a small live model in a store of its own.

What uses a database runs on SQLite; with the marker `both_databases` it runs on PostgreSQL too.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from models.bundle import save_bundle, save_policy
from models.domain import ModelRef
from service.live import Publication
from service.settings import Settings
from service.usecases.publish import publish
from service.wiring import Platform, open_platform
from tests.databases import KINDS, POSTGRESQL, SQLITE, SampleDatabase
from tests.models import examples
from tests.postgres import PostgresServer, running_server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each kind of database that its marker asks for."""
    if "database_kind" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both_databases")
        if both is not None:
            metafunc.parametrize("database_kind", KINDS, indirect=True, scope="session")


@pytest.fixture(scope="session")
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", SQLITE))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    yield from running_server()


@pytest.fixture(scope="session")
def make_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database_kind: str
) -> Callable[[], SampleDatabase]:
    """Return what makes a new database of the kind that the test runs on."""
    server: PostgresServer | None = None
    if database_kind == POSTGRESQL:
        server = request.getfixturevalue("postgres_server")
    return lambda: SampleDatabase(tmp_path_factory.mktemp("database"), server)


# How long a case takes is no property of the code: other work may share the machine.
hypothesis_settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("unhurried")


@pytest.fixture
def database(make_database: Callable[[], SampleDatabase]) -> Iterator[SampleDatabase]:
    made = make_database()
    yield made
    made.close()


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path, database_kind: str) -> Settings:
    set_up = Settings(var=tmp_path / "var", model_refresh_seconds=0, log_level="error")
    if database_kind == SQLITE:
        return set_up
    database: SampleDatabase = request.getfixturevalue("database")
    return set_up.model_copy(update={"database_url": database.url})


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with open_platform(settings) as opened:
        publish_small_model(opened)
        yield opened


def publish_small_model(platform: Platform, version: str = "1") -> None:
    """Publish the kind `parcel` of `tests/models/examples.py`."""
    bundle = examples.bundle()
    save_bundle(platform.settings.bundles, bundle)
    policy = save_policy(platform.settings.policies, bundle.kind.policy)
    model = ModelRef("parcel", version, bundle.digest, "run-1")
    publish(platform, Publication("parcel", model, policy, bootstrap=True, actor="test"))

"""Fixtures that several packages share: databases, and a small live model in a store of its own.

What uses a database runs on SQLite; with the marker `both_databases` it runs on PostgreSQL too,
with `pooled` also through pgbouncer. `pytest --database postgresql` runs everything on PostgreSQL,
but what the marker `sqlite` names as being about SQLite itself.
"""

import os
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
from tests.databases import POOLED, POSTGRESQL, SQLITE, SampleDatabase
from tests.faults.report import FaultReport
from tests.models import examples
from tests.pooler import Pooler, running_pooler
from tests.postgres import PostgresServer, running_server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the whole suite run on another database."""
    parser.addoption(
        "--database",
        choices=(SQLITE, POSTGRESQL),
        default=SQLITE,
        help="what every test that does not say otherwise has its log in",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is about SQLite itself when the suite runs on another database."""
    if config.getoption("--database") == SQLITE:
        return
    for item in items:
        marker = item.get_closest_marker("sqlite")
        if marker is not None:
            item.add_marker(pytest.mark.skip(reason=f"about SQLite itself: {marker.args[0]}"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on each kind of database that its markers ask for."""
    if "database_kind" not in metafunc.fixturenames:
        return
    kinds = [metafunc.config.getoption("--database")]
    for marker, kind in (("both_databases", POSTGRESQL), ("pooled", POOLED)):
        if metafunc.definition.get_closest_marker(marker) is not None and kind not in kinds:
            kinds.append(kind)
    if len(kinds) > 1:
        metafunc.parametrize("database_kind", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", request.config.getoption("--database")))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    yield from running_server()


@pytest.fixture(scope="session")
def pooler(postgres_server: PostgresServer) -> Iterator[Pooler]:
    yield from running_pooler(postgres_server)


@pytest.fixture(scope="session")
def make_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database_kind: str
) -> Callable[[], SampleDatabase]:
    """Return what makes a new database of the kind that the test runs on."""
    server: PostgresServer | None = None
    pooler: Pooler | None = None
    if database_kind != SQLITE:
        server = request.getfixturevalue("postgres_server")
    if database_kind == POOLED:
        pooler = request.getfixturevalue("pooler")
    return lambda: SampleDatabase(tmp_path_factory.mktemp("database"), server, pooler=pooler)


_OPENING_PLATFORMS = {"service", "reports", "journeys", "trials"}


@pytest.fixture(scope="module", autouse=True)
def _database_of_the_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give whatever opens a platform without naming a database one that is no file."""
    if request.config.getoption("--database") == SQLITE or not _opens_platforms(request):
        yield
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.make_database()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANDOR_DATABASE_URL", server.url(name))
        yield
    server.drop_database(name)


@pytest.fixture(autouse=True)
def _database_of_the_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give a test that has a folder of its own a database of its own too, that of `settings`."""
    is_needed = "tmp_path" in request.fixturenames and _opens_platforms(request)
    if request.config.getoption("--database") == SQLITE or not is_needed:
        yield
        return
    database: SampleDatabase = request.getfixturevalue("database")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANDOR_DATABASE_URL", database.url)
        yield


def _opens_platforms(request: pytest.FixtureRequest) -> bool:
    return not _OPENING_PLATFORMS.isdisjoint(request.path.parts)


# How long a case takes is no property of the code: other work may share the machine.
hypothesis_settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def session_report() -> FaultReport:
    return FaultReport()


@pytest.fixture
def fault_report(session_report: FaultReport) -> Iterator[FaultReport]:
    """Return where long fault runs are noted; `make faults` says where the report goes."""
    yield session_report
    folder = os.environ.get("FAULT_REPORT")
    if folder:
        session_report.write(Path(folder))


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

"""One history of every form on each kind of database, made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.history import Copy, Scene, opened_scene


@pytest.fixture(scope="session")
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database_kind: str
) -> Iterator[Scene]:
    """Return the history; tests attack copies of it."""
    folder = tmp_path_factory.mktemp("history")
    server = lambda: request.getfixturevalue("postgres_server")  # noqa: E731 - asked for only when needed
    yield from opened_scene(folder, database_kind, server)


@pytest.fixture
def target(scene: Scene, tmp_path: Path) -> Iterator[Copy]:
    """Return a copy of the history that a test may attack."""
    made = scene.copy(tmp_path / "copy")
    yield made
    made.database.close()

"""Attacks on what is archived and purged: files, the entries that name them, and purges.

A log of two chains of long ago and one of lately is archived and released; one of the old chains is
under a hold, so that a purge takes the other out of a file that stays.
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.settings import Settings
from service.usecases.archive import archive_log
from service.usecases.erase import hold_subject
from service.usecases.purge import purge_records
from service.wiring import open_platform
from tests.attacks.history import Copy, Scene
from tests.attacks.test_scripted import rewrite
from tests.conftest import publish_small_model
from tests.databases import SQLITE, SampleDatabase
from tests.models import examples
from tests.reports.bundles import decide_order

pytestmark = [pytest.mark.both_databases, pytest.mark.xdist_group("attacks")]
LONG_AGO = datetime(2022, 3, 1, tzinfo=UTC)
LATER = LONG_AGO + timedelta(days=40)
TODAY = LONG_AGO + timedelta(days=1_110)


@pytest.fixture(scope="module")
def old_scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database_kind: str
) -> Iterator[Scene]:
    """Return a log that was archived, released and purged."""
    var = tmp_path_factory.mktemp("archived") / "var"
    var.mkdir()
    server = None if database_kind == SQLITE else request.getfixturevalue("postgres_server")
    database = SampleDatabase(var, server, file="candor.db")
    settings = Settings(var=var, model_refresh_seconds=0, log_level="error")
    if server is not None:
        changes = {"database_url": database.url, "database_owner_url": database.owner_url}
        settings = Settings(**{**settings.model_dump(exclude_unset=True), **changes})
    scene = Scene(settings, database)
    with open_platform(settings, now=lambda: LONG_AGO) as platform:
        publish_small_model(platform)
        for number in range(2):
            customer = {"customer_id": f"C-{number}", "recent_orders": []}
            order = examples.order(order_id=f"P-{number}", customer=customer)
            scene.decisions[f"P-{number}"] = decide_order(platform, "parcel", order)
        hold_subject(platform, "C-1", kind="subject", actor="test", reason="court", is_held=True)
    with open_platform(settings, now=lambda: LATER) as platform:
        archive_log(platform, actor="test", is_releasing=True)
        scene.decisions["P-2"] = decide_order(platform, "parcel", examples.order(order_id="P-2"))
        platform.store.fold()
    shutil.copytree(var / "archive", var.parent / "before")
    with open_platform(settings, now=lambda: TODAY) as platform:
        done = purge_records(platform, actor="test", is_trial=False)
        assert (done["records"], done["held"]) == ({"decision": 1}, 1)
        scene.vkey = platform.signer.verifier_key
        platform.store.fold()
    yield scene
    database.close()


@pytest.fixture
def old(old_scene: Scene, tmp_path: Path) -> Iterator[Copy]:
    """Return a copy of it that may be attacked."""
    made = old_scene.copy(tmp_path / "copy")
    shutil.copytree(old_scene.settings.var / "archive", made.settings.var / "archive")
    yield made
    made.database.close()


def place(copy: Copy, scene: Scene, name: str) -> int:
    query = f"SELECT leaf_index FROM log_entry WHERE entry_id = '{scene.decisions[name]}'"  # noqa: S608 - an id of ours
    [(leaf_index,)] = copy.rows(query)
    return int(leaf_index)


def files(copy: Copy) -> list[Path]:
    """Return the archive's files, those that a purge thinned first."""
    found = sorted((copy.settings.var / "archive").rglob("*.parquet"))
    return sorted(found, key=lambda path: "-purged-" not in path.name)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def alter_file(copy: Copy, scene: Scene) -> None:
    del scene
    _flip(files(copy)[0])


def delete_file(copy: Copy, scene: Scene) -> None:
    del scene
    files(copy)[0].unlink()


def swap_files(copy: Copy, scene: Scene) -> None:
    del scene
    first, second, *_ = files(copy)
    first.write_bytes(second.read_bytes())


def bring_back_file(copy: Copy, scene: Scene) -> None:
    """Put the files of before the purge back, beside those of now."""
    before = scene.settings.var.parent / "before"
    shutil.copytree(before, copy.settings.var / "archive", dirs_exist_ok=True)


def swap_back_file(copy: Copy, scene: Scene) -> None:
    """Put the file of before the purge in the place of that of now."""
    [old] = [
        path
        for path in (scene.settings.var.parent / "before").rglob("*.parquet")
        if path.parent.parent.name == "kind=parcel"
    ]
    files(copy)[0].write_bytes(old.read_bytes())


def _edit_acts(copy: Copy, act: str, old: bytes, new: bytes) -> None:
    rows = copy.rows(
        "SELECT f.leaf_index, f.body FROM facts_part f JOIN entry_lookup l "
        "ON l.leaf_index = f.leaf_index WHERE l.entry_type IN ('archive', 'purge')"
    )
    [place] = [at for at, body in rows if f'"act":"{act}"'.encode() in bytes(body)][:1]
    rewrite(copy, place, old, new)


def claim_another_digest(copy: Copy, scene: Scene) -> None:
    """Alter a file, and its digest in the log's entry with all the hashes that need no key."""
    del scene
    path = files(copy)[0]
    old = sha256(path.read_bytes()).hexdigest().encode()
    _flip(path)
    _edit_acts(copy, "purge", old, sha256(path.read_bytes()).hexdigest().encode())


def hide_purge_of_files(copy: Copy, scene: Scene) -> None:
    """Hide the entry that says which file took the place of which."""
    del scene
    [(at,)] = copy.rows("SELECT max(leaf_index) FROM entry_lookup WHERE entry_type = 'archive'")
    copy.execute(("UPDATE entry_lookup SET entry_type = 'export' WHERE leaf_index = ?", (at,)))


def widen_purge(copy: Copy, scene: Scene) -> None:
    """Have the purge's entry name the held decision too, and delete what is left of that."""
    [(at,)] = copy.rows("SELECT leaf_index FROM entry_lookup WHERE entry_type = 'purge'")
    gone, held = place(copy, scene, "P-0"), place(copy, scene, "P-1")
    rewrite(copy, at, f"[[{gone},{gone}]]".encode(), f"[[{gone},{held}]]".encode())
    files(copy)[0].unlink()


def invent_purge(copy: Copy, scene: Scene) -> None:
    """Make an export's look-up one of a purge."""
    del scene
    [(at,)] = copy.rows("SELECT min(leaf_index) FROM entry_lookup WHERE entry_type = 'archive'")
    copy.execute(("UPDATE entry_lookup SET entry_type = 'purge' WHERE leaf_index = ?", (at,)))


def delete_part(copy: Copy, scene: Scene) -> None:
    """Delete facts that are not archived, without a purge."""
    at = place(copy, scene, "P-2")
    copy.execute(("DELETE FROM facts_part WHERE leaf_index = ?", (at,)))


def bring_back_part(copy: Copy, scene: Scene) -> None:
    """Put facts back that were purged."""
    at = place(copy, scene, "P-0")
    month = LONG_AGO.strftime("%Y-%m")
    copy.execute(
        (
            "INSERT INTO facts_part (leaf_index, body, month) VALUES (?, ?, ?)",
            (at, orjson.dumps({}), month),
        )
    )


ATTACKS: dict[Callable[[Copy, Scene], None], set[str]] = {
    alter_file: {"archive-file-altered"},
    delete_file: {"archive-file-missing"},
    swap_files: {"archive-file-swapped"},
    bring_back_file: {"purge-unfinished"},
    swap_back_file: {"archive-file-swapped"},
    claim_another_digest: {"checkpoint-root", "archive-row"},
    hide_purge_of_files: {"lookup", "archive-file-missing"},
    widen_purge: {"tree-node", "archive-file-missing"},
    invent_purge: {"purge-invalid", "lookup"},
    delete_part: {"facts-missing"},
    bring_back_part: {"not-purged"},
}


def test_the_purged_archive_verifies(old: Copy) -> None:
    """Without this a verification that always alarms would pass for a good one."""
    report = old.verify()
    assert report.problems == ()
    assert report.purged == 1
    assert "-purged-" in files(old)[0].name


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_on_what_is_archived_or_purged_is_named(
    old: Copy, old_scene: Scene, attack: Callable[[Copy, Scene], None]
) -> None:
    attack(old, old_scene)
    problems: Any = old.verify().problems
    assert ATTACKS[attack] <= {problem.code for problem in problems}, problems

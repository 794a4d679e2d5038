"""Random attacks: whatever is changed, it is found, and the entry named is one that was touched."""

import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from models.errors import PlatformError
from tests.attacks.history import Copy, Scene
from tests.attacks.random_changes import CHANGES, change_bundle, change_receipt

pytestmark = pytest.mark.xdist_group("attacks")

PLACES = (*CHANGES, "receipt", "bundle")


def attack(scene: Scene, folder: Path, seed: int) -> str:
    """Make one random attack on a copy; return what was attacked."""
    random = Random(seed)  # noqa: S311 - the same attacks each time
    place = random.choice(PLACES)
    if place == "receipt":
        assert change_receipt(random, scene), seed
        return place
    copy = scene.copy(folder / str(seed))
    try:
        if place == "bundle":
            assert change_bundle(random, scene, copy) & {"files", "manifest"}, seed
            return place
        change = CHANGES[place](random, copy, scene)
        found, named = find(copy)
        touched = change.leaf_indexes & named if change.leaf_indexes else set()
        assert touched or change.codes & found, (seed, change, found, named)
    finally:
        copy.database.close()
        shutil.rmtree(copy.settings.var.parent)
    return place


def find(copy: Copy) -> tuple[set[str], set[int | None]]:
    """Return the codes and leaf indexes that `candor verify` names; a refusal is a code alone."""
    try:
        problems = copy.verify().problems
    except PlatformError as error:
        return {error.code}, set()
    return {one.code for one in problems}, {one.leaf_index for one in problems}


def attack_all(scene: Scene, folder: Path, seeds: range) -> Counter[str]:
    return Counter(attack(scene, folder, seed) for seed in seeds)


def test_random_attacks_are_found_and_named(scene: Scene, tmp_path: Path) -> None:
    """Forty changes, no two alike."""
    attack_all(scene, tmp_path, range(40))


@pytest.mark.trial
def test_a_thousand_random_attacks_are_found_and_named(scene: Scene, tmp_path: Path) -> None:
    """A thousand on SQLite."""
    print(attack_all(scene, tmp_path, range(1_000, 2_000)))  # noqa: T201 - a trial reports


@pytest.mark.trial
@pytest.mark.both_databases
def test_random_attacks_are_found_on_either_database(scene: Scene, tmp_path: Path) -> None:
    """A hundred on each."""
    print(attack_all(scene, tmp_path, range(5_000, 5_100)))  # noqa: T201 - a trial reports

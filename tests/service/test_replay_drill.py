"""The drill on a copy of a store: what is planted is named, alone, on the command line and by HTTP.

One store holds a decision of each form. Files are altered on disk; code is altered in a copy of the
program, which then replays in a process of its own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from audit.versions import Versions, parse_versions
from models.bundle import save_bundle
from service.app import create_app
from service.auth import Role
from service.cli.application import application
from service.settings import Settings
from service.usecases.keys import create_key
from service.usecases.publish_outside import publish_outside
from service.usecases.records import find_decision
from service.wiring import open_platform
from tests.instructions import switched_off
from tests.models import examples
from tests.models.split.examples import example_order
from tests.oip_server import running_node
from tests.outside import NAME, outside_kind, outside_order
from tests.reports.bundles import decide, decide_order
from tests.service.listed import publish_listed
from tests.splits import publish_split

ROOT = str(Path(__file__).parents[2])
LISTED, SPLIT, OUTSIDE = "listed", "split", NAME


@dataclass(frozen=True)
class Drill:
    """A store with a decision of each form, to be copied.

    Parameters
    ----------
    var
        The folder.
    ids, made
        Kind to its decision's id, and to what made it.
    key
        An auditor's.
    """

    var: Path
    ids: dict[str, str]
    made: dict[str, Versions]
    key: str

    def copy(self, to: Path) -> Path:
        """Return a copy of the store."""
        return Path(shutil.copytree(self.var, to / "var"))

    def causes(self, told: dict[str, Any]) -> dict[str, set[str]]:
        """Return which factors a sample's replay names for each kind that differs."""
        kinds = {decision_id: kind for kind, decision_id in self.ids.items()}
        found: dict[str, set[str]] = {}
        for one in told["differences"]:
            factors = {cause["factor"] for cause in one["causes"]}
            found.setdefault(kinds[one["decision_id"]], set()).update(factors)
        assert told["identical"] == len(kinds) - len(found)
        return found


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Drill:
    var = tmp_path_factory.mktemp("drill") / "var"
    with (
        running_node() as node,
        open_platform(Settings(var=var, model_refresh_seconds=0)) as platform,
    ):
        publish_listed(platform)
        publish_split(platform)
        publish_outside(platform, outside_kind(node.url), actor="test", is_replacing=False)
        save_bundle(platform.settings.bundles, examples.bundle())
        ids = {
            LISTED: decide(platform, "P-1", stock=30.0),
            SPLIT: decide_order(platform, "split", example_order("two-parcels")),
            OUTSIDE: decide_order(platform, NAME, outside_order()),
        }
        facts = {kind: find_decision(platform, one).facts or b"" for kind, one in ids.items()}
        key = create_key(platform, "auditor", Role.AUDITOR, "test")[1]
    return Drill(var, ids, {kind: parse_versions(one) for kind, one in facts.items()}, key)


Plant = Callable[[Path, Drill], None]


def _bundle(var: Path, drill: Drill, kind: str) -> Path:
    return var / "bundles" / drill.made[kind].model.bundle.replace(":", "-")


def _document(folder: Path, digest: str) -> Path:
    return folder / f"{digest.replace(':', '-')}.json"


def in_bundle(kind: str, name: str) -> Plant:
    """Alter a file of a bundle."""

    def plant(var: Path, drill: Drill) -> None:
        path = _bundle(var, drill, kind) / name
        path.write_bytes(path.read_bytes() + b"\n")

    return plant


def in_policy(kind: str) -> Plant:
    """Alter a policy."""

    def plant(var: Path, drill: Drill) -> None:
        path = _document(var / "policies", drill.made[kind].policy.digest)
        path.write_bytes(path.read_bytes() + b"\n")

    return plant


def in_kind(var: Path, drill: Drill) -> None:
    """Alter the kind that a node serves."""
    path = _document(var / "kinds", drill.made[OUTSIDE].model.bundle)
    path.write_bytes(path.read_bytes() + b"\n")


def in_reference(var: Path, drill: Drill) -> None:
    """Alter a reference table."""
    [reference, *_] = drill.made[LISTED].surroundings.references
    path = _document(var / "references", reference.digest)
    path.write_bytes(path.read_bytes() + b"\n")


def other_bundle(var: Path, drill: Drill) -> None:
    """Put another bundle, whole in itself, in the place of the recorded one."""
    place = _bundle(var, drill, LISTED)
    shutil.rmtree(place)
    shutil.copytree(var / "bundles" / examples.bundle().digest.replace(":", "-"), place)


def both(*plants: Plant) -> Plant:
    """Plant several."""

    def plant(var: Path, drill: Drill) -> None:
        for one in plants:
            one(var, drill)

    return plant


ON_DISK: dict[str, tuple[Plant, dict[str, set[str]]]] = {
    "nothing": (both(), {}),
    "model": (in_bundle(LISTED, "model.txt"), {LISTED: {"model"}}),
    "another bundle": (other_bundle, {LISTED: {"model"}}),
    "calibration": (in_bundle(LISTED, "calibration.json"), {LISTED: {"calibration"}}),
    "policy": (in_policy(LISTED), {LISTED: {"policy"}}),
    "reference": (in_reference, {LISTED: {"reference version"}}),
    "split's model": (in_bundle(SPLIT, "model.txt"), {SPLIT: {"model"}}),
    "split's policy": (in_policy(SPLIT), {SPLIT: {"policy"}}),
    "node's kind": (in_kind, {OUTSIDE: {"model"}}),
    "node's policy": (in_policy(OUTSIDE), {OUTSIDE: {"policy"}}),
    "two of one": (
        both(in_bundle(LISTED, "calibration.json"), in_policy(LISTED)),
        {LISTED: {"calibration", "policy"}},
    ),
}


@pytest.mark.parametrize("name", ON_DISK)
def test_an_altered_file_is_named_alone(drill: Drill, tmp_path: Path, name: str) -> None:
    """Nothing is made from it; what was altered is named with its digest then and now."""
    plant, expected = ON_DISK[name]
    var = drill.copy(tmp_path)
    plant(var, drill)
    asked = ["replay", "--sample", "10", "--json", "--lang", "en", "--var", str(var)]
    done = CliRunner().invoke(application, asked)
    assert done.exit_code == bool(expected), done.output
    assert drill.causes(orjson.loads(done.stdout)) == expected


def test_people_and_programs_read_the_cause_in_their_language(drill: Drill, tmp_path: Path) -> None:
    """The same cause on the command line and by HTTP, in Chinese and in English."""
    var = drill.copy(tmp_path)
    for plant in (in_policy(LISTED), in_policy(SPLIT), in_policy(OUTSIDE)):
        plant(var, drill)
    run = CliRunner()
    with TestClient(create_app(Settings(var=var, log_level="error"))) as client:
        for kind, decision_id in drill.ids.items():
            for tag, word in (
                ("zh-CN", "策略 (policy): policy: 记录为 sha256:"),
                ("en", "policy: policy: sha256:"),
            ):
                headers = {"Authorization": f"Bearer {drill.key}", "Accept-Language": tag}
                answer = client.post(f"/v1/decisions/{decision_id}/replay", headers=headers)
                assert (answer.status_code, answer.headers["Content-Language"]) == (200, tag)
                said = answer.json()
                assert (said["match"], said["replayed"]) == (False, {}), kind
                assert said["cause"].startswith(word)
                digest = drill.made[kind].policy.digest
                assert [one["recorded"] for one in said["causes"]] == [digest]
                assert said["differences"] == [
                    {"path": "/policy/digest", "recorded": digest, "replayed": None}
                ]
                assert said["recorded"]["outcome"]
                assert "not decided again" in said["note"]
                told = run.invoke(
                    application, ["replay", decision_id, "--lang", tag, "--var", str(var)]
                )
                assert (told.exit_code, said["cause"] in told.stdout) == (1, True)


# File, what stands there, and what is planted.
Edit = tuple[str, str, str]
FEATURES: Edit = (
    "models/features.py",
    "return float(value) + 0.0 if",
    "return float(value) + 1.0 if",
)
LAST_BIT: Edit = (
    "models/scorer.py",
    "        return out\n",
    "        return np.nextafter(out, 9)\n",
)
LIBRARY: Edit = (
    "models/scorer.py",
    'return importlib.metadata.version("lightgbm")',
    'return "9.9"',
)
MACHINE: Edit = ("models/loaded.py", "machine=platform.machine()", 'machine="aarch64"')
IN_CODE: dict[str, tuple[list[Edit], dict[str, set[str]]]] = {
    "library": ([LAST_BIT, LIBRARY], {LISTED: {"library"}, SPLIT: {"library"}}),
    "CPU and feature code": (
        [LAST_BIT, MACHINE, FEATURES],
        {
            LISTED: {"CPU", "feature code"},
            SPLIT: {"CPU", "feature code"},
            OUTSIDE: {"feature code"},
        },
    ),
}


@pytest.mark.parametrize("name", IN_CODE)
def test_altered_code_is_named_alone(drill: Drill, tmp_path: Path, name: str) -> None:
    """Another program replays: its own features, library or processor."""
    edits, expected = IN_CODE[name]
    shutil.copytree(Path(ROOT) / "models", tmp_path / "models")
    for file, old, new in edits:
        path = tmp_path / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, file
        path.write_text(text.replace(old, new), encoding="utf-8")
    done = replay_apart(
        drill.copy(tmp_path), {"PYTHONPATH": os.pathsep.join((str(tmp_path), ROOT))}
    )
    assert done.returncode == 1, done.stderr
    assert drill.causes(orjson.loads(done.stdout)) == expected


def test_other_instructions_of_the_processor_give_the_same_bits(
    drill: Drill, tmp_path: Path
) -> None:
    """Decisions of every form, without fused multiply-add and wide vectors."""
    done = replay_apart(drill.copy(tmp_path), switched_off())
    assert done.returncode == 0, done.stderr
    assert orjson.loads(done.stdout) == {"replayed": 3, "identical": 3, "differences": []}


def replay_apart(var: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
    """Replay a store in a process of its own."""
    asked = ["replay", "--sample", "10", "--json", "--lang", "en", "--var", str(var)]
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *asked],
        cwd=var.parent,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )

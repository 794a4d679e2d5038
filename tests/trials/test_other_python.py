"""Replaying an evidence bundle elsewhere: under another Python, and with other instructions.

The bundle is made here, of whole orders from admission to split, of a node's decisions, and of what
people decided otherwise. Each Python gets an environment of its own from the lock file.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from models.domain import Json
from reports.evidence import EvidenceRequest
from service.settings import Settings
from service.usecases.chain import ChainAsk, decide_chain
from service.usecases.lines import Line
from service.usecases.publish_outside import publish_outside
from service.wiring import open_platform
from tests.instructions import switched_off
from tests.journeys.small_models import publish_built_in
from tests.oip_server import running_node
from tests.outside import NAME, outside_kind, outside_order
from tests.reports.bundles import REASON, decide_order, export, override
from tests.trials.chain_orders import build_chain_orders

ROOT = Path(__file__).parents[2]
_SEED: Final = 77


@dataclass(frozen=True)
class Bundle:
    """An exported bundle.

    Parameters
    ----------
    path, key
        The zip, and the log's verifier key.
    decisions
        How many decisions it holds.
    """

    path: Path
    key: str
    decisions: int


def make_bundle(folder: Path, orders: int) -> Bundle:
    """Decide orders from admission to split, some by a node, override some, export all."""
    settings = Settings(var=folder / "var", model_refresh_seconds=0)
    with running_node() as node, open_platform(settings) as opened:
        for kind in ("admission", "risk", "split"):
            publish_built_in(opened, kind)
        publish_outside(opened, outside_kind(node.url), actor="test", is_replacing=False)
        ids: list[str] = []
        admitted: list[str] = []
        for order in build_chain_orders(orders, _SEED):
            ask = ChainAsk("trial", "trial", "en")
            said = decide_chain(opened, ask, Line(orjson.dumps(order)))
            ids += _ids(said["decisions"])
            admitted += _ids(said["decisions"])[:1]
        ids += [
            decide_order(opened, NAME, outside_order(order_id=f"F-{number}", drop_height_cm=number))
            for number in range(orders // 10)
        ]
        for decision_id in admitted[::5]:
            override(opened, decision_id)
        key = opened.signer.verifier_key
    path = folder / "all.zip"
    exported = export(settings, path, EvidenceRequest(reason=REASON))
    assert exported["decisions"] == len(ids)
    return Bundle(path, key, len(ids))


def _ids(decisions: Json) -> list[str]:
    assert isinstance(decisions, list)
    return [str(one["decision_id"]) for one in decisions if isinstance(one, dict)]


def find_python(version: str) -> str:
    """Return a Python of another minor version, or skip."""
    uv = find_uv()
    found = subprocess.run(
        [uv, "python", "find", "--no-project", "--no-python-downloads", version],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode:
        pytest.skip(f"no Python {version} on this machine")
    return found.stdout.strip()


def find_uv() -> str:
    """Return uv, which makes environments from the lock file, or skip."""
    own = ROOT / ".tools" / "bin" / "uv"
    found = str(own) if own.is_file() else shutil.which("uv")
    if found is None:
        pytest.skip("uv is not here; `make setup` installs it")
    return found


def replay(program: list[str], bundle: Bundle, environment: dict[str, str]) -> dict[str, Any]:
    """Verify and replay the bundle with another program, and return what it says."""
    done = subprocess.run(
        [*program, "verify", str(bundle.path), "--key", bundle.key, "--replay", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("elsewhere"), 250)


@pytest.mark.trial
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_another_python_replays_every_decision(
    bundle: Bundle, tmp_path: Path, version: str
) -> None:
    """Bit for bit; what is not would have its cause named."""
    python = find_python(version)
    place = tmp_path / "environment"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    made = subprocess.run(
        [find_uv(), "sync", "--frozen", "--no-dev", "--python", python],
        cwd=ROOT,
        env={**clean, "UV_PROJECT_ENVIRONMENT": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no environment for Python {version}: {made.stderr.strip()[-300:]}")
    said = replay([str(place / "bin" / "candor")], bundle, clean)
    _report(version, said)
    assert said["ok"], said["problems"]
    assert said["replay"] == {
        "replayed": bundle.decisions,
        "identical": bundle.decisions,
        "differences": [],
    }


@pytest.mark.trial
@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13"])
def test_another_python_verifies_without_any_package(
    bundle: Bundle, tmp_path: Path, version: str
) -> None:
    """The bundle's own verify.py, in an empty directory, isolated and without site packages."""
    python = find_python(version)
    with zipfile.ZipFile(bundle.path) as packed:
        packed.extract("verify.py", tmp_path)
    done = subprocess.run(
        [python, "-I", "-S", "verify.py", "--key", bundle.key, str(bundle.path)],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.trial
def test_another_processor_replays_every_decision(bundle: Bundle) -> None:
    """Without fused multiply-add and wide vectors, as the C library and NumPy would then choose."""
    said = replay([sys.executable, "-m", "service.cli"], bundle, {**os.environ, **switched_off()})
    _report("other instructions", said)
    assert said["ok"], said["problems"]
    assert (said["replay"]["replayed"], said["replay"]["differences"]) == (bundle.decisions, [])


def _report(where: str, said: dict[str, Any]) -> None:
    result = said["replay"]
    sys.stdout.write(f"\n{where}: {result['replayed']} replayed, {result['identical']} identical\n")

"""The registry of a finished run, read from a copy of its folder."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.scorer import Scorer
from tests.training.conftest import NOW, Trained
from tests.training.kinds import shipment
from training.errors import RegistryError
from training.registry import (
    CHAMPION,
    _client,
    _load_mlflow,
    artifacts_folder,
    mirror_alias,
)


@pytest.fixture
def copied(shipment_run: Trained, tmp_path: Path) -> Path:
    """Return a copy of var: whatever passes on it holds no absolute place."""
    return Path(shutil.copytree(shipment_run.var, tmp_path / "copy"))


def test_registry_holds_the_run_and_the_version(shipment_run: Trained, copied: Path) -> None:
    result = shipment_run.result
    client = _client(_load_mlflow(), copied)
    recorded = client.get_run(result.run_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.info.start_time == int(NOW.timestamp() * 1000)
    assert recorded.data.metrics["auc"] == result.metrics["auc"]
    assert recorded.data.metrics["gate.additivity"] < 1e-9
    assert recorded.data.params["learning_rate"] == "0.1"
    assert recorded.data.tags["dataset"] == result.dataset_digest
    assert recorded.inputs.dataset_inputs[0].dataset.source == result.dataset_digest
    registered = client.get_model_version("shipment", result.version)
    assert registered.run_id == result.run_id
    assert registered.tags["bundle"] == result.bundle.digest
    assert registered.tags["gates"] == "passed"


def test_no_place_in_the_registry_is_absolute(shipment_run: Trained) -> None:
    content = (shipment_run.var / "mlflow" / "mlflow.db").read_bytes()
    assert b"mlflow-artifacts:/shipment/" in content
    assert str(shipment_run.var).encode() not in content


def test_files_of_the_run_lie_where_the_server_looks(shipment_run: Trained, copied: Path) -> None:
    result = shipment_run.result
    recorded = _client(_load_mlflow(), copied).get_run(result.run_id)
    folder = artifacts_folder(copied) / recorded.info.artifact_uri.removeprefix(
        "mlflow-artifacts:/"
    )
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"card.html", "card.json", "plots/beeswarm.png", "plots/reliability.png"}


def test_registered_model_loads_by_its_flavour_and_signature(
    shipment_run: Trained, copied: Path
) -> None:
    result = shipment_run.result
    mlflow = _load_mlflow()
    registered = _client(mlflow, copied).get_model_version("shipment", result.version)
    folder = artifacts_folder(copied) / registered.source.removeprefix("mlflow-artifacts:/")
    described = mlflow.models.Model.load(str(folder / "MLmodel"))
    assert described.signature.inputs.input_names() == [f.name for f in shipment().features]
    assert described.run_id == result.run_id
    assert not [path for path in folder.rglob("*") if path.suffix in {".pkl", ".pickle"}]
    flavour = importlib.import_module("mlflow.lightgbm")
    row = np.array([[10.0, 3.0, 1.0, 0.0, 2.0]])
    served = Scorer(result.bundle.model_text, 5).score(row).margins
    assert flavour.load_model(str(folder)).predict(row, raw_score=True).tolist() == served.tolist()


def test_alias_mirrors_a_version(shipment_run: Trained, copied: Path) -> None:
    version = shipment_run.result.version
    mirror_alias(copied, "shipment", version)
    client = _client(_load_mlflow(), copied)
    assert str(client.get_model_version_by_alias("shipment", CHAMPION).version) == version
    with pytest.raises(RegistryError, match="shipment version 99"):
        mirror_alias(copied, "shipment", "99")


def test_telemetry_is_off() -> None:
    code = (
        "from training.registry import _load_mlflow; _load_mlflow();"
        "from mlflow.telemetry.utils import is_telemetry_disabled;"
        "raise SystemExit(0 if is_telemetry_disabled() else 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

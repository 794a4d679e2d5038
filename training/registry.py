"""The model registry: the only place that knows MLflow.

Runs and versions are kept in SQLite and their files beside it, below ``var/mlflow``. Nothing here
makes a model live: the alias `champion` only mirrors the log's publication entry.

Notes
-----
Artifact places are stored as ``mlflow-artifacts:/…``: relative to whatever folder the MLflow server
is started on (``--serve-artifacts --artifacts-destination var/mlflow/artifacts``), and the files
are written where that server looks for them. An absolute path would break when `var` is copied.
The model is LightGBM's text in MLflow's lightgbm flavour: no pickle.
"""

import fcntl
import importlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from models.bundle import Bundle
from models.kind import Kind
from training.errors import RegistryError

CHAMPION = "champion"
_SCHEME = "mlflow-artifacts:/"
_DATASET_DIGEST_LENGTH = 32
_LONGEST_PARAM = 500
_MODEL_FILE = "model.lgb"


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a model was registered: training run and version of the kind's model."""

    run_id: str
    version: str


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """What a training run leaves in the registry.

    Parameters
    ----------
    bundle
        The trained model.
    params
        Name to value of everything that shaped the run.
    metrics
        Name to value.
    tags
        Name to text.
    dataset_name, dataset_digest
        What it learned from.
    files
        Relative path to content: model card, plots.
    started_at, ended_at
        Aware UTC.
    """

    bundle: Bundle
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    dataset_name: str
    dataset_digest: str
    files: Mapping[str, bytes]
    started_at: datetime
    ended_at: datetime


def register(var: Path, record: TrainingRecord) -> Registered:
    """Write a run and register its model as the next version of the kind.

    Parameters
    ----------
    var
        Folder of everything that a run writes.
    record
        What to write.
    """
    mlflow = _load_mlflow()
    with _one_writer(var):
        return _register(mlflow, var, record)


def _register(mlflow: ModuleType, var: Path, record: TrainingRecord) -> Registered:
    client = _client(mlflow, var)
    name = record.bundle.kind.name
    # 1. The run: params, metrics, dataset and files.
    run = client.create_run(
        _experiment(client, name),
        start_time=_milliseconds(record.started_at),
        run_name=f"{name} {record.started_at:%Y-%m-%d %H:%M}",
        tags=dict(record.tags),
    )
    run_id = run.info.run_id
    _log_values(mlflow, client, run_id, record)
    for place, content in record.files.items():
        _write(_folder(var, run.info.artifact_uri) / place, content)
    # 2. The model with its signature.
    model = client.create_logged_model(run.info.experiment_id, name=name, source_run_id=run_id)
    _save_model(mlflow, _folder(var, model.artifact_location), record.bundle, model)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [mlflow.entities.LoggedModelOutput(model.model_id, step=0)])
    client.set_terminated(run_id, "FINISHED", _milliseconds(record.ended_at))
    # 3. The version.
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=record.bundle.kind.title.en)
    version = client.create_model_version(
        name,
        source=model.artifact_location,
        run_id=run_id,
        model_id=model.model_id,
        tags={**record.tags, "bundle": record.bundle.digest},
    )
    return Registered(run_id, str(version.version))


def mirror_alias(var: Path, name: str, version: str) -> None:
    """Point the alias `champion` at the version that the log says is live.

    Parameters
    ----------
    var
        Folder of everything that a run writes.
    name, version
        Registered model and version.

    Raises
    ------
    RegistryError
        When the registry has no such version.
    """
    mlflow = _load_mlflow()
    try:
        with _one_writer(var):
            _client(mlflow, var).set_registered_model_alias(name, CHAMPION, version)
    except mlflow.exceptions.MlflowException as error:
        raise RegistryError(f"{name} version {version}: {error}") from error


@contextmanager
def _one_writer(var: Path) -> Iterator[None]:
    # Two trainings that start on a new folder would both create MLflow's tables.
    folder = artifacts_folder(var).parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "registry.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def tracking_uri(var: Path) -> str:
    """Return the URI of the registry's database below `var`.

    Examples
    --------
    >>> tracking_uri(Path("/data"))
    'sqlite:////data/mlflow/mlflow.db'
    """
    return f"sqlite:///{var.absolute() / 'mlflow' / 'mlflow.db'}"


def artifacts_folder(var: Path) -> Path:
    """Return the folder that the MLflow server must be given as its artifacts destination."""
    return var / "mlflow" / "artifacts"


def _load_mlflow() -> ModuleType:
    """Import MLflow, which takes seconds, without telemetry."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # Its database set-up reports every migration; none of it says anything to a reader.
    for chatty in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for part in ("mlflow.entities", "mlflow.models", "mlflow.types.schema"):
        importlib.import_module(part)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
        importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    return importlib.import_module("mlflow")


def _client(mlflow: ModuleType, var: Path) -> Any:  # noqa: ANN401 - MLflow is imported at run time
    artifacts_folder(var).mkdir(parents=True, exist_ok=True)
    uri = tracking_uri(var)
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def _experiment(client: Any, name: str) -> str:  # noqa: ANN401 - see _client
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=_SCHEME + name))


def _log_values(
    mlflow: ModuleType,
    client: Any,  # noqa: ANN401 - see _client
    run_id: str,
    record: TrainingRecord,
) -> None:
    entities = mlflow.entities
    now = _milliseconds(record.ended_at)
    client.log_batch(
        run_id,
        metrics=[entities.Metric(key, value, now, 0) for key, value in record.metrics.items()],
        params=[
            entities.Param(key, str(value)[:_LONGEST_PARAM]) for key, value in record.params.items()
        ],
    )
    dataset = entities.Dataset(
        name=record.dataset_name,
        digest=record.dataset_digest.removeprefix("sha256:")[:_DATASET_DIGEST_LENGTH],
        source_type="local",
        source=record.dataset_digest,
    )
    context = entities.InputTag("mlflow.data.context", "training")
    client.log_inputs(run_id, [entities.DatasetInput(dataset, [context])])


def _save_model(
    mlflow: ModuleType,
    folder: Path,
    bundle: Bundle,
    model: Any,  # noqa: ANN401 - see _client
) -> None:
    """Write the model in MLflow's lightgbm flavour, as its own save_model would."""
    described = mlflow.models.Model(
        artifact_path=model.artifact_location,
        run_id=model.source_run_id,
        model_id=model.model_id,
        signature=_signature(mlflow, bundle.kind),
    )
    described.add_flavor(
        "lightgbm",
        lgb_version=bundle.libraries["lightgbm"],
        data=_MODEL_FILE,
        model_class="lightgbm.basic.Booster",
        code=None,
    )
    described.add_flavor(
        "python_function", loader_module="mlflow.lightgbm", data=_MODEL_FILE, env={}
    )
    _write(folder / _MODEL_FILE, bundle.model_text.encode())
    _write(folder / "requirements.txt", f"lightgbm=={bundle.libraries['lightgbm']}\n".encode())
    described.save(str(folder / "MLmodel"))


def _signature(mlflow: ModuleType, kind: Kind) -> Any:  # noqa: ANN401 - see _client
    types = mlflow.types.schema
    inputs = [types.ColSpec("double", feature.name, required=False) for feature in kind.features]
    return mlflow.models.ModelSignature(
        inputs=types.Schema(inputs), outputs=types.Schema([types.ColSpec("double")])
    )


def _folder(var: Path, uri: str) -> Path:
    """Return where the MLflow server keeps what it calls `uri`."""
    return artifacts_folder(var) / uri.removeprefix(_SCHEME)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)

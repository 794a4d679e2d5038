"""One small model, trained once: setting up a registry takes seconds."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.training.kinds import shipment, shipments
from training.pipeline import TrainingResult, run

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Trained:
    """A finished run, where it wrote, and the steps that it told of."""

    result: TrainingResult
    var: Path
    steps: tuple[str, ...]


@pytest.fixture(scope="session")
def shipment_run(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    var = tmp_path_factory.mktemp("var")
    steps: list[str] = []
    result = run(
        shipment(),
        shipments(4000),
        seed=3,
        var=var,
        now=lambda: NOW,
        on_progress=lambda step, _done: steps.append(step),
    )
    return Trained(result, var, tuple(dict.fromkeys(steps)))

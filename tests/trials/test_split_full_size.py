"""The split's model at full size, on simulated legs of another seed: calibration and truth."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from models.scorer import Scorer
from models.split.request import split_kind
from training.calibrate import probabilities_of
from training.dataset import build_dataset, encode_dataset
from training.pipeline import TrainingResult, run, source_of_simulation
from training.simulation.truth import explanation_truth
from training.simulator import Simulation, simulate

pytestmark = pytest.mark.trial
_ORDERS: Final = 120_000
_OTHER_ORDERS: Final = 60_000
_LATER: Final = 20_000
_REFUSED: Final = 2_000
_SEED, _OTHER_SEED = 1, 4711
_BAND: Final = 2.5758293035489004


@dataclass(frozen=True, slots=True)
class Judged:
    """A model on legs that neither it nor its calibration has seen."""

    result: TrainingResult
    simulation: Simulation
    margins: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]
    contributions: npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    kind = split_kind()
    result = run(
        kind,
        source_of_simulation(simulate("split", _ORDERS, _SEED), _SEED),
        seed=_SEED,
        var=tmp_path_factory.mktemp("split"),
        now=lambda: datetime(2026, 3, 1, tzinfo=UTC),
    )
    simulation = simulate("split", _OTHER_ORDERS, _OTHER_SEED)
    dataset = build_dataset(kind, source_of_simulation(simulation, _OTHER_SEED))
    matrix = encode_dataset(dataset, result.bundle.categories)
    scores = Scorer(result.bundle.model_text, matrix.shape[1]).score(matrix, 1)
    probabilities = probabilities_of(result.bundle.calibration, scores.margins)
    return Judged(result, simulation, scores.margins, probabilities, scores.contributions)


def test_the_model_passes_its_gates_and_stays_below_the_best_possible(judged: Judged) -> None:
    _print(f"split: {judged.result.metrics}, Bayes AUC {judged.simulation.bayes_auc:.4f}")
    assert judged.result.failed_gates() == ()
    assert 0.86 <= judged.result.metrics["auc"] <= judged.simulation.bayes_auc <= 0.92


def test_probabilities_are_frequencies(judged: Judged) -> None:
    """On the last months of unseen legs the ECE is small and at most one decile is off."""
    probabilities = judged.probabilities[-_LATER:]
    labels = judged.simulation.labels[-_LATER:]
    error, outside = 0.0, 0
    for part in np.array_split(np.argsort(judged.margins[-_LATER:], kind="stable"), 10):
        mean, seen = probabilities[part].mean(), labels[part].mean()
        band = _BAND * np.sqrt(mean * (1 - mean) / len(part))
        outside += bool(abs(seen - mean) > band)
        error += abs(seen - mean) * len(part) / len(labels)
        _print(f"split: {mean:.4f} {seen:.4f} band {band:.4f}")
    _print(f"split: ECE {error:.4f}, {outside} of 10 deciles outside")
    assert error <= 0.02
    assert outside <= 1


def test_explanations_name_the_true_drivers(judged: Judged) -> None:
    """Of 2,000 legs that are likely late, 95 % show the strongest true driver among the first."""
    kind, simulation = split_kind(), judged.simulation
    late = np.flatnonzero(judged.probabilities >= kind.policy.adverse_at)[:_REFUSED]
    assert len(late) == _REFUSED
    said = [
        judged.contributions[late][:, [f.group == driver for f in kind.features]].sum(axis=1)
        for driver in simulation.drivers
    ]
    true = [simulation.true_effects[driver][late] for driver in simulation.drivers]
    truth = explanation_truth(simulation.drivers, np.transpose(said), np.transpose(true))
    _print(truth.text())
    assert truth.strongest_in_top_3 >= 0.95
    assert truth.top_is_true >= 0.90


def _print(text: object) -> None:
    sys.stderr.write(f"{text}\n")

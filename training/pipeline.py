"""The main path of this package: labelled orders become a registered model.

Numbered steps, each a function of the module it is named after. The same orders and seed give the
same bundle, to the byte. Nothing is published here: the caller appends the publication entry to the
log and then mirrors the registry's alias.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from models.bundle import Bundle, Explainer, build_bundle, save_bundle, save_policy
from models.conformal import build_conformal
from models.domain import Json, PolicyRef
from models.features import feature_code
from models.kind import Kind
from models.scorer import EXPLAINER_ID, Matrix, Scorer, lightgbm_version
from training.baseline import baseline_probabilities
from training.calibrate import calibrate, probabilities_of
from training.card import CardInput, build_card, draw_beeswarm, draw_reliability, render_card
from training.dataset import (
    Dataset,
    Parts,
    Progress,
    Rows,
    build_dataset,
    category_tables,
    encode_dataset,
    ignore_progress,
    matrix_digest,
    split_parts,
)
from training.evaluate import Evaluation, evaluate
from training.fit import FittedTrees, fit_trees, predict_margins
from training.gates import Checks, Gate, check_gates, metrics_of
from training.registry import TrainingRecord, register
from training.second_opinion import SecondOpinion
from training.simulation.truth import explanation_truth
from training.source import Labels, Source, source_of_simulation, source_of_table

__all__ = ["Source", "TrainingResult", "run", "source_of_simulation", "source_of_table"]

_EXPLAINED_ROWS = 1_000
_SECOND_OPINION_ROWS = 200
_INTERACTION_ROWS = 60
_TRUTH_ROWS = 2_000
_THREADS = 1


@dataclass(frozen=True, slots=True)
class _Prepared:
    dataset: Dataset
    parts: Parts
    categories: dict[str, tuple[str, ...]]
    matrix: Matrix

    def labelled(self, rows: Rows) -> tuple[Matrix, Labels]:
        return self.matrix[rows], self.dataset.labels[rows]


@dataclass(frozen=True, slots=True)
class _Trained:
    fitted: FittedTrees
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class _Judged:
    checks: Checks
    gates: tuple[Gate, ...]
    sample: Matrix
    interactions: npt.NDArray[np.float64]
    truth: dict[str, Json] | None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained and registered model, not yet published.

    Parameters
    ----------
    bundle, policy
        As saved below ``var/bundles`` and ``var/policies``.
    metrics
        auc, logloss, brier, ece with ``_low`` and ``_high`` ends of their 95 % intervals, and the
        logistic regression's figures.
    evaluation, gates, card
        How it was judged, and the model card as JSON data.
    run_id, version
        In the registry, under the kind's name.
    dataset_digest
        What it learned from.
    """

    bundle: Bundle
    policy: PolicyRef
    metrics: dict[str, float]
    evaluation: Evaluation
    gates: tuple[Gate, ...]
    card: dict[str, Json]
    run_id: str
    version: str
    dataset_digest: str

    def failed_gates(self) -> tuple[Gate, ...]:
        """Return the gates that forbid publishing."""
        return tuple(gate for gate in self.gates if not gate.passed)


def run(
    kind: Kind,
    source: Source,
    *,
    seed: int,
    var: Path,
    now: Callable[[], datetime],
    on_progress: Progress = ignore_progress,
) -> TrainingResult:
    """Train, judge and register a model of a kind.

    Parameters
    ----------
    kind
        What is decided.
    source
        Labelled orders; see `source_of_table` and `source_of_simulation`.
    seed
        Of a random split, the trees and the bootstrap.
    var
        Folder of everything that a run writes.
    now
        Returns the time, aware UTC.
    on_progress
        Called with a step's name and the part of it that is done, 0 to 1.

    Raises
    ------
    TrainingError
        When the orders, the labels or the kind do not allow it.
    """
    started_at = now()
    # 1. Compute the features as serving does, split the rows, encode the categories.
    prepared = _prepare(kind, source, seed, on_progress)
    # 2. Fit the trees, calibrate them on rows that they have not seen, put the bundle together.
    trained = _train(prepared, seed, on_progress)
    # 3. Judge it on the test part, explain a sample twice, hold it to its gates.
    on_progress("evaluation", 0.0)
    judged = _judge(prepared, trained, source, seed)
    # 4. Write the card.
    on_progress("card", 0.0)
    card = build_card(
        _card_input(prepared, trained, judged, source=source, seed=seed, trained_at=started_at)
    )
    images = {
        "beeswarm": draw_beeswarm(kind, judged.sample, judged.checks.scores.contributions),
        "reliability": draw_reliability(judged.checks.evaluation),
    }
    # 5. Keep the bundle and the policy, and register the run.
    on_progress("registry", 0.0)
    save_bundle(var / "bundles", trained.bundle)
    policy = save_policy(var / "policies", kind.policy)
    metrics = metrics_of(judged.checks)
    registered = register(
        var,
        TrainingRecord(
            bundle=trained.bundle,
            params={
                **trained.fitted.params,
                "rounds": trained.fitted.rounds,
                "source": source.name,
            },
            metrics={**metrics, **{f"gate.{gate.name}": gate.measured for gate in judged.gates}},
            tags=_tags(prepared.dataset, policy, judged.gates),
            dataset_name=source.name,
            dataset_digest=prepared.dataset.digest,
            files={
                "card.json": orjson.dumps(card, option=orjson.OPT_INDENT_2),
                "card.html": render_card(card, images).encode(),
                **{f"plots/{name}.png": content for name, content in images.items()},
            },
            started_at=started_at,
            ended_at=now(),
        ),
    )
    on_progress("registry", 1.0)
    return TrainingResult(
        bundle=trained.bundle,
        policy=policy,
        metrics=metrics,
        evaluation=judged.checks.evaluation,
        gates=judged.gates,
        card=card,
        run_id=registered.run_id,
        version=registered.version,
        dataset_digest=prepared.dataset.digest,
    )


def _prepare(kind: Kind, source: Source, seed: int, on_progress: Progress) -> _Prepared:
    dataset = build_dataset(kind, source, on_progress)
    parts = split_parts(dataset, seed)
    categories = category_tables(dataset, parts.fit)
    return _Prepared(dataset, parts, categories, encode_dataset(dataset, categories))


def _train(prepared: _Prepared, seed: int, on_progress: Progress) -> _Trained:
    kind, parts = prepared.dataset.kind, prepared.parts
    fitted = fit_trees(
        kind, prepared.labelled(parts.fit), prepared.labelled(parts.stop), seed, on_progress
    )
    on_progress("calibration", 0.0)
    calibration_rows, calibration_labels = prepared.labelled(parts.calibration)
    margins = predict_margins(fitted.model_text, calibration_rows)
    calibration = calibrate(margins, calibration_labels)
    bundle = build_bundle(
        kind=kind,
        model_text=fitted.model_text,
        calibration=calibration,
        conformal=build_conformal(margins.tolist(), calibration_labels.tolist()),
        categories=prepared.categories,
        explainer=Explainer(EXPLAINER_ID, lightgbm_version()),
        background_digest=matrix_digest(prepared.matrix[parts.fit]),
        feature_code=feature_code(),
        libraries={name: version(name) for name in ("lightgbm", "numpy", "scikit-learn")},
    )
    return _Trained(fitted, bundle)


def _judge(prepared: _Prepared, trained: _Trained, source: Source, seed: int) -> _Judged:
    kind, parts, model_text = prepared.dataset.kind, prepared.parts, trained.fitted.model_text
    test_matrix, test_labels = prepared.labelled(parts.test)
    margins = predict_margins(model_text, test_matrix)
    probabilities = probabilities_of(trained.bundle.calibration, margins)
    learned = prepared.labelled(np.concatenate([parts.fit, parts.stop]))
    sample = test_matrix[_draw(len(test_matrix), _EXPLAINED_ROWS, seed)]
    scorer, opinion = Scorer(model_text, test_matrix.shape[1]), SecondOpinion(model_text)
    checks = Checks(
        evaluation=evaluate(kind, margins, probabilities, test_labels, seed),
        margins=margins,
        probabilities=probabilities,
        labels=test_labels,
        baseline=baseline_probabilities(kind, learned, test_matrix),
        scores=scorer.score(sample, _THREADS),
        second_opinion=opinion.attributions(sample[:_SECOND_OPINION_ROWS]),
    )
    return _Judged(
        checks=checks,
        gates=check_gates(checks, seed),
        sample=sample,
        interactions=opinion.interactions(sample[:_INTERACTION_ROWS]),
        truth=_truth(prepared, source, scorer, probabilities),
    )


def _truth(
    prepared: _Prepared, source: Source, scorer: Scorer, probabilities: Matrix
) -> dict[str, Json] | None:
    """Compare the explanations of refused test orders with what really drove them, if known."""
    kind, test = prepared.dataset.kind, prepared.parts.test
    refused = test[probabilities >= kind.policy.adverse_at][-_TRUTH_ROWS:]
    if source.true_effects is None or not len(refused):
        return None
    effects = source.true_effects
    contributions = scorer.score(prepared.matrix[refused], _THREADS).contributions
    drivers = tuple(effects)
    said = [
        contributions[:, [feature.group == driver for feature in kind.features]].sum(axis=1)
        for driver in drivers
    ]
    true = [effects[driver][refused] for driver in drivers]
    return explanation_truth(drivers, np.transpose(said), np.transpose(true)).figures()


def _draw(n_rows: int, most: int, seed: int) -> Rows:
    """Draw at most `most` row indices without repetition."""
    return np.random.default_rng(seed).permutation(n_rows)[:most].astype(np.int64)


def _card_input(
    prepared: _Prepared,
    trained: _Trained,
    judged: _Judged,
    *,
    source: Source,
    seed: int,
    trained_at: datetime,
) -> CardInput:
    return CardInput(
        bundle=trained.bundle,
        fitted=trained.fitted,
        evaluation=judged.checks.evaluation,
        gates=judged.gates,
        source=source,
        dataset=prepared.dataset,
        parts=prepared.parts,
        sample=judged.sample,
        contributions=judged.checks.scores.contributions,
        interactions=judged.interactions,
        explanation_truth=judged.truth,
        seed=seed,
        trained_at=trained_at,
    )


def _tags(dataset: Dataset, policy: PolicyRef, gates: tuple[Gate, ...]) -> dict[str, str]:
    failed = [gate.name for gate in gates if not gate.passed]
    return {
        "dataset": dataset.digest,
        "policy": policy.digest,
        "gates": f"failed: {', '.join(failed)}" if failed else "passed",
    }

"""Fitting the trees: LightGBM, reproducible to the byte, monotone where the kind says so.

The number of trees is found on a fold of its own. Probabilities are not calibrated here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import lightgbm
import numpy as np

from models.kind import Kind
from models.scorer import Matrix
from training.dataset import Progress, ignore_progress
from training.errors import TrainingError
from training.source import Labels

Params = dict[str, float | int | str | bool]
_REPORT_EVERY = 20
_ROUNDS, _PATIENCE = "num_iterations", "early_stopping_round"
DEFAULTS: Params = {
    _ROUNDS: 1_000,
    _PATIENCE: 40,
    "learning_rate": 0.08,
    "num_leaves": 8,
    "min_data_in_leaf": 100,
    "min_sum_hessian_in_leaf": 2.0,
    "lambda_l2": 2.0,
    "feature_fraction": 0.8,
    "bagging_fraction": 1.0,
    "max_bin": 255,
    "cat_smooth": 20.0,
    "monotone_constraints_method": "intermediate",
    "num_threads": 1,
}
# What makes a model reproducible, explainable and servable is not for a kind to say.
_FIXED: Params = {
    "objective": "binary",
    "metric": "binary_logloss",
    "deterministic": True,
    "force_row_wise": True,
    "linear_tree": False,
    "boost_from_average": True,
    "verbosity": -1,
}


@dataclass(frozen=True, slots=True)
class FittedTrees:
    """A fitted model as text.

    Parameters
    ----------
    model_text
        LightGBM text model, cut at the best round.
    rounds
        Number of trees.
    params
        All parameters used.
    """

    model_text: str
    rounds: int
    params: Params


def fit_trees(
    kind: Kind,
    fit: tuple[Matrix, Labels],
    stop: tuple[Matrix, Labels],
    seed: int,
    on_progress: Progress = ignore_progress,
) -> FittedTrees:
    """Fit the trees of one model.

    Parameters
    ----------
    kind
        Feature names, categories, monotone directions and `training.params`.
    fit
        Matrix of shape ``(n_rows, n_features)`` and labels to learn from.
    stop
        Likewise, to find the number of trees.
    seed
        Makes the run repeatable.
    on_progress
        Called with ``"trees"`` and the part done, 0 to 1.

    Raises
    ------
    TrainingError
        When the kind's parameters are refused.
    """
    params = build_params(kind, seed)
    rounds, patience = int(params[_ROUNDS]), int(params[_PATIENCE])
    settings = {
        **{name: value for name, value in params.items() if name not in {_ROUNDS, _PATIENCE}},
        **_constraints(kind),
    }
    learning, stopping = (_lightgbm_data(kind, *part) for part in (fit, stop))
    stopping.reference = learning
    try:
        booster = lightgbm.train(
            settings,
            learning,
            num_boost_round=rounds,
            valid_sets=[stopping],
            callbacks=[
                lightgbm.early_stopping(patience, verbose=False),
                _reporter(on_progress, rounds),
            ],
        )
    except lightgbm.basic.LightGBMError as error:
        raise TrainingError(f"LightGBM: {error}") from error
    best = booster.best_iteration
    return FittedTrees(booster.model_to_string(num_iteration=best), best, params)


def build_params(kind: Kind, seed: int) -> Params:
    """Return the parameters of a run: the defaults, the kind's own, and those that are fixed.

    Raises
    ------
    TrainingError
        When the kind sets a parameter that it may not.
    """
    own: Mapping[str, float | int | str | bool] = kind.training.params
    refused = sorted(name for name in own if name in _FIXED or name == "seed")
    if refused:
        raise TrainingError(
            f"training.params may not set {', '.join(refused)}",
            "Remove the parameter from the kind; it keeps models reproducible.",
        )
    return {**DEFAULTS, **own, **_FIXED, "seed": seed}


def predict_margins(model_text: str, matrix: Matrix, threads: int = 2) -> Matrix:
    """Return log-odds, shape ``(n_rows,)``; the same bits as `models.scorer`."""
    booster = lightgbm.Booster(model_str=model_text)
    margins = booster.predict(matrix, raw_score=True, num_threads=threads)
    return np.asarray(margins, dtype=np.float64)


def _constraints(kind: Kind) -> dict[str, list[int]]:
    directions = [0 if f.type == "category" else int(f.monotone) for f in kind.features]
    return {"monotone_constraints": directions} if any(directions) else {}


def _lightgbm_data(kind: Kind, matrix: Matrix, labels: Labels) -> lightgbm.Dataset:
    return lightgbm.Dataset(
        matrix,
        label=labels.astype(np.float64),
        feature_name=[feature.name for feature in kind.features],
        categorical_feature=[f.name for f in kind.features if f.type == "category"],
    )


def _reporter(
    on_progress: Progress, rounds: int
) -> Callable[[lightgbm.callback.CallbackEnv], None]:
    def report(state: lightgbm.callback.CallbackEnv) -> None:
        if state.iteration % _REPORT_EVERY == 0:
            on_progress("trees", state.iteration / rounds)

    return report

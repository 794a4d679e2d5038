"""shap's own tree kernel as a second opinion on the attributions, and its interaction values.

For LightGBM models shap's TreeExplainer normally hands the work back to LightGBM, which would be no
opinion at all. Here its own C kernel is used, on the same trees.

Notes
-----
shap's kernel holds a categorical split as a 32-bit mask, too narrow for real tables. Every row is
therefore explained by itself: for one row each categorical split has one answer, so it is written
as a numerical threshold of plus or minus infinity, which leaves the Shapley values as they are.
Where LightGBM saw no missing value in a feature it reads one as 0, so the rows say 0 there.
"""

import importlib
import warnings
from dataclasses import dataclass
from types import ModuleType

import lightgbm
import numpy as np
import numpy.typing as npt

from models.scorer import Matrix


@dataclass(frozen=True, slots=True)
class _CategorySplit:
    tree: int
    node: int
    feature: int
    codes: frozenset[int]


def load_shap() -> ModuleType:
    """Import shap, which takes seconds and calls what matplotlib is about to retire."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"The set_\w+ function", PendingDeprecationWarning)
        return importlib.import_module("shap")


class SecondOpinion:
    """shap's tree kernel over one model.

    Parameters
    ----------
    model_text
        LightGBM text model.
    """

    def __init__(self, model_text: str) -> None:
        booster = lightgbm.Booster(model_str=model_text)
        self._explainer = load_shap().TreeExplainer(
            booster, feature_perturbation="tree_path_dependent"
        )
        # Any other value than "lightgbm" makes shap use its own kernel.
        self._explainer.model.model_type = "internal"
        self._splits: list[_CategorySplit] = []
        self._never_missing: set[int] = set()
        for tree, info in enumerate(booster.dump_model()["tree_info"]):
            self._collect(tree, info["tree_structure"])
        for split in self._splits:
            self._explainer.model.threshold_types[split.tree, split.node] = 0

    def attributions(self, matrix: Matrix) -> Matrix:
        """Return SHAP values in log-odds, shape ``(n_rows, n_features)``."""
        return np.concatenate(
            [
                self._explainer.shap_values(self._prepare(row), check_additivity=False)
                for row in matrix
            ]
        )

    def interactions(self, matrix: Matrix) -> npt.NDArray[np.float64]:
        """Return SHAP interaction values, shape ``(n_rows, n_features, n_features)``."""
        return np.concatenate(
            [self._explainer.shap_interaction_values(self._prepare(row)) for row in matrix]
        )

    def _prepare(self, row: Matrix) -> Matrix:
        prepared = row.copy()
        for feature in self._never_missing:
            prepared[feature] = np.nan_to_num(prepared[feature])
        for split in self._splits:
            value = row[split.feature]
            is_left = not np.isnan(value) and int(value) in split.codes
            threshold = np.inf if is_left else -np.inf
            self._explainer.model.thresholds[split.tree, split.node] = threshold
            prepared[split.feature] = 0.0
        return prepared[np.newaxis, :]

    def _collect(self, tree: int, node: dict[str, object]) -> None:
        place, feature = node.get("split_index"), node.get("split_feature")
        if not isinstance(place, int) or not isinstance(feature, int):
            return
        if node["decision_type"] == "==":
            codes = frozenset(int(code) for code in str(node["threshold"]).split("||"))
            self._splits.append(_CategorySplit(tree, place, feature, codes))
        elif node["missing_type"] == "None":
            self._never_missing.add(feature)
        for side in ("left_child", "right_child"):
            child = node[side]
            if isinstance(child, dict):
                self._collect(tree, child)

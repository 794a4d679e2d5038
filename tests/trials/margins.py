"""Models on public data with margins of rows they have not seen, for the trials of the promise.

A model is learned from a random part of the rows; the margins of the others are what calibration
and test parts are drawn from. Conformal sets are exact for any fixed model, so many random splits
of the unseen rows need no new model each; a few models are learned to see that none is special.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.bundle import Bundle, Explainer, build_bundle
from models.conformal import Conformal, build_conformal
from models.features import feature_code
from models.kind import Kind, load_kind
from models.policy_document import Policy, Promise
from models.scorer import EXPLAINER_ID, Matrix, lightgbm_version
from service.answers import JsonObject
from training.calibrate import calibrate
from training.dataset import Dataset, Rows, build_dataset, category_tables, encode_dataset
from training.fit import fit_trees, predict_margins
from training.source import Labels, source_of_table
from training.tabular import read_orders

_FIT, _STOP = 0.5, 0.6


@dataclass(frozen=True, slots=True)
class LabelledTable:
    """A public table as orders, features and labels."""

    kind: Kind
    orders: tuple[JsonObject, ...]
    dataset: Dataset


@dataclass(frozen=True, slots=True)
class Unseen:
    """A model, and the rows that it has not seen.

    Parameters
    ----------
    table, model_text, categories
        What was learned from, and what was learned.
    rows
        Row indices, in random order.
    margins, labels
        Of all rows of the table, log-odds and 1 for adverse.
    """

    table: LabelledTable
    model_text: str
    categories: dict[str, tuple[str, ...]]
    rows: Rows
    margins: Matrix
    labels: Labels


def read_table(kind_name: str, csv: Path) -> LabelledTable:
    """Read a public table by its kind of ``kinds/``."""
    kind = load_kind(Path(__file__).parent / "kinds" / f"{kind_name}.toml")
    table = read_orders(kind, csv)
    dataset = build_dataset(kind, source_of_table(table, csv.name))
    return LabelledTable(kind, tuple(table.orders), dataset)


def learn(table: LabelledTable, rows: int, seed: int) -> Unseen:
    """Learn from six tenths of the first rows, drawn at random, and keep the others."""
    dataset = table.dataset
    drawn = np.random.default_rng(seed).permutation(rows).astype(np.int64)
    fit, stop, unseen = np.split(drawn, [round(_FIT * rows), round(_STOP * rows)])
    categories = category_tables(dataset, fit)
    matrix = encode_dataset(dataset, categories)
    labels = dataset.labels
    fitted = fit_trees(table.kind, (matrix[fit], labels[fit]), (matrix[stop], labels[stop]), seed)
    margins = predict_margins(fitted.model_text, matrix)
    return Unseen(table, fitted.model_text, categories, unseen, margins, labels)


def table_of(unseen: Unseen, rows: Rows) -> Conformal:
    """Return the conformal table of some rows."""
    return build_conformal(unseen.margins[rows].tolist(), unseen.labels[rows].tolist())


def build(unseen: Unseen, calibration: Rows) -> Bundle:
    """Return the bundle that training would have made."""
    return build_bundle(
        kind=unseen.table.kind,
        model_text=unseen.model_text,
        calibration=calibrate(unseen.margins[calibration], unseen.labels[calibration]),
        conformal=table_of(unseen, calibration),
        categories=unseen.categories,
        explainer=Explainer(EXPLAINER_ID, lightgbm_version()),
        background_digest="sha256:00",
        feature_code=feature_code(),
        libraries={},
    )


def promising(unseen: Unseen, error: float) -> Policy:
    """Return the kind's policy with a promise for both labels."""
    promise = Promise(adverse=error, favourable=error)
    return unseen.table.kind.policy.model_copy(update={"promise": promise})

"""From orders to the matrix that the trees learn from, by the code that serves.

Every order goes through `models.order.OrderSchema` and `models.features.Extractor`, so a feature
means the same in training and in deciding. Category tables are made from the fitting part alone;
the encoding is that of `models.decide.encode`.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from hashlib import sha256
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import orjson

from models.domain import FeatureValue, Json
from models.errors import OrderInvalidError
from models.features import Extractor, OrderValue, build_getter
from models.kind import Kind
from models.order import OrderSchema, ParsedOrder
from models.scorer import Matrix
from training.errors import TrainingError
from training.source import Labels, Source

Rows = npt.NDArray[np.int64]
Texts = tuple[str | None, ...]
Progress = Callable[[str, float], None]
_REPORT_EVERY = 2_000
_LEAST_OF_EACH = 10


@dataclass(frozen=True, slots=True)
class Dataset:
    """Features and labels, not yet encoded.

    Parameters
    ----------
    kind
        Whose features these are.
    numbers
        Shape ``(n_rows, n_features)``; NaN where missing and in the columns of categories.
    texts
        Category feature to its values, each as long as `numbers`.
    labels
        Shape ``(n_rows,)``.
    placed_at
        Seconds since 1970, NaN where the order does not say, shape ``(n_rows,)``.
    digest
        SHA-256 of features, category texts and labels.
    """

    kind: Kind
    numbers: Matrix
    texts: dict[str, Texts]
    labels: Labels
    placed_at: npt.NDArray[np.float64]
    digest: str


@dataclass(frozen=True, slots=True)
class Parts:
    """Which rows are for what; each an array of row indices."""

    fit: Rows
    stop: Rows
    calibration: Rows
    test: Rows


def ignore_progress(_step: str, _fraction: float) -> None:
    """Do nothing; for callers who do not show progress."""


def build_dataset(kind: Kind, source: Source, on_progress: Progress = ignore_progress) -> Dataset:
    """Compute every order's features.

    Parameters
    ----------
    kind
        Request schema and features.
    source
        The labelled orders.
    on_progress
        Called with ``"features"`` and the part done, 0 to 1.

    Raises
    ------
    TrainingError
        When an order is not what the kind asks for (row and JSON pointer), or one of the two
        labels is too rare to learn from.
    """
    _check_labels(source)
    schema, extractor = OrderSchema(kind), Extractor(kind)
    moment = build_getter(kind.placed_at) if kind.placed_at is not None else None
    texts: dict[str, list[str | None]] = {f.name: [] for f in kind.features if f.type == "category"}
    numbers = np.full((len(source.orders), len(kind.features)), np.nan)
    placed_at = np.full(len(source.orders), np.nan)
    for index, order in enumerate(source.orders):
        values = _parse(schema, order, index, source).values
        snapshot = extractor.snapshot(values).features
        numbers[index] = [_number(value) for value in snapshot.values()]
        for name, column in texts.items():
            value = snapshot[name]
            column.append(value if isinstance(value, str) else None)
        placed_at[index] = np.nan if moment is None else _seconds(moment(values))
        if index % _REPORT_EVERY == 0:
            on_progress("features", index / len(source.orders))
    frozen = {name: tuple(column) for name, column in texts.items()}
    labels = np.asarray(source.labels, dtype=np.int8)
    return Dataset(kind, numbers, frozen, labels, placed_at, _digest(kind, numbers, frozen, labels))


def split_parts(dataset: Dataset, seed: int) -> Parts:
    """Split the rows as the kind says (see `models.declarations.Training.split`).

    Parameters
    ----------
    dataset
        With `placed_at` where the split is by time.
    seed
        Of what is random.

    Raises
    ------
    TrainingError
        When the split is by time and a row has none, or a part would hold one label only.
    """
    fractions = dataset.kind.training.fractions
    n_rows = len(dataset.labels)
    random = np.random.default_rng(seed)
    ends = [round(n_rows * share) for share in accumulate(fractions)][:-1]
    if dataset.kind.training.split == "random":
        earlier, test = np.split(random.permutation(n_rows), ends[-1:])
    else:
        earlier, test = np.split(_by_time(dataset), ends[-1:])
        earlier = random.permutation(earlier)
    fit, stop, calibration = np.split(earlier, ends[:-1])
    parts = Parts(fit, stop, calibration, test)
    for name in ("fit", "stop", "calibration", "test"):
        if len(np.unique(dataset.labels[getattr(parts, name)])) < 2:  # noqa: PLR2004 - both labels
            raise TrainingError(f"the {name} part does not hold both labels; more rows are needed")
    return parts


def _by_time(dataset: Dataset) -> Rows:
    undated = int(np.isnan(dataset.placed_at).sum())
    if undated:
        raise TrainingError(
            f"{undated} of {len(dataset.placed_at)} rows have no placed_at, "
            "which a split by time needs",
            "Fill the column, or set training.split to random in the kind.",
        )
    return np.argsort(dataset.placed_at, kind="stable").astype(np.int64)


def category_tables(dataset: Dataset, rows: Rows) -> dict[str, tuple[str, ...]]:
    """Return each category feature's values, most frequent in `rows` first, ties by name."""
    limit = dataset.kind.training.max_categories
    tables = {}
    for name, column in dataset.texts.items():
        counts = Counter(text for text in (column[row] for row in rows) if text is not None)
        ranked = sorted(counts, key=lambda text: (-counts[text], text))
        tables[name] = tuple(ranked[:limit])
    return tables


def encode_dataset(dataset: Dataset, categories: Mapping[str, tuple[str, ...]]) -> Matrix:
    """Return the matrix that the trees see, shape ``(n_rows, n_features)``.

    A category that is not in its table is NaN, as in `models.decide.encode`.
    """
    matrix = dataset.numbers.copy()
    for place, feature in enumerate(dataset.kind.features):
        if feature.type == "category":
            codes = {text: float(code) for code, text in enumerate(categories[feature.name])}
            column = dataset.texts[feature.name]
            matrix[:, place] = [codes.get(text, np.nan) if text else np.nan for text in column]
    return matrix


def matrix_digest(matrix: Matrix) -> str:
    """Return the SHA-256 of a matrix's shape and little-endian values, every NaN alike.

    Examples
    --------
    >>> matrix_digest(np.array([[1.0, -np.nan]])) == matrix_digest(np.array([[1.0, np.nan]]))
    True
    """
    canonical = np.where(np.isnan(matrix), np.nan, matrix).astype("<f8")
    return "sha256:" + sha256(repr(matrix.shape).encode() + canonical.tobytes()).hexdigest()


def _check_labels(source: Source) -> None:
    if len(source.orders) != len(source.labels):
        raise TrainingError(f"{len(source.orders)} orders but {len(source.labels)} labels")
    adverse = int(np.count_nonzero(source.labels))
    rarer = min(adverse, len(source.labels) - adverse)
    if rarer < _LEAST_OF_EACH:
        raise TrainingError(
            f"only {rarer} of {len(source.labels)} rows have the rarer label; "
            f"at least {_LEAST_OF_EACH} are needed"
        )


def _parse(
    schema: OrderSchema, order: Mapping[str, Json], index: int, source: Source
) -> ParsedOrder:
    try:
        return schema.parse(orjson.dumps(order))
    except OrderInvalidError as error:
        row = index + 1 if source.rows is None else source.rows[index]
        first = error.faults[0]
        raise TrainingError(f"row {row}, {first.pointer}: {first.message}") from error


def _number(value: FeatureValue) -> float:
    return value if isinstance(value, float) else np.nan


def _seconds(value: OrderValue) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC).timestamp()
    return np.nan


def _digest(kind: Kind, numbers: Matrix, texts: Mapping[str, Texts], labels: Labels) -> str:
    state = sha256(orjson.dumps([feature.name for feature in kind.features]))
    state.update(matrix_digest(numbers).encode())
    state.update(orjson.dumps(texts, option=orjson.OPT_SORT_KEYS))
    state.update(labels.astype("<i1").tobytes())
    return "sha256:" + state.hexdigest()

"""The promise on real data: coverage of each true label, what is automated wrongly, its price.

Each set's table is made and read by `models.conformal`. Splits are random halves of rows that the
model has not seen, each half once calibration and once test, which takes the luck of a split out of
the average.
"""

import sys
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson
import pytest

from models.conformal import Conformal
from models.decide import decide_many, load_model
from models.domain import ModelRef, PolicyRef
from tests.trials.margins import (
    LabelledTable,
    Unseen,
    build,
    learn,
    promising,
    read_table,
    table_of,
)
from tests.trials.public_data import scms_csv, write_ucsd_csv
from training.calibrate import calibrate, probabilities_of
from training.dataset import Rows
from training.source import Labels

_UCSD_ROWS: Final = 89_000
_POINT: Final = 0.01
_ERRORS: Final = (0.10, 0.05)
_ADVERSE, _FAVOURABLE, _REVIEW = 1, 0, -1
_NAMES: Final = {_ADVERSE: "adverse", _FAVOURABLE: "favourable"}
_PATH_ORDERS: Final = 400

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the orders of one true label.

    Parameters
    ----------
    covered
        The set holds the label.
    alone_wrong, alone_reviewed
        If the set alone decided: it holds only the other label; it holds both or neither.
    wrong, reviewed
        As it is decided: also the policy's thresholds must say what the set says.
    error
        Of the orders automated to this label's outcome, the share that is of the other label.
    """

    covered: float
    alone_wrong: float
    alone_reviewed: float
    wrong: float
    reviewed: float
    error: float


@pytest.mark.trial
@pytest.mark.parametrize("name", ["scms_late_delivery", "ucsd_fraud"])
def test_the_promise_is_kept_on_random_splits(name: str, tmp_path: Path) -> None:
    """Over 100 splits coverage is within a point of the promise, and no label is wronged more."""
    table, rows = _table(name, tmp_path, _UCSD_ROWS)
    models = [learn(table, rows, seed) for seed in range(5)]
    for error in _ERRORS:
        _check(name, _shares(models, error, halvings=10), error)
        _check_whole_path(models[0], error, _PATH_ORDERS)


def test_the_promise_is_kept_on_random_splits_in_short(tmp_path: Path) -> None:
    """The same with one model and a fifth of the splits."""
    table, rows = _table("scms_late_delivery", tmp_path, _UCSD_ROWS)
    model = learn(table, rows, 0)
    for error in _ERRORS:
        _check(table.kind.name, _shares([model], error, halvings=10), error)
    _check_whole_path(model, _ERRORS[0], 40)


def _table(name: str, folder: Path, ucsd_rows: int) -> tuple[LabelledTable, int]:
    if name == "scms_late_delivery":
        table = read_table(name, scms_csv())
        return table, len(table.orders)
    csv = folder / "ucsd.csv"
    write_ucsd_csv(csv, ucsd_rows)
    return read_table(name, csv), ucsd_rows


def _shares(models: list[Unseen], error: float, halvings: int) -> dict[int, list[Shares]]:
    """Return the shares of each split, by label; two by two of the same halves."""
    found: dict[int, list[Shares]] = {label: [] for label in _NAMES}
    for seed, model in enumerate(models):
        random = np.random.default_rng(1_000 + seed)
        outcomes = _outcomes(model)
        for calibration, test in _halves(model.rows, random, halvings):
            sets = _sets(table_of(model, calibration), model.margins[test], error)
            for label in _NAMES:
                shares = _measure(sets, outcomes[test], model.labels[test], label)
                found[label].append(shares)
    return found


def _outcomes(model: Unseen) -> Labels:
    """Return what the thresholds alone say of each row: a label, or -1 for review."""
    policy = model.table.kind.policy
    calibration = model.rows[: len(model.rows) // 2]
    table = calibrate(model.margins[calibration], model.labels[calibration])
    probabilities = probabilities_of(table, model.margins)
    outcomes = np.full(len(probabilities), _REVIEW, dtype=np.int8)
    outcomes[probabilities >= policy.adverse_at] = _ADVERSE
    outcomes[probabilities < policy.review_at] = _FAVOURABLE
    return outcomes


def _halves(rows: Rows, random: np.random.Generator, times: int) -> Iterator[tuple[Rows, Rows]]:
    for _ in range(times):
        one, other = np.array_split(random.permutation(rows), 2)
        yield one, other
        yield other, one


def _sets(table: Conformal, margins: npt.NDArray[np.float64], error: float) -> dict[int, Flags]:
    """Return for each label in which sets it is; the same comparisons as `outcome_set`."""
    return {
        _ADVERSE: margins >= table.lowest_adverse(error),
        _FAVOURABLE: margins <= table.highest_favourable(error),
    }


def _measure(sets: dict[int, Flags], outcomes: Labels, labels: Labels, label: int) -> Shares:
    own, other = sets[label], sets[1 - label]
    true = labels == label
    automated = {one: sets[one] & ~sets[1 - one] & (outcomes == one) for one in _NAMES}
    said = automated[label]
    return Shares(
        covered=float(own[true].mean()),
        alone_wrong=float((other & ~own)[true].mean()),
        alone_reviewed=float((own == other)[true].mean()),
        wrong=float(automated[1 - label][true].mean()),
        reviewed=float((~automated[0] & ~automated[1])[true].mean()),
        error=float((~true)[said].mean()) if said.any() else 0.0,
    )


def _check(name: str, shares: dict[int, list[Shares]], error: float) -> None:
    for label, splits in shares.items():
        rows = np.array([astuple(one) for one in splits])
        mean = Shares(*rows.mean(axis=0).tolist())
        sys.stderr.write(
            f"\n{name} {1 - error:.0%} {_NAMES[label]}: covered {mean.covered:.4f}; by the set "
            f"alone {mean.alone_wrong:.4f} automated wrongly, {mean.alone_reviewed:.3f} to review; "
            f"with the thresholds {mean.wrong:.4f} and {mean.reviewed:.3f}; of those automated as "
            f"{_NAMES[label]} {mean.error:.4f} are not"
        )
        assert abs(mean.covered - (1 - error)) <= _POINT
        assert mean.wrong <= error
        # What chance leaves of the average: three standard errors over pairs of halves.
        pairs = (rows[::2, 1] + rows[1::2, 1]) / 2
        assert mean.alone_wrong <= error + 3 * pairs.std(ddof=1) / np.sqrt(len(pairs))


def _check_whole_path(model: Unseen, error: float, orders: int) -> None:
    """Decide some orders by the main path: the same sets, and only what a set allows is automated.

    The policy's own thresholds still ask a person about orders between them.
    """
    calibration, test = np.array_split(model.rows, 2)
    bundle, policy = build(model, calibration), promising(model, error)
    ready = load_model(
        bundle,
        ModelRef(bundle.kind.name, "1", bundle.digest, "trial"),
        policy,
        PolicyRef(policy.name, policy.version, "sha256:00"),
    )
    parsed = [ready.schema.parse(orjson.dumps(model.table.orders[row])) for row in test[:orders]]
    outcomes = ready.kind.outcomes
    codes = {_ADVERSE: outcomes.adverse.code, _FAVOURABLE: outcomes.favourable.code}
    table = table_of(model, calibration)
    for row, decision in zip(test, decide_many(ready, parsed, lambda: 0.0), strict=False):
        verdict = decision.verdict
        margin = np.array([verdict.attributions.margin])
        assert verdict.attributions.margin == pytest.approx(model.margins[row])
        sets = _sets(table, margin, error)
        assert set(verdict.outcome_set) == {codes[label] for label in _NAMES if sets[label][0]}
        assert not verdict.automated or verdict.outcome_set == (verdict.outcome,)

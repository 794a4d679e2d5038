"""The model card: what a reader must know of a model before trusting it.

Data first (`build_card`, JSON), then one page in Chinese and English that needs no other file
(`render_card`), with the pictures inside it.
"""

import base64
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from models.bundle import Bundle
from models.domain import Json
from models.kind import Kind
from models.scorer import Matrix
from training.dataset import Dataset, Parts
from training.evaluate import Evaluation
from training.fit import FittedTrees
from training.gates import Gate
from training.second_opinion import load_shap
from training.source import Source

_PAIRS_SHOWN = 10
_FEATURES_DRAWN = 16
_DOTS_PER_INCH = 110


@dataclass(frozen=True, slots=True)
class CardInput:
    """What the card tells of.

    Parameters
    ----------
    bundle, fitted, evaluation, gates
        The model and how it was judged.
    source, dataset, parts
        What it learned from.
    sample, contributions
        Test rows, encoded, and their SHAP values, shape ``(n_sample, n_features)``.
    interactions
        SHAP interaction values of some rows, shape ``(n_rows, n_features, n_features)``.
    explanation_truth
        Name to figure, for simulated orders.
    seed
        Of the run.
    trained_at
        Aware UTC.
    """

    bundle: Bundle
    fitted: FittedTrees
    evaluation: Evaluation
    gates: tuple[Gate, ...]
    source: Source
    dataset: Dataset
    parts: Parts
    sample: Matrix
    contributions: Matrix
    interactions: npt.NDArray[np.float64]
    explanation_truth: Mapping[str, Json] | None
    seed: int
    trained_at: datetime


def build_card(given: CardInput) -> dict[str, Json]:
    """Return the card as JSON data."""
    kind = given.bundle.kind
    excluded: list[Json] = [{"column": e.column, "why": e.why} for e in kind.training.excluded]
    calibration: list[Json] = [_as_json(asdict(decile)) for decile in given.evaluation.deciles]
    gates: list[Json] = [_as_json(asdict(gate)) for gate in given.gates]
    return {
        "name": kind.name,
        "title": {"zh": kind.title.zh, "en": kind.title.en},
        "adverse_event": {"zh": kind.adverse_event.zh, "en": kind.adverse_event.en},
        "bundle": given.bundle.digest,
        "trained_at": given.trained_at.isoformat(),
        "seed": given.seed,
        "rounds": given.fitted.rounds,
        "params": dict(given.fitted.params),
        "data": {
            "source": given.source.name,
            "rows": len(given.dataset.labels),
            "digest": given.dataset.digest,
            "parts": _parts(given.dataset, given.parts),
            "notes": dict(given.source.notes or {}),
            "excluded": excluded,
        },
        "metrics": {
            name: _as_json(asdict(measured)) for name, measured in given.evaluation.metrics.items()
        },
        "calibration": calibration,
        "confusion": {
            outcome: dict(counts) for outcome, counts in given.evaluation.confusion.items()
        },
        "gates": gates,
        "features": _features(kind, given.contributions),
        "interactions": _interactions(kind, given.interactions),
        "explanation_truth": None
        if given.explanation_truth is None
        else dict(given.explanation_truth),
    }


def render_card(card: Mapping[str, Json], images: Mapping[str, bytes]) -> str:
    """Return the card as one HTML page, Chinese and English side by side.

    Parameters
    ----------
    card
        From `build_card`.
    images
        ``beeswarm`` and ``reliability`` as PNG.
    """
    environment = Environment(
        loader=PackageLoader("training"), autoescape=True, undefined=StrictUndefined
    )
    encoded = {name: base64.b64encode(content).decode() for name, content in images.items()}
    return environment.get_template("card.html").render(card=card, images=encoded)


def draw_beeswarm(kind: Kind, sample: Matrix, contributions: Matrix) -> bytes:
    """Draw shap's beeswarm of the strongest features; return a PNG."""
    shap = load_shap()
    figure = Figure(figsize=(9, 7), dpi=_DOTS_PER_INCH, layout="constrained")
    # A feature without a single value has no colours to be drawn in.
    known = np.flatnonzero(np.isfinite(sample).any(axis=0))
    explanation = shap.Explanation(
        values=contributions[:, known],
        data=sample[:, known],
        feature_names=[kind.features[place].name for place in known],
    )
    shap.plots.beeswarm(
        explanation,
        ax=figure.subplots(),
        show=False,
        max_display=_FEATURES_DRAWN,
        plot_size=None,
    )
    return _png(figure)


def draw_reliability(evaluation: Evaluation) -> bytes:
    """Draw observed parts over mean probabilities with the 99 % bands; return a PNG."""
    figure = Figure(figsize=(6, 6), dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    expected = np.array([decile.mean_probability for decile in evaluation.deciles])
    observed = np.array([decile.observed for decile in evaluation.deciles])
    bands = np.array([decile.band for decile in evaluation.deciles])
    end = float(max(expected.max(), observed.max(), bands.max())) * 1.05
    axes.plot([0, end], [0, end], color="#8a93a0", linewidth=1)
    axes.vlines(expected, bands[:, 0], bands[:, 1], color="#9db8d9", linewidth=6)
    axes.plot(expected, observed, "o", color="#12457f")
    axes.set(xlabel="mean calibrated probability", ylabel="observed", title="Calibration by decile")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _parts(dataset: Dataset, parts: Parts) -> list[Json]:
    found: list[Json] = []
    for name in ("fit", "stop", "calibration", "test"):
        rows = getattr(parts, name)
        placed_at = dataset.placed_at[rows]
        known = placed_at[np.isfinite(placed_at)]
        found.append(
            {
                "name": name,
                "rows": len(rows),
                "adverse_share": float(dataset.labels[rows].mean()),
                "placed_from": _day(known.min()) if len(known) else None,
                "placed_to": _day(known.max()) if len(known) else None,
            }
        )
    return found


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).date().isoformat()


def _features(kind: Kind, contributions: Matrix) -> list[Json]:
    strengths = np.abs(contributions).mean(axis=0).tolist()
    described: list[tuple[float, Json]] = [
        (
            strength,
            {
                "name": feature.name,
                "title": {"zh": feature.title.zh, "en": feature.title.en},
                "unit": feature.unit,
                "group": feature.group,
                "monotone": feature.monotone,
                "protected": feature.protected,
                "mean_absolute_shap": strength,
            },
        )
        for feature, strength in zip(kind.features, strengths, strict=True)
    ]
    return [entry for _, entry in sorted(described, key=lambda item: -item[0])]


def _interactions(kind: Kind, values: npt.NDArray[np.float64]) -> list[Json]:
    # An interaction's two halves stand on both sides of the diagonal.
    strengths = np.triu(2 * np.abs(values).mean(axis=0), k=1)
    strongest = np.argsort(-strengths, axis=None, kind="stable")[:_PAIRS_SHOWN]
    pairs = [np.unravel_index(int(place), strengths.shape) for place in strongest]
    return [
        {
            "first": kind.features[int(first)].name,
            "second": kind.features[int(second)].name,
            "strength": float(strengths[first, second]),
        }
        for first, second in pairs
        if strengths[first, second] > 0
    ]


def _as_json(value: object) -> Json:
    """Return dataclass content as JSON data: tuples become lists."""
    if isinstance(value, dict):
        return {str(name): _as_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"not JSON data: {type(value).__name__}")

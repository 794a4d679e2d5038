"""The split points of a LightGBM text model, by feature.

Between two neighbouring split points of a feature the model does not change, so trying one value
in each interval tries them all.
"""

from models.errors import ScorerError

_NUMERIC_MASK = 1


def parse_thresholds(model_text: str, n_features: int) -> tuple[tuple[float, ...], ...]:
    r"""Return each feature's numeric split points, rising; ``value <= point`` goes left.

    Parameters
    ----------
    model_text
        LightGBM text model.
    n_features
        Columns of the model.

    Raises
    ------
    ScorerError
        When a tree's lines do not fit together.

    Examples
    --------
    >>> text = "split_feature=0 1 0\nthreshold=2.5 7 1\ndecision_type=2 2 2\n"
    >>> parse_thresholds(text, 2)
    ((1.0, 2.5), (7.0,))
    """
    found: list[set[float]] = [set() for _ in range(n_features)]
    features: list[str] = []
    points: list[str] = []
    for line in model_text.splitlines():
        name, _, values = line.partition("=")
        if name == "split_feature":
            features = values.split()
        elif name == "threshold":
            points = values.split()
        elif name == "decision_type":
            kinds = values.split()
            if not len(features) == len(points) == len(kinds):
                raise ScorerError("a tree of the model has lines of different lengths")
            for feature, point, kind in zip(features, points, kinds, strict=True):
                if not int(kind) & _NUMERIC_MASK:
                    found[int(feature)].add(float(point))
    return tuple(tuple(sorted(values)) for values in found)

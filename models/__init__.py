"""From an order to a Decision. Pure: no network, database, clock, environment, pandas or MLflow.

`kind` reads what is decided from a file; `order` checks a request against it; `features` computes
what the model sees; `scorer` gives margins and exact SHAP values; `calibration` turns a margin into
a probability with its interval; `policy` into an outcome; `reasons` says why in Chinese and
English; `invariants` refuses what does not add up; `decide` is the path through all of them, and
`bundle` keeps all that it depends on, content-addressed. "Model" here always means a learned model.
"""

__all__ = [
    "bundle",
    "calibration",
    "condition",
    "decide",
    "declarations",
    "domain",
    "errors",
    "features",
    "invariants",
    "kind",
    "order",
    "policy",
    "reasons",
    "scorer",
    "sentences",
    "wording",
]

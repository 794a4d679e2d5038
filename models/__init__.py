"""From an order to a Decision. Pure: no network, database, clock, environment, pandas or MLflow.

`kind` reads what is decided from a file; `order` checks a request against it; `features` computes
what the model sees; `lookup` asks reference tables (`reference`, `parties`); `case` joins them.
`scorer` gives margins and exact SHAP values; `calibration` turns a margin into a probability with
its interval, `conformal` into a set of labels with a promise; `policy` makes an outcome of all this
(`policy_document`, `rulebook` over `decision_graph`, `caps`, `approval`, `precedence`,
`residency`); `reasons` says why in Chinese and English, and `counterfactual` what would have to be
otherwise (`levers`, `smallest_change`); `invariants` refuses what does not add up. `loaded` holds a
model ready to decide, `decide` is the path through all of them, `conclude` its second half, and
`bundle` keeps all that it depends on, content-addressed.

`outside` does the same with the answer of another system's model (`node`, `inference`); `split`
plans where an order ships from and `outbound` in which order; `chain` says what admission, risk and
split come to together. "Model" here always means a learned model.
"""

__all__ = [
    "approval",
    "bundle",
    "calibration",
    "caps",
    "case",
    "chain",
    "conclude",
    "condition",
    "conformal",
    "content_store",
    "counterfactual",
    "decide",
    "decision",
    "decision_graph",
    "declarations",
    "domain",
    "errors",
    "expressions",
    "features",
    "finding",
    "inference",
    "invariants",
    "kind",
    "kind_store",
    "levers",
    "loaded",
    "lookup",
    "node",
    "order",
    "outbound",
    "outbound_reasons",
    "outside",
    "outside_verdict",
    "parties",
    "policy",
    "policy_document",
    "policy_result",
    "precedence",
    "reasons",
    "reference",
    "residency",
    "rule_table",
    "rulebook",
    "scorer",
    "sentences",
    "smallest_change",
    "split",
    "surroundings",
    "thresholds",
    "wording",
]

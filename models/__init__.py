"""From an order to a Decision. Pure: no network, database, clock, environment, pandas or MLflow.

`kind` reads what is decided from a file; `order` checks a request against it; `features` computes
what the model sees; `scorer` gives margins and exact SHAP values; `calibration` turns a margin into
a probability with its interval; `lookup` asks reference tables (`reference`, `parties`); `policy`
makes an outcome of all this (`policy_document`, `rulebook` over `decision_graph`, `caps`,
`approval`, `precedence`, `residency`); `outside` does the same with the answer of another system's
model (`node`, `inference`, `outside_verdict`, `kind_store`); `reasons` says why in Chinese and
English; `invariants` refuses what does not add up; `decide` is the path through all of them, and
`bundle` keeps all that it depends on, content-addressed. "Model" here always means a learned model.
"""

__all__ = [
    "approval",
    "bundle",
    "calibration",
    "caps",
    "condition",
    "content_store",
    "decide",
    "decision_graph",
    "declarations",
    "domain",
    "errors",
    "expressions",
    "features",
    "inference",
    "invariants",
    "kind",
    "kind_store",
    "levers",
    "lookup",
    "node",
    "order",
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
    "wording",
]

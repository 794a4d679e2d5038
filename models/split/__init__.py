"""Where to ship an order from: the plan, the plans not taken, and why, under hard constraints.

`request` reads the order (`body`) into a `problem`; `pairs` lists line x warehouse x service with
what the model sees of each; `constraints` is the law, one named predicate each, and `rules` what
the policy adds to it; `rates` prices in whole cents; `program` writes the integer program and
`solve` runs it; `plan` is its answer, `verify` checks it without the solver; `conflict` names the
constraints that leave no plan; `alternatives` finds the plans not taken and `why_not` what speaks
against each warehouse and candidate; `weights` says what the policy's weights did; `releases` puts
the parcels in the order in which they leave; `summary` says it in one sentence; `decide` is the
path through all of them to a `verdict` and `record` its form as JSON facts (with `columns`). It
deliberately looks nothing up: stock, loads and rates come in with the order.
"""

__all__ = [
    "alternatives",
    "body",
    "columns",
    "conflict",
    "constraints",
    "decide",
    "difference",
    "errors",
    "pairs",
    "plan",
    "policy",
    "policy_store",
    "problem",
    "program",
    "rates",
    "record",
    "releases",
    "request",
    "rules",
    "solve",
    "summary",
    "verdict",
    "verify",
    "weights",
    "why_not",
]

"""The simulated worlds: what orders show, how events come about, and the truth about both.

`mechanism` holds the mathematics of truth, `truth` compares explanations with it; `calendar`,
`customers` and `baskets` are drawn alike for every kind; `admission` and `risk` are the two worlds
and their `_orders` twins write them down. `training.simulator` is the way in.
"""

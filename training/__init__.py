"""From a CSV or the simulator to a registered model.

`pipeline.run` is the main path: `tabular` or `simulator` give orders, `dataset` makes the matrix by
the serving code, `fit` and `calibrate` make the model, `evaluate` and `gates` judge it, `card`
tells about it and `registry` keeps it. Making it live is not done here.
"""

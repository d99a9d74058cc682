"""Losses of the ternary task, a file for each kind: pure functions of arrays -> (), unweighted, and `LOSSES`.

`LOSSES` declares the losses of a file to the config and to the step, see `registry.LossSpec`. In all files r = d(0, z)
is the geodesic radius (n,), v the valuation (n,) int32, D the number of digits, and `targets` a table (D + 1,) by
level.
"""

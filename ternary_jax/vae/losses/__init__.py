"""Losses of the ternary task: pure functions of batch arrays, scalar and unweighted. Pairs come in already formed.

Throughout r = d(0, z) is the geodesic radius (n,), v the valuation (n,) int32, D the number of digits, and `targets`
a table (D + 1,) by level.
"""

"""A table of named columns as Parquet, where pyarrow is installed, or as CSV.

A column (n, d) becomes d columns NAME_0 .. NAME_(d - 1).
"""

import csv
import io
from collections.abc import Mapping

import numpy as np

from ternary_jax.errors import ConfigError


def to_bytes(table: Mapping[str, np.ndarray], form: str | None = None) -> tuple[str, bytes]:
    """("parquet" or "csv", content of the file). form: which of them; None: Parquet where pyarrow is installed."""
    found = columns(table)
    data = None if form == "csv" else _parquet(found)
    if data is not None:
        return "parquet", data
    if form == "parquet":
        raise ConfigError("--format=parquet needs pyarrow, which is not there: pip install pyarrow, or --format=csv")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(found)
    writer.writerows(zip(*(map(str, column) for column in found.values()), strict=True))
    return "csv", text.getvalue().encode()


def columns(table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The table with a column for each number: (n,) each."""
    found = {}
    for name, values in table.items():
        wide = {f"{name}_{k}": values[:, k] for k in range(values.shape[1])} if values.ndim == 2 else {name: values}
        found |= wide
    return found


def _parquet(found: Mapping[str, np.ndarray]) -> bytes | None:
    """The columns as Parquet; None without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return None
    table = pyarrow.table({name: pyarrow.array(values) for name, values in found.items()})
    pyarrow.parquet.write_table(table, data := io.BytesIO())
    return data.getvalue()

"""runs.csv of a sweep, and runs.parquet where pyarrow is installed: a row for each run, for spreadsheets and pandas."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ternary_jax.workdir import files
from ternary_jax.workdir.sweep import SweepRun


def write(path: Path, rows: Sequence[SweepRun]) -> None:
    """Write the table of a sweep into its folder."""
    found = columns(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(found)
    writer.writerows(zip(*found.values(), strict=True))
    files.write_whole(path / "runs.csv", text.getvalue().encode())
    if (data := _parquet(found)) is not None:
        files.write_whole(path / "runs.parquet", data)


def columns(rows: Sequence[SweepRun]) -> dict[str, list[Any]]:
    """{column: a value a run}: run, the swept keys, seed, ending, step, metrics, folder and place; None: no value.

    A tuple is text, as Python writes it. A metric that is called like another column has its name with a "metric/".
    """
    keys = dict.fromkeys(key for row in rows for key in row.settings)
    found: dict[str, list[Any]] = {"run": [row.run for row in rows]}
    found |= {key: [_cell(row.settings.get(key)) for row in rows] for key in keys}
    found |= {name: [getattr(row, name) for row in rows] for name in ("seed", "ending", "step")}
    for metric in dict.fromkeys(name for row in rows for name in row.metrics):
        name = f"metric/{metric}" if metric in found or metric in ("folder", "place") else metric
        found[name] = [row.metrics.get(metric) for row in rows]
    return found | {name: [getattr(row, name) for row in rows] for name in ("folder", "place")}


def _cell(value: Any) -> Any:
    return str(value) if isinstance(value, tuple) else value


def _parquet(found: dict[str, list[Any]]) -> bytes | None:
    """The columns as Parquet; None without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return None
    table = pyarrow.table({name: pyarrow.array(values) for name, values in found.items()})
    pyarrow.parquet.write_table(table, data := io.BytesIO())
    return data.getvalue()

"""Tables as text: widths of lines, and that no cell is lost where a table is cut into parts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ternary_jax import tables

CELLS = st.text("ab-.", min_size=1, max_size=24)


@settings(max_examples=50)
@given(st.data(), st.integers(2, 12), st.integers(1, 5), st.integers(1, 3))
def test_a_table_fits_80_characters_and_keeps_every_cell_in_its_row(data, width, height, keys):
    lines = [[data.draw(CELLS) for _ in range(width)] for _ in range(height)]
    keys = min(keys, width - 1)
    text = tables.fitted(lines, keys)
    assert max(map(len, text.splitlines())) <= 80  # no two of these columns are wider
    parts = [[line.split() for line in part.split("\n")] for part in text.split("\n\n")]
    assert {len(part) for part in parts} == {height}
    numbered = [["row", *lines[0]], *([str(n), *line] for n, line in enumerate(lines[1:], 1))]
    for n in range(height):
        shown = [cell for part in parts for cell in part[n]]
        first = parts[0][n][: keys if parts[0][n][0] == lines[n][0] else 1]
        once = [*first, *(cell for part in parts for cell in part[n][len(first) :])]
        assert once in (lines[n], numbered[n])
        assert len(shown) == len(once) + (len(parts) - 1) * len(first)


def test_single_spaces_come_before_parts():
    lines = [["name of a metric", *(f"column {k}" for k in range(7))], ["x", *("1.00000" for _ in range(7))]]
    assert len(tables.columns(lines).splitlines()[0]) == 16 + 7 * 10
    assert tables.fitted(lines) == tables.columns(lines, " ")
    assert tables.fitted([line[:4] for line in lines]) == tables.columns([line[:4] for line in lines])


def test_a_command_is_one_that_a_shell_takes_as_it_is():
    assert tables.command_of("ternary_jax.analyze", "runs/a b") == "python -m ternary_jax.analyze 'runs/a b'"
    assert tables.command_of("ternary_jax.analyze", "-x") == "python -m ternary_jax.analyze ./-x"  # -x would be a flag

"""The table at the end of a run; that of several settings is in test_tables_by_setting.py."""

from few_rows import NAN, finished, row

from ternary_jax.analysis import summary_table


def test_the_table_of_one_run_and_of_several():
    rows = [row(100, coverage=0.9, hierarchy=-0.5), row(200, coverage=0.8), row(300, coverage=0.85, hierarchy=1e-5)]
    one = summary_table.text(finished(rows, 1, {"coverage": 0.9}, samples_per_s=61e3)).splitlines()
    assert one[0] == "converged; step 300; 3.0 s; 61,000 samples/s; targets met after 1.0 s"
    assert one[2].split() == ["metric", "final", "best", "at", "step", "ceiling", "chance", "untrained"]
    assert one[3].split() == ["coverage", "0.85000", "0.90000", "100", "1", "5e-05", "0"]
    assert one[4].split() == ["hierarchy", "1.00e-05", "-0.50000", "100", "-0.832", "0", "0.35"]
    assert one[5].split() == ["q", *"------"]
    assert len({len(line) for line in one[2:]}) == 1
    rows = [row(300, run, coverage=c, hierarchy=h) for run, (c, h) in enumerate([(0.5, -0.8), (NAN, 0.2), (0.7, -0.6)])]
    summary = finished(rows, 3, {"coverage": 0.9})
    for one in summary["runs"]:  # of one setting
        one["hypers"] = {"train.learning_rate": 1e-3}
    several = summary_table.text(summary).splitlines()
    assert several[0] == "2 of 3 runs converged, diverged: run 1; step 302; 3.0 s; targets not met"
    assert several[2].split() == ["metric", "median", "worst", "best", "ceiling", "chance", "untrained"]
    assert several[3].split() == ["coverage", "0.60000", "0.50000", "0.70000", "1", "5e-05", "0"]
    assert several[4].split() == ["hierarchy", "-0.60000", "0.20000", "-0.80000", "-0.832", "0", "0.35"]


def test_a_table_names_runs_beyond_a_ceiling():
    rows = [row(300, run, coverage=1.0, hierarchy=h) for run, h in enumerate([-0.8, -0.99, -0.8321])]
    assert (
        summary_table.text(finished(rows, 3, {}))
        .splitlines()[-1]
        .startswith("hierarchy is beyond its ceiling in run 1: a collapse, in which values tie, or an altered log")
    )
    assert "beyond" not in summary_table.text(finished(rows[:1], 1, {}))

"""What a run leaves behind, read back by other means: json, the TFRecord format, plain loops, a terminal of our own."""

import json
import math
import os
import pty
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ternary_jax import tables, terminal
from ternary_jax.engine import log
from ternary_jax.engine.task import Metric, RunError
from ternary_jax.provenance import provenance

ROOT = Path(__file__).parents[2]
NAN = math.nan
METRICS = (
    Metric("coverage", 1, 1.0, 5e-5, 0.0),
    Metric("hierarchy", -1, -0.832, 0.0, 0.35),
    Metric("q", 1, NAN, NAN, NAN),
)
NAMES = tuple(m.name for m in METRICS)


def describe(run, **more):
    return {"run": run, "seed": 7 + run, "hypers": {"train.learning_rate": 1e-3 * (run + 1)}, **more}


def row(step, run=0, **more: Any):
    base = {"run": run, "seed": 7 + run, "step": step, "epoch": step / 39, "wall_s": step / 100, "samples_per_s": 61e3}
    return {**base, "loss": 100.0 / (step + 1), "loss/radial": 1.5, "coverage": step / 1000, **more}


def opened(workdir, step=0, runs=1, share: float | None = 0.01):
    workdir.mkdir(exist_ok=True)
    described = [describe(k) for k in range(runs)]
    return log.open_log(workdir, step, described, NAMES, "coverage", share, time.time())


def lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def events(workdir, run=0):
    """All events of a run, by file and in order, by the TFRecord format alone; the checksums are those of CRC-32C."""
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

    def crc(data):
        c = 0xFFFFFFFF
        for byte in data:
            c ^= byte
            for _ in range(8):
                c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
        c ^= 0xFFFFFFFF
        return ((c >> 15 | c << 17) + 0xA282EAD8) & 0xFFFFFFFF

    out = []
    for file in sorted((workdir / "tensorboard" / f"run_{run:03d}").iterdir()):
        data = file.read_bytes()
        while data:
            (size,), (check,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
            body, after = data[12 : 12 + size], data[12 + size : 16 + size]
            assert check == crc(data[:8])
            assert struct.unpack("<I", after)[0] == crc(body)
            out.append(Event.FromString(body))
            data = data[16 + size :]
    return out


def points(workdir, run=0):
    """tag -> [(step, value)]"""
    out = {}
    for event in events(workdir, run):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                out.setdefault(value.tag, []).append((event.step, value.simple_value))
    return out


def test_a_row_is_a_line_of_valid_json(tmp_path):
    to = opened(tmp_path, runs=2, share=None)
    measured = {"coverage": np.float32(0.1), "q": np.nan, "loss": math.inf, "gradient_norm": np.float64(-math.inf)}
    log.write(to, [row(np.int64(5), **measured), row(5, run=1)])
    log.write(to, [row(9)])
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    assert "NaN" not in text
    assert "Infinity" not in text
    kept = lines(tmp_path)
    assert [(r["run"], r["step"]) for r in kept] == [(0, 5), (1, 5), (0, 9)]
    assert kept[0]["coverage"] == float(np.float32(0.1))
    assert kept[0]["q"] is kept[0]["loss"] is kept[0]["gradient_norm"] is None
    again = log.read(tmp_path)
    assert math.isnan(again[0]["loss"])
    assert again[2] == kept[2]
    assert not (tmp_path / "tensorboard").exists()


@pytest.mark.parametrize("cut", ['{"run": 0, "step": 20', '{"run": 0, "step": 200, "wall_s": 9.0}', "\0\0\n"])
def test_going_on_cuts_back_to_the_step_and_goes_on_with_the_clock(tmp_path, cut):
    to = opened(tmp_path, runs=2, share=None)
    for step in (0, 100, 200, 300):
        log.write(to, [row(step), row(step, run=1)])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write(cut)  # by a kill
    before = (tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)
    to = opened(tmp_path, step=200, runs=2, share=None)
    assert (tmp_path / "metrics.jsonl").read_text() == "".join(before[:6])
    assert time.time() - to.began == pytest.approx(2.0, abs=0.5)
    log.write(to, [row(250)])
    assert [r["step"] for r in lines(tmp_path)] == [0, 0, 100, 100, 200, 200, 250]
    to = opened(tmp_path, step=0, share=None)
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""
    assert time.time() - to.began < 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_lines_are_whole_at_whatever_moment_a_process_is_killed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from ternary_jax.engine import log\n"
        "to = log.open_log(Path(sys.argv[1]), 0, [], [], 'coverage', None, 0.0); print(1, flush=True)\n"
        "for step in range(1, 10**9): log.write(to, [{'run': 0, 'step': step, 'wall_s': 1.0, 'pad': 'x' * 3000}])"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    time.sleep(0.2)
    child.kill()
    child.communicate()
    written = (tmp_path / "metrics.jsonl").read_bytes().count(b"\n")
    assert written > 10
    opened(tmp_path, step=10**9, share=None)
    assert [r["step"] for r in lines(tmp_path)] == list(range(1, written + 1))


def test_tensorboard_shows_what_moved_and_in_the_end_everything(tmp_path):
    """Against a plain loop over the rows."""
    rng = np.random.default_rng(0)
    to, rows = opened(tmp_path, share=0.05), []
    for step in range(1, 60):
        new: dict[str, Any] = {
            "coverage": 1 - math.exp(-step / 5),
            "gradient_ratio": 1 + 0.04 * rng.random(),
            "control/tau": 0.2,
        }
        new |= {"hierarchy": rng.normal()} if step % 10 == 5 else {}
        rows.append(row(step, **new, gradient_norm=3.0, q=NAN))
        log.write(to, rows[-1:])
    shown = {tag: list(series) for tag, series in points(tmp_path).items()}
    log.close(to)

    assert set(shown) == {"loss", "coverage", "coverage_ema", "gradient_ratio", "control/tau", "hierarchy"}
    mean = rows[0]["coverage"]
    for r in rows:
        r["coverage_ema"] = mean = 0.9 * mean + 0.1 * r["coverage"]
    for tag, got in shown.items():
        expected, last = [], (0, NAN)
        for r in [r for r in rows if tag in r]:
            if not expected or abs(r[tag] - expected[-1][1]) > 0.05 * abs(expected[-1][1]):
                expected.append((r["step"], r[tag]))
            last = r["step"], r[tag]
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        due = [last] if last[0] > expected[-1][0] else []
        np.testing.assert_allclose(points(tmp_path)[tag], [*expected, *due], rtol=1e-6)
    assert len(shown["control/tau"]) == len(shown["gradient_ratio"]) == 1
    assert 5 < len(shown["coverage"]) < 30


def test_a_share_of_nothing_shows_every_change_and_only_changes(tmp_path):
    to = opened(tmp_path, share=0.0)
    for step, value in enumerate([1.0, 1.0, 1.0 + 1e-6, 0.0, 0.0, -1e-30], 1):
        log.write(to, [row(step, hierarchy=value)])
    assert [step for step, _ in points(tmp_path)["hierarchy"]] == [1, 3, 4, 6]


def test_a_resumed_tensorboard_is_that_of_an_undisturbed_run(tmp_path):
    rows = [row(k, coverage=1 - math.exp(-k / 4), hierarchy=-k / 30 if k % 6 == 1 else NAN) for k in range(1, 30)]
    once, twice = opened(tmp_path / "once"), opened(tmp_path / "twice")
    for r in rows:
        log.write(once, [r])
    for r in rows[:20]:
        log.write(twice, [{**r, "loss": 999.0 * r["step"]} if r["step"] > 12 else r])
    twice = opened(tmp_path / "twice", step=12)
    assert max(step for series in points(tmp_path / "twice").values() for step, _ in series) == 12
    for r in rows[12:]:
        log.write(twice, [r])
    log.close(once)
    log.close(twice)
    assert points(tmp_path / "once") == points(tmp_path / "twice")
    assert len(list((tmp_path / "twice/tensorboard/run_000").iterdir())) == 1


def test_runs_have_their_own_folders_hyperparameters_and_histograms(tmp_path):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData  # pyright: ignore[reportAttributeAccessIssue]

    to = opened(tmp_path, runs=2)
    values = {"params/encoder": np.array([[1.0, 2.0], [2.0, np.nan]]), "params/none": np.array([np.inf])}
    log.write(to, [row(1), row(1, run=1)], {1: values})
    folders = sorted(path.name for path in (tmp_path / "tensorboard").iterdir())
    assert folders == ["run_000", "run_001"]
    for run in range(2):
        all_events = events(tmp_path, run)
        assert all_events[0].file_version == "brain.Event:2"
        assert all_events[-1].wall_time == pytest.approx(
            to.began + 0.01, rel=0, abs=1e-4
        )  # of the row, though it be shown again
        assert all_events[1].session_log.status == all_events[1].session_log.START
        values = {value.tag: value for event in all_events for value in event.summary.value}
        parsed = {
            tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
            for tag, value in values.items()
            if value.metadata.plugin_data.plugin_name == "hparams"
        }
        hypers = parsed["_hparams_/session_start_info"].session_start_info.hparams
        assert {k: v.number_value for k, v in hypers.items()} == {
            "seed": 7 + run,
            "train.learning_rate": 1e-3 * (run + 1),
        }
        infos = parsed["_hparams_/experiment"].experiment.metric_infos
        assert [info.name.tag for info in infos] == list(NAMES)
        histograms = {tag: value.histo for tag, value in values.items() if value.HasField("histo")}
        assert set(histograms) == ({"params/encoder"} if run else set())
        for histogram in histograms.values():
            assert (histogram.num, histogram.min, histogram.max, sum(histogram.bucket)) == (3, 1, 2, 3)


def test_torch_is_neither_imported_nor_hidden_afterwards():
    code = (
        "import sys, threading; from ternary_jax.engine import log; assert 'tensorboardX' not in sys.modules\n"
        "log._tensorboardx()\n"
        "assert 'torch' not in sys.modules and threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("share", [None, 0.01])
def test_a_full_disk_is_one_sentence_and_a_workdir_that_resumes(tmp_path, share):
    """A limit on the size of files stands for the disk."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "from pathlib import Path; from ternary_jax.engine import log, task\n"
        "to = log.open_log(Path(sys.argv[1]), 0, [{'run': 0, 'seed': 0, 'hypers': {}}], ['coverage'], 'coverage', "
        f"{share}, 0.0)\n"
        "try:\n"
        "  for k in range(10**6): log.write(to, [{'run': 0, 'step': k, 'wall_s': 1.0, 'loss': 2.0 ** (k % 9)}])\n"
        "except task.RunError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    full = max(tmp_path.rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    assert done.stdout == (
        f"{full} cannot be written (File too large): free some space, or make it writable, and start again "
        "with the same workdir\n"
    )
    steps = [r["step"] for r in map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines()[:-1])]
    opened(tmp_path, step=steps[-1], share=None)
    assert [r["step"] for r in lines(tmp_path)] == steps


def test_what_cannot_be_written_for_another_reason_says_so(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(
        RunError, match=r"metrics\.jsonl cannot be written \(Is a directory\): free some space, or make"
    ):
        log.write_whole(tmp_path / "metrics.jsonl", b"x")


def test_the_process_began_before_its_imports():
    code = (
        "import time; t = time.time(); time.sleep(0.3)\n"
        "from ternary_jax.provenance import process_start; print(t, process_start())"
    )
    start = time.time()
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, began = map(float, told.split())
    assert start - 0.05 < began < first


ROWS = [row(100, coverage=0.5, hierarchy=-0.3), row(100, run=1, coverage=0.6, hierarchy=0.1), row(100, run=2)]


def test_the_progress_line_tells_medians_and_how_many_run():
    one = terminal.progress_line(ROWS[:1], NAMES, 10, 1, 61234.5, 12.34)
    assert one == "epoch 3/10, 12.3 s left, loss 0.9901, coverage 0.50000, hierarchy -0.30000, 61k/s"
    several = terminal.progress_line(ROWS, NAMES, 10, 8, 61e3, 4000)
    assert several == "3 of 8 runs, epoch 3/10, 67 min left, loss 0.9901, coverage 0.50000, hierarchy -0.10000, 61k/s"
    unmeasured = terminal.progress_line([row(39, q=2.0, coverage=NAN, loss=NAN)], NAMES, 10, 1, 1.0, 9e3)
    assert unmeasured == "epoch 1/10, 2.5 h left, loss nan, q 2.00000, 1/s"


def test_without_a_terminal_progress_is_plain_lines_now_and_then(capfd):
    printed = terminal.progress("a", 60.0)
    assert terminal.progress("b", 60.0, printed) == printed
    terminal.say("careful")
    terminal.progress()
    terminal.progress("c", 0.0, printed)
    assert capfd.readouterr().err == "a\ncareful\nc\n"


def test_on_a_terminal_progress_is_one_line_that_words_do_not_garble():
    """What a screen of 20 columns would show, by the meaning of carriage return and line feed."""
    code = (
        "import sys; from ternary_jax import terminal\n"
        "p = terminal.progress('a line far longer than the terminal is wide', 60.0)\n"
        "p = terminal.progress('rather short', 60.0, p); terminal.say('careful'); terminal.progress('end', 60.0, p)\n"
        "terminal.progress(); print('table')"
    )
    ours, theirs = pty.openpty()
    import fcntl
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 20, 0, 0))
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=theirs, stderr=theirs, check=True)
    os.close(theirs)
    text = os.read(ours, 10000).decode().replace("\r\n", "\n")
    os.close(ours)
    screen, column = [[]], 0
    for sign in text:
        if sign in "\r\n":
            column = 0
            screen += [[]] if sign == "\n" else []
        else:
            screen[-1][column:] = [sign, *screen[-1][column + 1 :]]
            column += 1
    assert all(len(line) < 20 for line in screen)
    assert ["".join(line).rstrip() for line in screen] == ["careful", "table", ""]
    assert "a line far longer " in text


def finished(rows, runs, targets, **facts):
    stops = [{"reason": "diverged" if k == 1 else "converged", "step": 300 + k, "detail": "so"} for k in range(runs)]
    described = [describe(k, stop=stops[k]) for k in range(runs)]
    return log.summary(rows, "ternary", METRICS, described, targets, **facts)


def test_a_summary_says_what_a_loop_over_the_rows_says():
    rng = np.random.default_rng(1)
    rows = [
        row(step, run, coverage=rng.random(), **({"hierarchy": rng.normal(), "q": NAN} if step % 200 == 0 else {}))
        for step in range(100, 1100, 100)
        for run in range(3)
    ]
    rows[-1]["coverage"] = NAN
    targets = {"coverage": 0.5, "hierarchy": 0.4}
    out = json.loads(json.dumps(finished(rows, 3, targets, compile_s=1.5, richness=math.inf), allow_nan=False))
    assert (out["task"], out["compile_s"], out["richness"]) == ("ternary", 1.5, None)
    assert (out["steps"], out["wall_s"]) == (1000, 10.0)
    assert out["stop"] == ["converged", "diverged", "converged"]
    assert out["metrics"]["hierarchy"] == {"ceiling": -0.832, "chance": 0.0, "untrained": 0.35, "better": "lower"}
    assert out["metrics"]["q"] == {"ceiling": None, "chance": None, "untrained": None, "better": "higher"}
    for run in range(3):
        own, told = [r for r in rows if r["run"] == run], out["runs"][run]
        assert told["seed"] == 7 + run
        assert told["hypers"] == {"train.learning_rate": 1e-3 * (run + 1)}
        assert told["stop"]["step"] == 300 + run
        highest = max((r for r in own if r["coverage"] <= 1.0001), key=lambda r: r["coverage"])
        lowest = min((r for r in own if r.get("hierarchy", -9) > -0.8321), key=lambda r: r["hierarchy"])  # no collapse
        assert told["best"] == {
            "coverage": {"value": highest["coverage"], "step": highest["step"]},
            "hierarchy": {"value": lowest["hierarchy"], "step": lowest["step"]},
        }
        coverage = None if run == 2 else own[-1]["coverage"]
        assert told["final"] == {"coverage": coverage, "hierarchy": own[-1]["hierarchy"], "q": None}
        met = [r["wall_s"] for r in own if r["coverage"] >= 0.5 and -0.8321 < r.get("hierarchy", 1) <= 0.4]
        assert out["time_to_ceiling_s"][run] == (met[0] if met else None)
    assert [t is None for t in out["time_to_ceiling_s"]] != [True] * 3
    alone = finished([r for r in rows if r["run"] == 0], 1, targets)
    assert (alone["stop"], alone["time_to_ceiling_s"]) == ("converged", out["time_to_ceiling_s"][0])
    assert finished(rows, 3, {})["time_to_ceiling_s"] == [None] * 3
    assert finished([], 1, targets)["runs"][0]["final"] == {}


def test_the_table_of_one_run_and_of_several():
    rows = [row(100, coverage=0.9, hierarchy=-0.5), row(200, coverage=0.8), row(300, coverage=0.85, hierarchy=1e-5)]
    one = tables.of_run(finished(rows, 1, {"coverage": 0.9}, samples_per_s=61e3)).splitlines()
    assert one[0] == "converged; step 300; 3.0 s; 61,000 samples/s; targets met after 1.0 s"
    assert one[2].split() == ["metric", "final", "best", "at", "step", "ceiling", "chance", "untrained"]
    assert one[3].split() == ["coverage", "0.85000", "0.90000", "100", "1", "5e-05", "0"]
    assert one[4].split() == ["hierarchy", "1.00e-05", "-0.50000", "100", "-0.832", "0", "0.35"]
    assert one[5].split() == ["q", *"------"]
    assert len({len(line) for line in one[2:]}) == 1
    rows = [row(300, run, coverage=c, hierarchy=h) for run, (c, h) in enumerate([(0.5, -0.8), (NAN, 0.2), (0.7, -0.6)])]
    several = tables.of_run(finished(rows, 3, {"coverage": 0.9})).splitlines()
    assert several[0] == "2 of 3 runs converged, diverged: run 1; step 302; 3.0 s; targets not met"
    assert several[2].split() == ["metric", "median", "worst", "best", "ceiling", "chance", "untrained"]
    assert several[3].split() == ["coverage", "0.60000", "0.50000", "0.70000", "1", "5e-05", "0"]
    assert several[4].split() == ["hierarchy", "-0.60000", "0.20000", "-0.80000", "-0.832", "0", "0.35"]


def test_a_table_says_what_is_too_good_to_be_true():
    rows = [row(300, run, coverage=1.0, hierarchy=h) for run, h in enumerate([-0.8, -0.99, -0.8321])]
    assert tables.of_run(finished(rows, 3, {})).splitlines()[-1].startswith("hierarchy is beyond its ceiling in run 1:")
    assert "beyond" not in tables.of_run(finished(rows[:1], 1, {}))


def test_provenance_is_that_of_the_checkout():
    told = provenance()
    assert told["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(told["versions"]) == {"python", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ternary_jax"}
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if head.returncode == 0:
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT).returncode
        assert told["commit"] == head.stdout.strip() + "-dirty" * changed

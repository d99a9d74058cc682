"""The workdir of a stranger: reading runs none of its code and changes nothing outside; what is refused is a sentence.

Further attacks, on sizes and values, are in test_untrusted_values.py.
"""

import json
import os
import shutil

import jax
import numpy as np
import pytest
import small
from few_rows import NAMES, describe, row
from stranger import CONFIG, TERA, at_once, claim_of, command, edit, npz, saved

from ternary_jax import main, terminal, workdir
from ternary_jax.config import ConfigError, load_config, split
from ternary_jax.engine import start
from ternary_jax.errors import RunError, WorkdirError
from ternary_jax.vae.controllers import statenet_network
from ternary_jax.workdir import checkpoint, claim, exports, files, rows, tensorboard
from ternary_jax.workdir.checkpoint import CheckpointError, Policy

DEEP = "[" * 100_000
# A StateNet, and the losses that it turns.
STATENET = {
    **{"control": "schedules+statenet", "model__cross_injection": True, "model__curvature": "controlled"},
    **{f"losses__{name}__on": "AB" for name in ("prior", "stratification", "ranking", "alignment")},
    **{"losses__entropy__on": "B"},
    **{f"model__{b}__posterior": "wrapped" for b in "AB"},
    **{f"model__{b}__projection": "exp_map" for b in "AB"},
}
ABSTRACT = {"x": jax.ShapeDtypeStruct((1, 3), np.float32)}
ESCAPE = "\x1b[2J"


# --- code -------------------------------------------------------------------------------------------------------------


def test_a_task_that_only_the_workdir_names_is_not_imported(run, tmp_path, monkeypatch, capsys):
    (tmp_path / "evil.py").write_text("raise SystemExit('its code ran')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    edit(run / "config.json", task="evil")
    (run / "summary.json").unlink()  # the metrics would come from the task
    status, said = command(capsys, run)
    assert (status, said.count("\n")) == (2, 1)
    assert "config.task=evil is no task of this package, and code that only a workdir names is not run" in said
    assert "--task=evil" in said
    opened = workdir.open(run)
    for read in (opened.model, lambda: opened.metrics, lambda: opened.criteria):
        with pytest.raises(WorkdirError, match=r"config\.task=evil is no task of this package"):
            read()
    with pytest.raises(WorkdirError, match="SystemExit: its code ran"):
        workdir.open(run, task="evil").model()
    with pytest.raises(ConfigError, match="task is evil there and toy here"):
        claim.look(run, load_config(CONFIG))


@pytest.mark.parametrize(
    "name", ["ternary_jax.vae.task.evil", "ternary_jax", "ternary_jax.main", "toy", "a b", "..", "os"]
)
def test_of_this_package_tasks_alone_are_imported(run, name):
    edit(run / "config.json", task=name)
    with pytest.raises(WorkdirError, match=r"is no task of this package|is not the name of a module"):
        workdir.open(run).model()


def test_the_user_names_a_task_of_their_own(run, capsys):
    (run / "summary.json").unlink()
    (run / "metrics.jsonl").write_text("")
    status, said = command(capsys, run, "--task=toy")
    assert status == 2
    assert "has no evaluation yet" in said
    assert set(workdir.open(run, task="toy").metrics) == {"error", "distance"}


@pytest.mark.parametrize("key", ["start__workdir", "statenet__params"])
def test_a_path_that_a_workdir_names_is_not_opened(tmp_path, monkeypatch, key):
    """They are used when a training starts; whoever reads its workdir has the parameters."""
    given = {"start__groups": ("encoder_A",)} if key == "start__workdir" else STATENET
    (tmp_path / "outside").mkdir()
    config = small.config(**{key: str(tmp_path / "outside"), **given})
    (tmp_path / "run").mkdir()
    files.write_json(tmp_path / "run" / "config.json", claim.contents(config))
    for name in ("open", "stat", "lstat", "listdir", "scandir"):
        monkeypatch.setattr(os, name, unless_below(tmp_path / "outside", getattr(os, name)))
    assert "coverage_A" in workdir.open(tmp_path / "run").metrics


def unless_below(folder, call):
    def checked(path=".", *args, **how):
        assert not str(path).startswith(str(folder)), f"{path} is opened"
        return call(path, *args, **how)

    return checked


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("train.epochs", -5), ("train.learning_rate", "x"), ("train.batch_size", [3]), ("seed", [1, 2])),
        *(("grokking.plateaus", [5, 15]), ("grokking.plateaus", 5)),
    ],
)
def test_values_of_a_workdir_are_checked_before_they_are_used(run, capsys, key, value):
    edit(run / "config.json", **{key: value})
    with pytest.raises(WorkdirError, match=rf"config\.{key}"):
        workdir.open(run, task="toy").model()
    if key != "seed":
        status, said = command(capsys, run)
        assert (status, said.count("\n")) == (2, 1)
        assert f"config.{key}=" in said


# --- what lies outside ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["config.json.part", "metrics.jsonl.part", "summary.json.part", "analysis.json.part"])
def test_a_link_at_the_name_of_a_half_written_file_is_not_followed(run, outside, part):
    (run / part).symlink_to(outside / "thesis.tex")
    files.write_whole(run / part.removesuffix(".part"), b"new")
    assert (run / part.removesuffix(".part")).read_bytes() == b"new"
    assert not (run / part).is_symlink()


def test_a_figure_is_not_drawn_through_a_link(run, outside):
    from ternary_jax.analysis import data, figures

    (run / "analysis.png").symlink_to(outside / "thesis.tex")
    opened = workdir.open(run)
    found = data.analyse(opened) | {"task": "$\\frac{"}  # not a formula
    assert [*figures.draw(found, opened.rows(), run)]
    assert (run / "analysis.png").read_bytes().startswith(b"\x89PNG")
    assert not (run / "analysis.png").is_symlink()


@pytest.mark.parametrize("to", ["thesis.tex", "new"])
def test_a_link_in_place_of_the_lock_or_of_a_log_is_refused(run, outside, to):
    config = load_config(CONFIG)
    for name in (".lock", "metrics.jsonl"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(outside / to)
    with pytest.raises(RunError, match=r"\.lock is a link: a file of a workdir has to be a plain one"):
        claim.claim(run, config).__enter__()
    for use in (
        lambda: rows.write(rows.Log(run / "metrics.jsonl", 0.0), [row(9)]),
        lambda: rows.open_log(run, 9, 0.0, 1),
        lambda: rows.read(run),
    ):
        with pytest.raises(WorkdirError, match=r"metrics\.jsonl is a link"):
            use()


@pytest.mark.parametrize("folder", ["checkpoints", "embeddings", "damaged", "tensorboard", "tensorboard/run_000"])
def test_a_linked_folder_is_refused(run, outside, folder):
    if (run / folder).is_dir():
        shutil.rmtree(run / folder)
    (run / folder).parent.mkdir(exist_ok=True)
    (run / folder).symlink_to(outside)
    (run / "checkpoints" / "8" / "_CHECKPOINT_METADATA").unlink(missing_ok=True)  # restoring moves it to damaged/
    with pytest.raises(WorkdirError, match=rf"{folder} is a link: a folder inside a workdir has to be a plain one"):
        write_everything(run)


def write_everything(run):
    """What a training writes in folders."""
    exports.write(run, 0, {"x": np.zeros(3)})
    log = rows.Log(run / "metrics.jsonl", 0.0)
    metrics, further = dict(zip(NAMES, NAMES, strict=True)), {"loss": "loss"}
    tensorboard.open_board(log, [row(9)], [describe(0)], metrics, further, "coverage", 0.1)
    store = checkpoint.open_store(run / "checkpoints", Policy(9, 0, 0), print)
    checkpoint.restore(store, ABSTRACT)


def test_a_linked_folder_is_not_read(run, outside):
    for folder, read in (("embeddings", workdir.Run.embeddings), ("checkpoints", workdir.Run.checkpoint)):
        (run / folder).rename(run.parent / folder)
        (run / folder).symlink_to(run.parent / folder)
        with pytest.raises(WorkdirError, match=f"{folder} is a link"):
            read(workdir.open(run))


def test_links_among_the_checkpoints_are_not_followed(run, outside):
    for name in ("7.deleted", "7.orbax-checkpoint-tmp", "9", "3.deleted"):
        (run / "checkpoints" / name).symlink_to(outside)
    (run / "damaged").mkdir()
    (run / "damaged" / "9").symlink_to(outside / "new")
    said = []
    store = checkpoint.open_store(run / "checkpoints", Policy(9, 0, 0), said.append)
    step, *_ = checkpoint.restore(store, ABSTRACT) or (None,)
    assert step == 8
    assert [text.partition(": moved")[0] for text in said] == [
        f"checkpoint 9 is damaged ({run}/checkpoints/9 is a link)"
    ]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["4", "8"]
    assert sorted(path.name for path in (run / "damaged").iterdir()) == ["9", "9-again"]


def test_nothing_is_appended_to_a_file_that_has_another_name(run, outside):
    (run / "metrics.jsonl").unlink()
    os.link(outside / "thesis.tex", run / "metrics.jsonl")
    rows.write(rows.Log(run / "metrics.jsonl", 0.0), [row(9)])
    text = (run / "metrics.jsonl").read_text()
    assert text == f"years of work{files.dumps(row(9))}\n"
    assert not list(run.glob("*.part"))


# --- sizes ------------------------------------------------------------------------------------------------------------


def big(n):
    chunks = {"name": "regular", "configuration": {"chunk_shape": [n]}}
    return {"shape": [n], "data_type": "uint8", "chunk_grid": chunks}


@pytest.mark.parametrize(
    ("zarr", "leaves", "reason"),
    [
        ({"shape": [TERA]}, {}, "its shape is not that of 12 bytes, as its header says"),
        (big(TERA), {}, "its shape is not that of 12 bytes, as its header says"),
        (big(TERA), {"x": f"uint8[{TERA}]"}, "its codecs is not that of 10,000,000,000,000 bytes"),
        ({}, {"x": f"float32[{TERA}, {TERA}]"}, "its shape is not that of"),
        ({}, {"x": "object[1]"}, r"its header has a leaf of 'object\[1\]'"),
        ({}, {"x": "float32[9999999999999999999999]"}, "its header has a leaf of"),
        ({}, {"x": 3}, "its header has a leaf of 3"),
        ({"codecs": [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 3}}]}, {}, "its codecs is not"),
    ],
)
def test_a_checkpoint_that_claims_more_than_there_is_is_damaged(run, zarr, leaves, reason):
    claim_of(run / "checkpoints" / "8", zarr, **leaves)
    with pytest.raises(CheckpointError, match=rf"checkpoint 8 is damaged \({reason}"):
        checkpoint.load(run / "checkpoints")
    store = checkpoint.open_store(run / "checkpoints", Policy(9, 0, 0), print)
    if str(TERA) in str(leaves):  # a state, but another than that of this program: the config does not fit
        with pytest.raises(CheckpointError, match="another state than this program"):
            checkpoint.restore(store, ABSTRACT)
    else:
        assert (checkpoint.restore(store, ABSTRACT) or (None,))[0] == 4


def test_a_checkpoint_that_is_a_hole_is_damaged(run):
    folder = claim_of(run / "checkpoints" / "8", None, x=f"uint8[{TERA}]")
    claimed = json.loads((folder / "state/bytes/zarr.json").read_text().replace("[12]", f"[{TERA}]"))
    edit(folder / "state/bytes/zarr.json", **claimed)
    with (folder / "state/bytes/c/0").open("wb") as file:
        file.truncate(TERA + 20)
    with pytest.raises(CheckpointError, match=r"0 has 10,000,000,000,020 bytes, most of them a hole"):
        checkpoint.load(run / "checkpoints")


@pytest.mark.parametrize("name", ["state", "state/bytes", "state/bytes/c", "state/bytes/c/0", "_CHECKPOINT_METADATA"])
def test_a_link_or_a_fifo_inside_a_checkpoint_is_damage(run, outside, name):
    path = run / "checkpoints" / "8" / name
    path.rename(run / "moved")
    path.symlink_to(run / "moved")
    with pytest.raises(CheckpointError, match=rf"checkpoint 8 is damaged \(.*{name} is a link\): load another"):
        checkpoint.load(run / "checkpoints")
    path.unlink()
    os.mkfifo(path)
    with at_once(), pytest.raises(CheckpointError, match=rf"checkpoint 8 is damaged \(.*{name} is a FIFO\): load"):
        checkpoint.load(run / "checkpoints")


def test_leaves_that_lie_in_each_other_are_damage(run):
    for leaves in ({"x/y": "float32[0]"}, {"/".join("a" * 9999): "float32[0]"}):
        folder = saved(run, 16 + len(next(iter(leaves))))
        claim_of(folder, **leaves)
        with pytest.raises(CheckpointError, match=r"is damaged \(its leaf .* (lies below|has more than 16 parts)"):
            checkpoint.load(run / "checkpoints", int(folder.name))


def test_orbax_reads_what_is_read_here(run):
    """The reader relies on what Orbax writes; a release that writes otherwise fails here."""
    state = {"a": np.arange(5, dtype=np.int32), "b": {"c": np.linspace(0, 1, 200_000, dtype=np.float32)}}
    folder = saved(run, 12, state)
    ocp, context = checkpoint.orbax_and_context()
    with context():
        theirs = ocp.load(folder, {"bytes": np.ndarray})["bytes"]
    _, ours, _ = checkpoint.load(run / "checkpoints", 12)
    assert theirs.tobytes() == ours["a"].tobytes() + ours["b"]["c"].tobytes()
    np.testing.assert_array_equal(ours["b"]["c"], state["b"]["c"])


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"compressed": True}, r"x\.npy is compressed, which no run has written"),
        ({"times": 3}, r"its arrays claim 6,000,384 bytes, and it has 2,000"),
        (
            {"header": f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({TERA},)}}"},
            "claims 10,000,000,000,000 bytes",
        ),
        ({"header": "{'descr': '|O', 'fortran_order': False, 'shape': (12,)}"}, "claims 96 bytes of object"),
    ],
)
def test_an_export_that_claims_more_than_there_is_is_damaged(run, how, reason, tmp_path):
    npz(run / "embeddings" / "run_000.npz", **how)
    with pytest.raises(WorkdirError, match=rf"run_000\.npz is damaged \(.*{reason}"):
        workdir.open(run).embeddings()
    with pytest.raises((WorkdirError, ValueError), match=reason):
        statenet_network.load(run / "embeddings" / "run_000.npz")


# --- what is no file --------------------------------------------------------------------------------------------------

READERS = {
    "config.json": lambda run: workdir.open(run),
    "metrics.jsonl": lambda run: workdir.open(run).rows(),
    "summary.json": lambda run: workdir.open(run).summary,
    "embeddings/run_000.npz": lambda run: workdir.open(run).embeddings(),
}


@pytest.mark.parametrize("name", READERS)
def test_a_fifo_or_a_socket_in_place_of_a_file_is_refused_at_once(run, name):
    (run / name).unlink()
    os.mkfifo(run / name)
    with at_once(), pytest.raises(WorkdirError, match=f"{name} is a FIFO: a file of a workdir has to be a plain one"):
        READERS[name](run)
    with at_once(), pytest.raises(RunError, match="is a FIFO"):
        files.append(run / name, b"x")


@pytest.mark.parametrize("name", READERS)
def test_a_link_to_a_device_is_refused_at_once(run, name):
    (run / name).unlink()
    (run / name).symlink_to("/dev/zero")
    with at_once(), pytest.raises(WorkdirError, match=f"{name} is a link"):
        READERS[name](run)


@pytest.mark.parametrize("size", [TERA, 2**27])
@pytest.mark.parametrize("name", READERS)
def test_a_hole_in_place_of_a_file_is_refused_at_once(run, name, size):
    with (run / name).open("r+b") as file:
        file.truncate(size)
    refused = rf"{name}.* has {size:,} bytes, most of them a hole"
    with at_once(), pytest.raises(WorkdirError, match=refused):
        READERS[name](run)
    if name == "metrics.jsonl":
        with at_once(), pytest.raises(WorkdirError, match=refused):
            rows.open_log(run, 9, 0.0, 1)


def test_a_line_that_no_run_has_written_is_refused(run):
    (run / "metrics.jsonl").write_bytes(bytes(2**21))
    with at_once(), pytest.raises(WorkdirError, match="has a line of more than"):
        rows.read(run)


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "summary.json"])
@pytest.mark.parametrize("text", [DEEP, '{"task": ' * 900 + "1" + "}" * 900, "[]", "3", "null", '"x"'])
def test_json_that_is_deep_or_no_object_is_damaged(run, name, text, capsys):
    (run / name).write_text(text + "\n")
    with pytest.raises(WorkdirError, match=rf"{name} is damaged|so it is no workdir"):
        READERS[name](run)
    status, said = command(capsys, run)
    assert (status, said.count("\n")) == (2, 1)
    if name == "config.json":
        with pytest.raises(RunError, match=r"config\.json is damaged"):
            claim.look(run, load_config(CONFIG))
    elif name == "metrics.jsonl":
        assert rows.open_log(run, 9, 0.0, 1)[1] == []
    else:
        assert claim.look(run, load_config(CONFIG)) == claim.Found(damaged=True)  # it is written anew


@pytest.mark.parametrize(
    "change",
    [{"task": 5}, {"runs": "x"}, {"runs": True}, {"runs": 10**30}, {"seed": {"a": 1}}, {"a b": 1}, {"seed": None}],
)
def test_a_config_of_another_form_is_damaged(run, change):
    edit(run / "config.json", **change)
    with pytest.raises(WorkdirError, match=r"config\.json is damaged \("):
        workdir.open(run)


@pytest.mark.parametrize(
    "change",
    [
        *({"runs": None}, {"runs": []}, {"runs": [{}]}, {"metrics": []}, {"metrics": {"q": {"better": "up"}}}),
        *({"criteria": [{"name": 3}]}, {"finished": "yes"}, {"wall_s": "x"}, {"targets": {"q": [1]}}, {"task": []}),
    ],
)
def test_a_summary_of_another_form_is_damaged(run, change, capsys):
    edit(run / "summary.json", **change)
    with pytest.raises(WorkdirError, match=r"summary\.json is damaged \("):
        assert workdir.open(run).summary
    status, said = command(capsys, run)
    assert (status, said.count("\n")) == (2, 1)
    assert claim.look(run, load_config(CONFIG)) == claim.Found(damaged=True)  # it is written anew


def test_a_finished_summary_that_lacks_something_is_a_sentence(run, capsys):
    files.write_json(run / "summary.json", {"finished": True})
    with pytest.raises(SystemExit) as ended:
        main.main([f"--config={CONFIG}", f"--workdir={run}"])
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"{run}/summary.json has no 'metrics'")


@pytest.mark.parametrize(
    "line",
    [
        *('{"run": 0, "step": 9, "wall_s": 1, "seed": ' + seed for seed in ("null}", "0.5}", "-1}", "4294967296}")),
        *(
            '{"run": 0, "step": 9, "wall_s": "x"}',
            '{"run": 1, "step": 9, "wall_s": 1}',
            '{"run": 0, "wall_s": 1}',
        ),
        *(
            '{"run": 0, "step": 1e9, "wall_s": 1}',
            '{"run": -1, "step": 9, "wall_s": 1}',
            '{"run": 0, "step": 9}',
        ),
        *(
            '{"run": 0, "step": 9, "wall_s": 1, "loss": "x"}',
            '{"run": 0, "step": 9, "wall_s": 1, "loss": [1]}',
        ),
        *('{"run": 0, "step": 9, "wall_s": 1, "loss": 1' + zeros + "}" for zeros in ("0" * 400, "e300")),
    ],
)
def test_a_row_that_is_not_numbers_of_a_run_is_damaged(run, line):
    before, line = (run / "metrics.jsonl").read_text(), line.replace("{", '{"seed": 7, ')
    (run / "metrics.jsonl").write_text(f"{before}{line}\n")
    with pytest.raises(WorkdirError, match=r"line 3 of .*metrics\.jsonl is damaged \("):
        workdir.open(run).rows(0)
    assert [one["step"] for one in rows.open_log(run, 9, 0.0, 1)[1]] == [4, 8]
    assert (run / "metrics.jsonl").read_text() == before


def test_a_terminal_shows_a_name_and_does_not_obey_it(run, capsys):
    found = json.loads((run / "summary.json").read_text())
    found["metrics"][ESCAPE] = found["metrics"].pop("coverage")
    (run / "summary.json").write_text(json.dumps(found))
    _, said = command(capsys, run)
    edit(run / "config.json", task=f"{ESCAPE}\u202e")
    said += command(capsys, run)[1]
    terminal.say(f"{ESCAPE}\u202e")
    terminal.progress(ESCAPE)
    said += "".join(capsys.readouterr())
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert r"\x1b[2J" in said


# --- start.workdir ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"stop": np.zeros(1)}, r"groups=encoder_A is not in .*: there are "),
        ({"params": np.zeros(1)}, r"groups=encoder_A is not in"),
        ({"params": {"encoder_A": {"w": np.float32(1)}}}, r"groups=encoder_A has an array without runs in"),
    ],
)
def test_a_start_without_parameters_is_a_sentence(tmp_path, state, words):
    saved(tmp_path, 4, state)
    static, _ = split(small.config(start__workdir=str(tmp_path), start__groups=("encoder_A",)))
    with pytest.raises(ConfigError, match=rf"config\.start\.{words}"):
        start.load(static.start)


def test_a_model_of_a_checkpoint_without_parameters_is_a_sentence(run):
    with pytest.raises(WorkdirError, match=r"is not that of a training of 1 runs, as config\.json says"):
        workdir.open(run, task="toy").model()

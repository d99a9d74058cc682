"""A hundred cases of experiments/fuzz.py, and its ability to see a fault."""

import shutil

import fuzz
import jax
import pytest

from ternary_jax.workdir import safe_files

pytestmark = pytest.mark.slow
BEGIN, CASES = 10_000, 100


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)  # most of the time is compiling, for a few steps
    yield fuzz.trained(tmp_path_factory.mktemp("base"))
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.mark.filterwarnings("ignore")  # of a log with any values; a user reads them beside the sentence
def test_no_damage_to_a_workdir_is_a_traceback_a_hang_or_a_write_outside(base, tmp_path):
    outcomes = [fuzz.one(case, base, tmp_path) for case in range(BEGIN, BEGIN + CASES)]
    assert [(done.case, done.did, done.wrong) for done in outcomes if done.wrong] == []
    answers = {answer for done in outcomes for answer in done.answers}
    assert answers >= {"read", "analysed", "refused"}


def test_a_write_through_a_link_and_a_traceback_are_seen(base, tmp_path, monkeypatch):
    shutil.copytree(base.finished, tmp_path / "case")
    (tmp_path / "outside").mkdir()
    before = fuzz.snapshot(tmp_path)
    (tmp_path / "case" / "analysis.json.part").symlink_to(tmp_path / "outside" / "new")

    def write_through(path, parts):
        path.with_name(path.name + ".part").write_bytes(b"".join(parts))

    monkeypatch.setattr(safe_files, "replace", write_through)
    assert fuzz.answered(lambda: fuzz.analysed(tmp_path / "case", False)) == ("analysed", [])
    assert fuzz.differing(before, fuzz.snapshot(tmp_path)) == ["outside/new"]
    answer, wrong = fuzz.answered(lambda: [][0])
    assert (answer, "IndexError" in wrong[0]) == ("failed", True)

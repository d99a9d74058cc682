"""tests/mutations.py, run on a package of one line."""

import json
import subprocess

import mutations
import pytest
from mutations_table import Mutation

TESTS = "tests/test_small.py"
RIGHT = Mutation("sign", "small.py", TESTS, "a + b", "a - b")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository with a function, a test that looks at one sum, and a file that git ignores."""
    root = tmp_path / "checkout"
    (root / "tests").mkdir(parents=True)
    (root / "small.py").write_text("def add(a, b):\n    return a + b\n")
    (root / TESTS).write_text("import small\n\n\ndef test_sum():\n    assert small.add(2, 2) == 4\n")
    (root / ".gitignore").write_text("ignored\n")
    (root / "ignored").write_text("")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    plain = [word for word in mutations.PYTEST if word != "-n0"]  # not needed: no pyproject.toml asks for workers
    monkeypatch.setattr(mutations, "PYTEST", plain)
    return root


def test_every_mutation_of_the_list_is_found_in_its_file():
    mutations.check(mutations.mutations_table.MUTATIONS, mutations.ROOT)


@pytest.mark.slow
def test_what_fails_is_caught_what_passes_survives_and_what_hangs_is_a_time_out(checkout, capsys, monkeypatch):
    monkeypatch.setattr(mutations, "SLACK", 5.0)
    monkeypatch.setattr(mutations, "FACTOR", 1.0)
    table = (
        RIGHT,
        RIGHT._replace(name="product", new="a * b"),
        RIGHT._replace(name="loop", old="    return", new="    while True: pass\n    return"),
    )
    before, out = (checkout / "small.py").read_text(), checkout.parent / "out.json"
    mutations.main([f"--out={out}"], table, checkout)
    assert (checkout / "small.py").read_text() == before
    found = json.loads(out.read_text())
    told = {one["name"]: (one["caught"], one["by"], one["timed_out"]) for one in found["outcomes"]}
    by = f"{TESTS}::test_sum"
    assert told == {"sign": (True, by, False), "product": (False, "", False), "loop": (True, "", True)}
    assert (found["caught"], found["mutations"]) == (2, 3)
    said = capsys.readouterr().out
    assert "caught 2 of 3 mutations, 66.7%, 1 of them by a time-out\nsurvived: product" in said


def test_the_fast_tier_alone_catches_nothing_by_a_slow_test(checkout, capsys):
    slow = (checkout / TESTS).read_text().replace("import small", "import pytest\nimport small")
    (checkout / TESTS).write_text(slow.replace("def test", "@pytest.mark.slow\ndef test"))
    for arguments, caught in ((["--fast"], 0), ([], 1)):
        mutations.main(arguments, (RIGHT,), checkout)
        assert f"caught {caught} of 1 mutations" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "arguments", "sentence"),
    [
        ((RIGHT._replace(old="a"),), [], "'a' is found 3 times in small.py, not once"),
        ((RIGHT._replace(file="other.py"),), [], "'a \\+ b' is found 0 times in other.py"),
        ((RIGHT._replace(new="a + b"),), [], "replaced by itself"),
        ((RIGHT, RIGHT._replace(new="a * b")), [], "the name sign stands for several"),
        ((RIGHT,), ["--only=product"], "--only=product is found in no name"),
        ((RIGHT._replace(tests="tests/test_none.py"),), [], "does not pass unmutated"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(checkout, table, arguments, sentence):
    with pytest.raises(mutations.MutationError, match=sentence):
        mutations.main(arguments, table, checkout)


def test_a_copy_has_what_git_would_track_as_it_is_now(checkout, tmp_path):
    (checkout / "new.py").write_text("new = 1\n")
    copy = mutations.copied(checkout, tmp_path / "copy")
    there = {str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file()}
    assert there == {"small.py", TESTS, ".gitignore", "new.py"}

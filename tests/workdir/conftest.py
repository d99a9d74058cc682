"""Fixtures of the tests of workdirs: one that a training has left, and a folder beside it."""

import pytest
import stranger


@pytest.fixture
def outside(tmp_path):
    """A folder that nothing may change; checked at the end."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]
    assert (folder / "thesis.tex").read_text() == "years of work"


@pytest.fixture
def run(tmp_path):
    """A workdir of the toy, as a training leaves it."""
    return stranger.begun(tmp_path)

"""The tests of the engine share a compilation cache: most compile the same toy task, which takes most of their time."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def kept(kept_programs):
    """Keep the compiled programs of all tests here."""

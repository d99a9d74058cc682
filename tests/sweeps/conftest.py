"""The tests of sweeps share a compilation cache: most train the same few groups of runs."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def kept(kept_programs):
    """Keep the compiled programs of all tests here."""

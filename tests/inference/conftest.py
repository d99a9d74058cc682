"""Workdirs of small models, made once for all tests of a worker."""

import pytest
import small
import small_workdir


@pytest.fixture(scope="session")
def dual(tmp_path_factory):
    """Two runs of the dual model on 81 operations: A with a Gaussian posterior, B without."""
    config = small.config(model__A__posterior="gaussian", losses__kl__on="A", runs=2)
    return small_workdir.write(tmp_path_factory.mktemp("dual") / "run", config, steps=(8, 16))


@pytest.fixture(scope="session")
def nine(tmp_path_factory):
    """The dual model on all 19,683 operations, with tiny networks."""
    return small_workdir.write(tmp_path_factory.mktemp("nine") / "run", small.config(data__n_digits=9))

"""The digits' classifier, trained once for all tests that read it: they are marked to share a worker."""

import pytest


@pytest.fixture(scope="session")
def classifier_cache(tmp_path_factory):
    """Return a cache folder in the place of the user's."""
    return tmp_path_factory.mktemp("cache")

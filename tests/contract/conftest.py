"""The tests of one config after those of another, so that what they share is kept for one config at a time."""

import pytest

from tests.contract.cases import CONFIGS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Sort the tests that run over every config by their config; all others keep their places."""
    place = {path: index for index, path in enumerate(CONFIGS)}
    config_of = lambda item: place.get(getattr(item, "callspec", None) and item.callspec.params.get("path"))
    places = [index for index, item in enumerate(items) if config_of(item) is not None]
    ordered = sorted((items[index] for index in places), key=config_of)
    for index, item in zip(places, ordered):
        items[index] = item

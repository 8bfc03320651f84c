"""What the tests of plugins share."""

from collections.abc import Iterator

import pytest

from tensorwright import plugins


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = set(plugins.every())
    yield
    for definition in plugins.every():
        if definition not in before:
            plugins.unregister(definition)

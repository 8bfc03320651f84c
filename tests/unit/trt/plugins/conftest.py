"""Creators are registered for the time of one test."""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import tensorwright


@pytest.fixture
def registered() -> Iterator[Callable[..., Any]]:
    """register(module, creator): the creator, registered in namespace "test" or the one given."""
    made = []

    def register(trt: ModuleType, creator: Any, namespace: str = "test") -> Any:
        assert trt.get_plugin_registry().register_creator(creator, namespace)
        made.append(creator)
        return creator
    yield register
    for creator in made:
        tensorwright.get_plugin_registry().deregister_creator(creator)

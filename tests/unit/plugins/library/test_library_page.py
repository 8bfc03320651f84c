"""docs/plugin_library.md lists the plugins as they are; every function of theirs says what it computes."""

import pytest

from tensorwright import plugins
from tools.plugin_library import FILE, written

from .cases import CASES


def test_the_page_lists_the_plugins() -> None:
    text = FILE.read_text()
    assert text == written(text), "python -m tools.plugin_library writes it"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_plugin_says_what_goes_in_and_comes_out(case) -> None:
    definition = plugins.registry.require(case.name, case.version)
    said = (definition.expand or definition.compute).__doc__
    assert said and len(said) > 20

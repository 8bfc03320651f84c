"""Settings from the environment: what is no number is said, not guessed."""

import pytest

from tensorwright import settings


def test_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENSORWRIGHT_THREADS", raising=False)
    assert settings.threads() is None
    for text, value in (("", None), ("0", None), (" 3 ", 3)):
        monkeypatch.setenv("TENSORWRIGHT_THREADS", text)
        assert settings.threads() == value


@pytest.mark.parametrize("text", ["two", "-1", "1.5", "²"])
def test_other_text_is_ignored_with_a_warning(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TENSORWRIGHT_THREADS", text)
    with pytest.warns(UserWarning, match="not a whole number"):
        assert settings.threads() is None


def test_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENSORWRIGHT_AFFINITY", raising=False)
    assert settings.affinity() == ()
    for text, cores in (("", ()), ("0", (0,)), ("3, 1", (3, 1)), ("0,4-6", (0, 4, 5, 6))):
        monkeypatch.setenv("TENSORWRIGHT_AFFINITY", text)
        assert settings.affinity() == cores
    for text in ("all", "1-", "-1", "0,,1", "0x1"):
        monkeypatch.setenv("TENSORWRIGHT_AFFINITY", text)
        with pytest.warns(UserWarning, match="not a list of cores"):
            assert settings.affinity() == ()

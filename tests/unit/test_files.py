"""Files appear whole or not at all."""

import os
from pathlib import Path

import pytest

from tensorwright.files import whole_file


def test_a_file_takes_its_name_at_the_end(tmp_path: Path) -> None:
    (path := tmp_path / "a").write_text("old")
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["a"]
    (other := tmp_path / "b").write_text("")
    assert os.stat(path).st_mode == os.stat(other).st_mode, "permissions of any new file"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    (path := tmp_path / "a").write_text("old")
    with pytest.raises(error), whole_file(path) as file:
        file.write(b"half")
        raise error
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_folders_that_are_not_there_are_oserrors(tmp_path: Path) -> None:
    with pytest.raises(OSError), whole_file(tmp_path / "no" / "a"):
        pass

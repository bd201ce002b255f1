import os
from pathlib import Path

import pytest

from posthouse.server.storage import open_storage
from posthouse.server.troubles import StartError


def test_a_directory_is_made_and_serves_one_server_only(tmp_path: Path) -> None:
    lock = open_storage(tmp_path / "new" / "posthouse")
    with pytest.raises(StartError, match=f"process {os.getpid()}. already uses"):
        open_storage(tmp_path / "new" / "posthouse")
    lock.release()
    open_storage(tmp_path / "new" / "posthouse").release()


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "posthouse").write_text("")
    with pytest.raises(StartError, match="is not a directory"):
        open_storage(tmp_path / "posthouse")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StartError, match="cannot be read and written by this user"):
        open_storage(tmp_path)
    tmp_path.chmod(0o700)

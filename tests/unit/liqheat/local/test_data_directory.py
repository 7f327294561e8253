"""The folder of a local run as its readers find it: while a run holds it, and afterwards."""

from pathlib import Path

import pytest

from liqheat.local.data_directory import DATA_SUBFOLDER, fresh_data_directory, stored_in
from liqheat.platform.errors import ConfigurationError
from liqheat.platform.settings import ClickHouse


def test_the_data_of_a_running_demo_are_refused_and_read_once_it_has_ended(tmp_path: Path) -> None:
    with fresh_data_directory(tmp_path):
        (tmp_path / DATA_SUBFOLDER).mkdir()
        with pytest.raises(ConfigurationError, match=r"A demo is running on .*: stop it first, or ask its page"):
            stored_in(ClickHouse(), tmp_path)
    assert stored_in(ClickHouse(), tmp_path).data_directory == tmp_path / DATA_SUBFOLDER
    with fresh_data_directory(tmp_path):
        assert not (tmp_path / DATA_SUBFOLDER).exists()


def test_data_without_a_lock_file_are_read(tmp_path: Path) -> None:
    (tmp_path / DATA_SUBFOLDER).mkdir()
    assert stored_in(ClickHouse(), tmp_path).interface == "chdb"
    assert not (tmp_path / "lock").exists()

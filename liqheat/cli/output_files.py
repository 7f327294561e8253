"""Files that commands write: looked at before long work, so that it is not lost to a folder that is not there."""

import os
from pathlib import Path

from liqheat.platform.errors import ConfigurationError


def check_output(file: Path | None) -> None:
    """Refuse a file that cannot be written; None, which stands for standard output, always can.

    Nothing is written or made by this: a command that fails later leaves an older file as it was.

    Raises:
        ConfigurationError: it is a folder, its folder is missing or closed, or it may not be written.
    """
    if file is None:
        return
    folder = file.parent
    if file.is_dir():
        raise ConfigurationError(f"Cannot write {file}: it is a folder")
    if not folder.is_dir():
        raise ConfigurationError(f"Cannot write {file}: there is no folder {folder}")
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise ConfigurationError(f"Cannot write {file}: it is not permitted")

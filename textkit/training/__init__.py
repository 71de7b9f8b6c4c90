"""Training, checkpoints and export: the torch side of the house. Nothing here is imported when serving."""

import atexit
import contextlib
import os

_FOLDER = "TORCHINDUCTOR_CACHE_DIR"


def _remove_empty_folder() -> None:
    """torch makes a folder for compiled kernels in TMPDIR, where nothing is compiled too, and names it in the environment."""
    with contextlib.suppress(KeyError, OSError):  # OSError: kernels lie in it
        os.rmdir(os.environ[_FOLDER])


if _FOLDER not in os.environ:  # else the folder is the user's
    atexit.register(_remove_empty_folder)

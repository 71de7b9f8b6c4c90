"""Training and checkpoints: the torch side of textkit. Nothing here is imported when serving."""

import atexit
import contextlib
import os

_FOLDER = "TORCHINDUCTOR_CACHE_DIR"


def _remove_empty_folder() -> None:
    """Removes, if it is empty, the folder that torch makes in TMPDIR for compiled kernels and names in the environment."""
    with contextlib.suppress(KeyError, OSError):  # OSError: it holds kernels
        os.rmdir(os.environ[_FOLDER])


if _FOLDER not in os.environ:  # otherwise the folder is the user's
    atexit.register(_remove_empty_folder)

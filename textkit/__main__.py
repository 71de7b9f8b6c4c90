"""Runs `python -m textkit` and the script `textkit`. A Ctrl-C during the imports ends the process without a message.

Imports as little as possible before that is arranged.
"""

import os
import sys
from contextlib import suppress

with suppress(OSError, IndexError):  # a current folder that is gone
    # `python -m` looks for modules in the current folder first, so a click.py there would be run. Under `python -P`, or
    # where this file is imported, the first entry is another.
    if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]

import signal


def main() -> None:
    """Always ends in SystemExit, or at once with exit code 130 while nothing has begun that would need an orderly end."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not under nohup and the like
    if ours:
        # Not an exception: an import may swallow it or turn it into another.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from textkit.cli import main as run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()

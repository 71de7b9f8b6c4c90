"""`python -m textkit`, and what the script `textkit` runs. A Ctrl-C while the imports are under way ends it without a word.

Imports as little as can be before it can say so.
"""

import os
import sys
from contextlib import suppress

with suppress(OSError, IndexError):  # a current folder that is gone
    # `python -m` looks for modules in the current folder first: a click.py there would be run. `python -P` does not; then
    # the first entry is another, as it is where this file is imported.
    if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]

import signal


def main() -> None:
    """Always ends in SystemExit, or in exit code 130 at once: nothing is begun yet that would have to be ended well."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not under nohup and the like
    if ours:
        # Not an exception, which an import may turn into another, or swallow.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from textkit.cli import main as run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()

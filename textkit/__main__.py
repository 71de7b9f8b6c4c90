"""`python -m textkit`, and what the script `textkit` runs. A Ctrl-C while the imports are under way ends it without a word.

Imports as little as can be before it can say so.
"""

import os
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

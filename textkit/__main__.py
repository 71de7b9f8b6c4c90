"""Runs `python -m textkit` and the script `textkit`. A Ctrl-C during the imports ends the process without a message.

Imports as little as possible before that is arranged.
"""

import atexit
import gc
import os
import sys
from contextlib import suppress

with suppress(OSError, IndexError):  # a current folder that is gone
    # `python -m` looks for modules in the current folder first, so a click.py there would be run. Under `python -P`, or
    # where this file is imported, the first entry is another.
    if __name__ == "__main__" and not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]

import signal

_OBJECTS = 10_000  # that are made between two looks for dead cycles; Python's own number is 700
_code: object = None  # the exit code, once all is done


def main() -> None:
    """Always ends in SystemExit, or at once with exit code 130 while nothing has begun that would need an orderly end."""
    global _code
    if _is_the_program() and not atexit._ncallbacks():
        atexit.register(_end)  # the first to be registered is the last to be called
        # Imports make some 100,000 objects that live on. Python would look them over for dead cycles, again and again, which
        # takes a twentieth of a short command's time.
        gc.set_threshold(_OBJECTS)
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not under nohup and the like
    if ours:
        # Not an exception: an import may swallow it or turn it into another.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    from textkit.cli import main as run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except SystemExit as end:
        _code = end.code
        raise


def _is_the_program() -> bool:
    """Whether nothing follows: no other program has called this, and no debugger has something to say at the end."""
    return (sys.argv[0] == __file__ or os.path.basename(sys.argv[0]) == "textkit") and sys.gettrace() is None


def _end() -> None:
    """Ends the process. Python would first take apart all that it has imported, a fifth of the time of a short command."""
    if not isinstance(_code, int) or "torch" in sys.modules:  # torch may have devices and other processes to leave
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(_code)


if __name__ == "__main__":
    main()

"""numba's njit, which caches what it compiles only where a cache can be written. Knows no kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit(**options), without `cache` where neither the package's folder nor the user's can be written to.

    With `cache`, numba would refuse to compile there, for example in a container whose package is read-only and whose user
    has no home.
    """
    import numba

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(**options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            return numba.njit(**{**options, "cache": False})(function)

    return compiled

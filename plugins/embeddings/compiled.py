"""numba's njit, whose cache is kept where there is a place for it. Knows no kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit(**options), without `cache` where neither the package's folder nor the user's can be written to.

    numba refuses to compile anything there: in a container that runs as a user without a home, over a read-only package.
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

"""Loops over single numbers, compiled to machine code when they are first called, and kept for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop) -> Loop:
    """``loop`` by numba, in no-Python mode and without the interpreter's lock.

    The machine code is kept beside the module, or else in the user's cache; where neither can be written, each process
    compiles it again, which takes seconds.
    """
    try:
        return cast(Loop, numba.njit(nogil=True, error_model="numpy", cache=True)(loop))
    except RuntimeError:  # no folder for it
        return cast(Loop, numba.njit(nogil=True, error_model="numpy")(loop))

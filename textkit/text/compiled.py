"""Regular expressions that are compiled when the first text needs them: most texts need few, and all delay a start."""

from __future__ import annotations

import re
from functools import cache

compiled = cache(re.compile)

"""docs/scale.md: its programs run, each where the library that it is about is installed."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parent.parent / "docs" / "scale.md").read_text("utf-8")
PROGRAMS = re.findall(r"<!-- needs: (\w+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)


def test_programs_are_found():
    assert [needs for needs, _ in PROGRAMS] == ["ray", "pandas", "pyspark", "dask", "datasets"]


@pytest.mark.slow
@pytest.mark.parametrize("needs", [needs for needs, _ in PROGRAMS])
def test_each_program(tmp_path, needs):
    pytest.importorskip(needs)
    if needs != "ray":
        pytest.importorskip("pandas")
    if needs == "dask":
        pytest.importorskip("dask.dataframe")
    shared = dict(PROGRAMS)["pandas"]
    program = shared * (needs not in ("ray", "pandas")) + dict(PROGRAMS)[needs]
    if needs == "ray":
        program = program.replace("dataset =", "ray.init(num_cpus=2, include_dashboard=False)\ndataset =", 1)
    if needs == "pandas":
        program += 'import pandas\nfound = next(over_frames([pandas.DataFrame({"text": ["a house", None]})]))\n'
        program += "assert [len(one) for one in found['embedding']] == [128, 128]\nprint('embedding')\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    if needs == "pyspark" and "JAVA" in done.stderr.upper() and done.returncode:
        pytest.skip("no Java")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout
    assert importlib.import_module(needs)

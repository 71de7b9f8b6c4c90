"""Writes docs/benchmarks.md section by section: `section` replaces one section and leaves the others alone."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Each section is written by a script under `benchmarks/` that runs textkit and its peers in turn, in one run on one
machine; `make bench DATA=folder` runs them all. Seconds move from machine to machine: compare the ratios. Ratios move too,
from one maker of processors to another: each section names its maker, and a run replaces only that of its own.
"""


def section(name: str, markdown: str, page: Path = PAGE, of: str | None = None) -> None:
    """Writes `markdown`, which begins with its own heading, between the markers of `name` and the processor's maker (`of`).

    Sections of the same name from other makers' machines stay, because a ratio on one says little about another. A new
    section comes after the last one of the same name, otherwise at the end.
    """
    of = of or maker()
    begin, end = f"<!-- begin {name}, {of} -->", f"<!-- end {name}, {of} -->"
    heading, _, rest = markdown.strip().partition("\n")
    part = f"{begin}\n{heading} ({of})\n{rest}".rstrip() + f"\n{end}"
    text = page.read_text(encoding="utf-8") if page.exists() else HEAD
    others = [found.end() for found in re.finditer(f"<!-- end {re.escape(name)}, [^>]* -->", text)]
    if found := re.search(re.escape(begin) + ".*?" + re.escape(end), text, re.DOTALL):
        text = text[: found.start()] + part + text[found.end() :]
    elif others:
        text = f"{text[: others[-1]]}\n\n{part}{text[others[-1] :]}"
    else:
        text = f"{text.rstrip()}\n\n{part}\n"
    page.parent.mkdir(exist_ok=True)
    sibling = page.with_suffix(".tmp")
    sibling.write_text(text, encoding="utf-8")
    sibling.replace(page)


def maker() -> str:
    """The maker of the processor in one word: AMD, Intel, Apple, ..."""
    name = processor()
    return next((word for word in ("AMD", "Intel", "Apple", "ARM") if word in name), name.split()[0])


def machine(packages: Sequence[str] = ("numpy", "onnxruntime-gpu", "onnxruntime", "torch")) -> str:
    """One line: processor, available CPUs, Python, the versions of textkit and of the `packages` that are installed, date."""
    facts = [processor(), f"{len(os.sched_getaffinity(0))} CPUs", f"Python {platform.python_version()}"]
    for package in ("textkit-onnx", *packages):
        try:
            facts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join([*facts, time.strftime("%Y-%m-%d")])


def processor() -> str:
    """The processor's name, with the widest vector instructions it has."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    name = re.search(r"model name\s*:\s*(.*)", text)
    flags = set((re.search(r"flags\s*:\s*(.*)", text) or ["", ""])[1].split())
    widest = next((flag for flag in ("avx512_bf16", "avx512_vnni", "avx512f", "avx2") if flag in flags), "")
    return " ".join(filter(None, [name[1].strip() if name else platform.machine(), f"({widest})" if widest else ""]))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table; all columns except the first are aligned to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)

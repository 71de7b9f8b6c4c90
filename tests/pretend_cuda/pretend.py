"""Makes the stand-ins with gcc, and what tests ask of them. What needs them is skipped where gcc or CUDA's headers are missing.

Of every function that the CUDA provider takes from NVIDIA's libraries a stub is made that returns 0, unless pretend.c has it;
the functions that create something give a piece of memory. Results are rubbish. What is real: which nodes have kernels, which
copies are made and how large they are, what CUDA graphs accept, the host's own time.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import re
import shutil
import subprocess
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
HEADERS = [Path(place) for place in (os.environ.get("CUDA_HOME", "/usr/local/cuda") + "/include", "/usr/include")]
COUNTS = ("launches", "up", "down", "up_bytes", "down_bytes", "graphs", "syncs", "allocations", "busy")


def missing() -> str:
    """What is missing here for the stand-ins; '' if nothing is."""
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None or not _provider(Path(spec.origin).parent).exists():
        return "onnxruntime has no CUDA provider"
    if shutil.which("gcc") is None or shutil.which("nm") is None:
        return "no gcc or nm"
    return "" if _header() else "no CUDA headers"


def _header() -> Path | None:
    return next((place for place in HEADERS if (place / "driver_types.h").is_file()), None)


def _provider(package: Path) -> Path:
    return package / "capi" / "libonnxruntime_providers_cuda.so"


def build(base: Path) -> Path:
    """The folder with the libraries, below `base`; made unless it is there."""
    spec = find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    provider = _provider(Path(spec.origin).parent)
    source = (HERE / "pretend.c").read_text()
    told = f"{source}{Path(__file__).read_text()}{provider.stat().st_size}{provider.stat().st_mtime_ns}"
    folder = base / hashlib.sha256(told.encode()).hexdigest()[:16]
    if folder.exists():
        return folder
    part = folder.with_name(f"{folder.name}.{os.getpid()}")
    part.mkdir(parents=True)
    own = set(re.findall(r"^[\w* ]*?\b(\w+)\([^;]*?\) ?\{", source, re.MULTILINE))
    needed = subprocess.run(["objdump", "-p", provider], capture_output=True, text=True, check=True).stdout
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", provider], capture_output=True, text=True, check=True
    ).stdout
    of: dict[str, set[str]] = defaultdict(set)
    for name, library in re.findall(r"U (\w+)@(lib(?:cuda|cublas|cudnn|cufft|curand|nv)\S+)", listed):
        of[library].add(name)
    for library in re.findall(r"NEEDED +(lib(?:cuda|cublas|cudnn|cufft|curand|nv)\S+)", needed):
        of[library].update(())
    with open(provider, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = re.findall(rb"(?<=\0)cudnn[A-Z]\w+(?=\0)", data)  # asked for by name, when they are first needed
    of["libcudnn.so.9"] |= {name.decode() for name in found}
    of["libcuda.so.1"] |= {"cuInit", "cuDeviceGetCount", "cuTensorMapEncodeTiled"}
    for library, names in of.items():
        _compile(part, library, sorted(names - own), source)
    try:
        part.rename(folder)
    except OSError:  # another process was quicker
        shutil.rmtree(part)
    return folder


def _compile(folder: Path, library: str, names: list[str], source: str) -> None:
    creates = "(void **made) { *made = malloc(4096); return 0; }"
    stubs = [f"int {name}{creates if 'Create' in name else '(void) { return 0; }'}" for name in names]
    file, script = folder / f"{library}.c", folder / f"{library}.map"
    file.write_text(source + "\n".join(stubs) + "\n")
    # Every library holds all of pretend.c. Versions of symbols say that the runtime's functions are called in the runtime.
    script.write_text(f"{library} {{ global: *; }};\n")
    command = [
        "gcc", "-w", "-O1", "-pthread", "-shared", "-fPIC", f"-I{_header()}", f"-Wl,-soname,{library}",
        f"-Wl,--version-script={script}", "-o", str(folder / library), str(file),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    file.unlink()
    script.unlink()


def counts() -> dict[str, int]:
    """What this process has asked of the stand-ins since it began."""
    library = ctypes.CDLL("libcudart.so.13")
    library.pretend_counts.restype = ctypes.POINTER(ctypes.c_long)
    return dict(zip(COUNTS, library.pretend_counts()[: len(COUNTS)], strict=True))

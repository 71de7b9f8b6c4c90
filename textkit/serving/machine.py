"""What this machine has to compute with: CPUs, GPUs, and the packages and libraries that a GPU needs; and how to repair them.

Asks the operating system, the driver and the packages' metadata. onnxruntime is not imported: what it claims about GPUs is not
believed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPAIR = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
REPAIR_BOTH = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"


def cpus() -> int:
    """How many CPUs this process may use: those of its affinity, but no more than a container's quota allows."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(count, -(-int(quota) // int(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return count


def gpu_count() -> tuple[int, str]:
    """How many NVIDIA GPUs the driver has, and the reason if there is none. Asks the driver, not onnxruntime."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return 0, f"no NVIDIA driver ({name} is not there)"
    if code := driver.cuInit(0):
        return 0, f"the NVIDIA driver finds no usable GPU (cuInit: error {code})"
    count = ctypes.c_int(0)
    if code := driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0, f"the NVIDIA driver does not count its GPUs (error {code})"
    return count.value, "" if count.value else "the NVIDIA driver has no GPU"


def on_cpu(device: str) -> bool:
    """Whether a session on `device` (auto, cpu, cuda, cuda:N) will certainly compute on the CPU."""
    return device == "cpu" or (device == "auto" and not gpu_count()[0])


def cudnn_loads() -> bool:
    """Whether cuDNN 9 can be loaded, or is loaded already: onnxruntime's CUDA opens without it, and fails when it runs."""
    name = "cudnn64_9.dll" if sys.platform == "win32" else "libcudnn.so.9"
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Runtime:
    """The installed onnxruntime packages: name -> version. Two of them overwrite each other's files."""

    packages: Mapping[str, str]

    @property
    def problem(self) -> str | None:
        if not self.packages:
            return "no onnxruntime is installed: pip install onnxruntime"
        if len(self.packages) > 1:
            return f"{' and '.join(self.packages)} are both installed and overwrite each other: {REPAIR_BOTH}"
        return None


def runtime() -> Runtime:
    """Which onnxruntime packages are installed. It takes 20 ms, so it is for `textkit doctor` and for after a failure."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("onnxruntime", "onnxruntime-gpu"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return Runtime(found)

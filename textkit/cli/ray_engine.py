"""Makes the parts of a run on the machines of a Ray cluster: Ray Data deals them out to workers, each with its own model.

A part is made by the code that makes it without Ray, so that whatever is killed (a worker, the head, this process) loses no
part that is done. Ray starts a worker that was killed again and gives it the part once more. Needs ray.
"""

from __future__ import annotations

import os
import pickle
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from textkit.arguments import of_a_command_line
from textkit.cli.filtering import Answering, Filter
from textkit.cli.input_report import InputReport
from textkit.cli.options import Messages
from textkit.cli.ray_cluster import cluster, first_line, installed, joined, pool, quiet_data, silenced, watched
from textkit.errors import TextkitError, UsageError, one_line
from textkit.parts.plan import Part, Plan


class Worker:
    """One process of the cluster: loads the model once, and makes one part per call.

    Of two calls at a time one answers, while the other waits for the disk.
    """

    def __init__(self, task: bytes) -> None:
        self._error = ""
        self._answers = threading.Lock()
        try:
            with of_a_command_line():
                self._open(*pickle.loads(task))
        except Exception as error:  # said by the command, once
            self._error = f"a worker on {platform.node()}: {one_line(error)}"

    def _open(
        self,
        folder: str,
        place: str,
        plan: Plan,
        request: Filter,
        opens: Callable[..., Answering],
        encoding: str | None,
    ) -> None:
        from textkit.cli.making import model_of
        from textkit.streams.encoding import read_as

        with suppress(OSError):  # on another machine there may be no such folder; then all paths must be absolute
            os.chdir(place)
        read_as(encoding)
        self._folder, self._plan, self._request = Path(folder), plan, request
        self._answering = opens(request, Messages(quiet=True))
        found, wanted = model_of(self._answering.folder), plan.made["model"]
        if found != wanted:
            raise TextkitError(
                f"its model {found['name']} (sha256 {found['sha256'][:12]}…) is not the one of the plan, {wanted['name']} "
                f"(sha256 {wanted['sha256'][:12]}…)"
            )

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Makes the part `batch["number"]`; gives an error or "", whether no other part can be made either, and the report."""
        number = int(batch["number"][0])
        report, error, fatal = InputReport(), self._error, bool(self._error)
        if not error:
            error, fatal = self._made(self._plan.parts[number - 1], report)
        return {"number": [number], "error": [error], "fatal": [fatal], "report": [pickle.dumps(report)]}

    def _made(self, part: Part, report: InputReport) -> tuple[str, bool]:
        from textkit.cli.making import written
        from textkit.parts.writing import Unwritable

        try:
            with self._answers:
                one = written(self._folder, self._plan, part, self._request, self._answering, report)
            one.finish()
        except Unwritable as error:
            return one_line(error), True
        except Exception as error:
            return one_line(error), False
        return "", False


def made_by_ray(
    folder: Path,
    plan: Plan,
    parts: Sequence[Part],
    request: Filter,
    opens: Callable[..., Answering],
    messages: Messages,
) -> Iterator[tuple[Part, str, bool, InputReport]]:
    """Each of `parts` as it is done: an error or "", whether no other part can be made either, and what was unusual.

    Raises TextkitError where there is no Ray, where it is another version or cannot be reached, and where it ends.
    """
    from textkit.streams.encoding import chosen

    ray = installed()
    with silenced(messages), cluster(ray, request.address), watched(ray, messages, folder):
        cpus, workers = _sizes(ray, request, len(parts))
        one = _of_a_worker(request, cpus)
        task = ray.cloudpickle.dumps((str(folder.absolute()), os.getcwd(), plan, one, opens, chosen()))
        quiet_data(ray)
        numbers = ray.data.from_items([{"number": part.number} for part in parts], override_num_blocks=len(parts))
        done = numbers.map_batches(
            Worker,
            fn_constructor_args=(task,),
            batch_size=1,
            compute=pool(ray, workers, two_calls=True),
            num_cpus=cpus,
            num_gpus=request.gpus_per_worker or 0,
            max_restarts=-1,
            max_task_retries=-1,
        )
        try:
            for row in done.iter_rows():
                report = pickle.loads(row["report"])
                yield plan.parts[int(row["number"]) - 1], str(row["error"]), bool(row["fatal"]), report
        except ray.exceptions.RayError as error:
            raise TextkitError(f"Ray ended before all parts were done: {first_line(error)}") from error


def _sizes(ray: Any, request: Filter, parts: int) -> tuple[int, Any]:
    """The CPUs of a worker, and how many workers; a range where the cluster may grow."""
    cpus, gpus = request.threads or 1, request.gpus_per_worker or 0
    have = ray.cluster_resources()
    fit = int(have.get("CPU", 0)) // cpus
    if gpus:
        fit = min(fit, int(have.get("GPU", 0) / gpus))
    what = f"{cpus} CPUs" if cpus > 1 else "a CPU"
    what += f" and {gpus:g} GPUs" if gpus else ""
    has = f"the cluster has {have.get('CPU', 0):g} CPUs" + (f" and {have.get('GPU', 0):g} GPUs" if gpus else "")
    if joined(request.address) is None or not request.workers:
        if fit < (request.workers or 1):
            asked = f"--workers {request.workers}" if request.workers else "--engine ray"
            raise UsageError(f"{asked}: each worker takes {what}, and {has}")
        return cpus, min(request.workers or fit, parts)
    return cpus, (1, min(request.workers, parts)) if request.workers > fit else min(request.workers, parts)


def _of_a_worker(request: Filter, cpus: int) -> Filter:
    import copy

    from textkit.cli.progress import Input

    one = copy.copy(request)
    one.threads, one.workers, one.source = cpus, None, Input()
    return one

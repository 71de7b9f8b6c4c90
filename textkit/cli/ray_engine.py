"""Makes the parts of a run on the machines of a Ray cluster: Ray Data deals them out to workers, each with its own model.

A part is made by the code that makes it without Ray, so that whatever is killed (a worker, the head, this process) loses no
part that is done. Ray starts a worker that was killed again and gives it the part once more. Needs ray.
"""

from __future__ import annotations

import inspect
import logging
import os
import pickle
import platform
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from textkit import signals
from textkit.arguments import of_a_command_line
from textkit.cli.filtering import Answering, Filter
from textkit.cli.input_report import InputReport
from textkit.cli.options import Messages
from textkit.errors import TextkitError, UsageError, one_line, pip_install
from textkit.parts.plan import Part, Plan

_PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"  # how long Ray itself waits for its head
_SECONDS = 10.0  # to answer a connection
OLDEST = (2, 10)  # the first version whose pools of actors are sized as here


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
    with silenced(messages), cluster(ray, request.address), _watched(ray, messages, folder):
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
            raise TextkitError(f"Ray ended before all parts were done: {_first_line(error)}") from error


def pool(ray: Any, workers: int | tuple[int, int], two_calls: bool = False) -> Any:
    """What Ray Data keeps its actors in: so many, or from least to most.

    `two_calls`: whether each of them is given a second call while it is at the first, if this version of Ray can do so.
    """
    least, most = (workers, workers) if isinstance(workers, int) else workers
    options: dict[str, Any] = {"min_size": least, "max_size": most}
    known = inspect.signature(ray.data.ActorPoolStrategy.__init__).parameters
    if two_calls and "enable_true_multi_threading" in known and "max_concurrent_calls_per_actor" in known:
        options |= {"max_concurrent_calls_per_actor": 2, "enable_true_multi_threading": True}
        options["max_tasks_in_flight_per_actor"] = 2  # none waits in a queue while another actor is free
    return ray.data.ActorPoolStrategy(**options)


def installed() -> Any:
    """The package ray. Raises TextkitError where it is not installed or too old."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # textkit reports nothing to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # stderr is for one line
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise TextkitError(f"this needs Ray ({one_line(error)}): {pip_install('ray')}") from None
    version = tuple(int(part) for part in ray.__version__.split(".")[:2] if part.isdecimal())
    if version < OLDEST:
        raise TextkitError(
            f"Ray {ray.__version__} is too old; {'.'.join(map(str, OLDEST))} or newer: {pip_install('ray')}"
        )
    return ray


@contextmanager
def cluster(ray: Any, address: str | None) -> Iterator[None]:
    """Joins the cluster at `address`, or starts one on this machine alone. One that was joined before stays as it is.

    Without an address, Ray itself would join one whose head was killed, if it was the last on this machine, and wait for it.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    _check_address(address)
    here: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address is None else {}
    try:
        ray.init(
            address or "local", log_to_driver=False, logging_level=logging.CRITICAL, configure_logging=True, **here
        )
    except Exception as error:  # ConnectionError, RuntimeError for another version, ValueError for a wrong address
        where = f"Ray at {address}" if address else "Ray"
        why = _of_a_token(error) or _first_line(error)
        raise TextkitError(f"{where} cannot be {'reached' if address else 'started'}: {why}") from error
    try:
        yield
    finally:
        with suppress(Exception):
            ray.shutdown()


def _of_a_token(error: BaseException | None) -> str:
    """What to do if a cluster asks for a token, as those of Ray 2.60 do by themselves; '' if it does not."""
    while error is not None:
        if "AuthenticationError" in f"{type(error).__name__} {error}":
            return (
                "it asks for a token: set RAY_AUTH_MODE=token, and bring its head's ~/.ray/auth_token "
                "(or RAY_AUTH_TOKEN) to this machine"
            )
        error = error.__cause__ or error.__context__
    return ""


def _check_address(address: str | None) -> None:
    """Raises TextkitError where nobody listens at an address of host and port: Ray would try for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
        except (OSError, OverflowError) as error:
            raise TextkitError(
                f"Ray at {address} cannot be reached: {getattr(error, 'strerror', None) or error}"
            ) from None


@contextmanager
def _watched(ray: Any, messages: Messages, folder: Path) -> Iterator[None]:
    """Ends this process with a line if the head of the cluster is gone. Ray would end it a little later, without one."""
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    patience = float(os.environ.get(_PATIENCE, 60)) / 2
    over = threading.Event()

    def watch() -> None:
        seen = time.monotonic()
        while not over.wait(patience / 10):
            try:
                socket.create_connection((host, int(port)), _SECONDS).close()
                seen = time.monotonic()
            except OSError:
                if time.monotonic() - seen > patience and not over.is_set():
                    messages.error(
                        f"the head of Ray is gone; the parts that are done stay in {folder}; run the same command again"
                    )
                    signals.clear()
                    os._exit(1)

    thread = threading.Thread(target=watch, name="textkit-ray", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def silenced(messages: Messages) -> Iterator[None]:
    """Keeps from stderr and stdout what Ray's own threads write there, which is no message of textkit's; --debug shows it."""
    if messages.debug or sys.stderr is None:
        yield
        return
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    before = sys.stdout, sys.stderr
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        with os.fdopen(os.dup(2), "w", errors="backslashreplace") as stream, open(os.devnull, "w") as nowhere:
            messages.stream, sys.stdout, sys.stderr = stream, nowhere, nowhere
            for descriptor in (1, 2):
                os.dup2(null, descriptor)
            try:
                yield
            finally:
                messages.stream, (sys.stdout, sys.stderr) = None, before
                for descriptor, own in zip((1, 2), kept, strict=True):
                    os.dup2(own, descriptor)
    finally:
        for descriptor in (null, *kept):
            os.close(descriptor)


def quiet_data(ray: Any) -> None:
    """Has Ray Data say nothing on stderr."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


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
    if request.address is None or not request.workers:
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


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]

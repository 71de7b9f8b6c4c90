"""Joins a Ray cluster or starts one on this machine, asks it for workers, and has Ray itself say nothing. Needs ray."""

from __future__ import annotations

import inspect
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from textkit import signals
from textkit.cli.options import Messages
from textkit.errors import TextkitError, one_line, pip_install

_PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"  # how long Ray itself waits for its head
_SECONDS = 10.0  # to answer a connection
_HERE = "local"  # what Ray calls a cluster that is started on this machine
OLDEST = (2, 10)  # the first version whose pools of actors are sized as here


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


def joined(address: str | None) -> str | None:
    """The address of the cluster that is joined: `address`, otherwise RAY_ADDRESS; None where one is started here."""
    address = address or os.environ.get("RAY_ADDRESS")
    return None if address in (None, "", _HERE) else address


@contextmanager
def cluster(ray: Any, address: str | None) -> Iterator[None]:
    """Joins the cluster at `address`, or starts one on this machine alone. One that was joined before stays as it is.

    Without an address, Ray itself would join one whose head was killed, if it was the last on this machine, and wait for it.
    """
    if ray.is_initialized():
        yield
        return
    address = joined(address)
    _check_address(address)
    here: dict[str, Any] = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address is None else {}
    try:
        ray.init(address or _HERE, log_to_driver=False, logging_level=logging.CRITICAL, configure_logging=True, **here)
    except Exception as error:  # ConnectionError, RuntimeError for another version, ValueError for a wrong address
        where = f"Ray at {address}" if address else "Ray"
        why = _of_a_token(error) or first_line(error)
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
def watched(ray: Any, messages: Messages, folder: Path) -> Iterator[None]:
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


def first_line(error: BaseException) -> str:
    """What Ray says of an error, without the traces that follow."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]

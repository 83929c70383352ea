"""Where work runs: names of engines, and the Executor each one hands out.

An engine is a name (`serial`, `processes`) or `module:function`, a function without arguments that
returns any `concurrent.futures.Executor`. A task is one run or one shard and returns something
small: a path, a slug, a few numbers.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from types import TracebackType
from typing import ParamSpec, TypeVar

from .errors import UnknownNameError, UsageError

__all__ = ["ENGINES", "SerialExecutor", "open_engine", "run_all"]

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")

_GRACE_SECONDS = 5.0
"""What a worker has for tidying up when it is told to stop."""


class SerialExecutor(Executor):
    """Runs each task at once, in this process: for debugging and for very few runs."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - an Executor hands every exception to its Future
            future.set_exception(error)
        return future


class _Stopped(SystemExit):
    """Raised in a worker process that is to stop, wherever it is, so that it tidies up."""


def _stop(_number: int, _frame: object) -> None:
    raise _Stopped(128 + signal.SIGTERM)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _begin() -> None:
    """In each worker: its parent alone decides when it ends, and it does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes at once
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_stop_with_parent, daemon=True).start()


def _worked(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return fn(*args, **kwargs)
    except _Stopped as stopped:
        os._exit(int(str(stopped.code)))  # a pool's worker would go on with its next task


class _Processes(ProcessPoolExecutor):
    """A pool that stops at once where the `with` around it ends by an exception (ctrl-C)."""

    def __init__(self) -> None:
        # spawn: a fork would copy the threads that pyarrow and numpy have started
        super().__init__(
            max_workers=os.cpu_count(),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
        )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return super().submit(_worked, fn, *args, **kwargs)  # type: ignore[arg-type]  # one T

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            super().__exit__(kind, error, trace)
            return
        workers = list((self._processes or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(_GRACE_SECONDS)
            if worker.is_alive():
                worker.kill()


ENGINES: dict[str, Callable[[], Executor]] = {
    "processes": _Processes,
    "serial": SerialExecutor,
}


def open_engine(kind: str = "processes") -> Executor:
    """The Executor of an engine; close it with `with`.

    Raises UnknownNameError for a name that is neither in ENGINES nor `module:function`.
    """
    if kind in ENGINES:
        return ENGINES[kind]()
    module, colon, function = kind.partition(":")
    if not colon:
        raise UnknownNameError("engine", kind, [*ENGINES, "module:function"])
    try:
        executor = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"engine {kind!r} cannot be loaded: {error}") from error
    if not isinstance(executor, Executor):
        raise UsageError(f"engine {kind!r} returned {type(executor).__name__}, not an Executor")
    return executor


def run_all(
    executor: Executor,
    task: Callable[[A], T],
    arguments: Iterable[A],
    *,
    unless: Callable[[A], bool] = lambda _: False,
) -> Iterator[tuple[A, Future[T]]]:
    """(argument, finished future) of each task, in the order in which they finish.

    `unless` is asked again after each task for whose own argument it has become true: of what has
    not begun by then, tasks for which it is true are not done; their futures are cancelled.
    """
    if isinstance(executor, SerialExecutor):
        for argument in arguments:
            yield argument, _cancelled() if unless(argument) else executor.submit(task, argument)
        return
    pending = {executor.submit(task, argument): argument for argument in arguments}
    for future in as_completed(pending):
        yield pending[future], future
        if not future.cancelled() and unless(pending[future]):
            for other, argument in pending.items():
                if unless(argument):
                    other.cancel()


def _cancelled() -> Future[T]:
    future: Future[T] = Future()
    future.cancel()
    return future

"""Where work runs: names of engines, and the Executor each one hands out.

An engine is a name (`serial`, `processes`) or `module:function`, a function without arguments that
returns any `concurrent.futures.Executor`. A task is one run or one shard and returns something
small: a path, a slug, a few numbers.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from typing import ParamSpec, TypeVar

from .errors import UnknownNameError, UsageError

__all__ = ["ENGINES", "SerialExecutor", "open_engine", "run_all"]

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")


class SerialExecutor(Executor):
    """Runs each task at once, in this process: for debugging and for very few runs."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - an Executor hands every exception to its Future
            future.set_exception(error)
        return future


def _processes() -> Executor:
    # spawn: a fork would copy the threads that pyarrow and numpy have started
    return ProcessPoolExecutor(
        max_workers=os.cpu_count(), mp_context=multiprocessing.get_context("spawn")
    )


ENGINES: dict[str, Callable[[], Executor]] = {
    "processes": _processes,
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
    executor: Executor, task: Callable[[A], T], arguments: Iterable[A]
) -> Iterator[tuple[A, Future[T]]]:
    """(argument, finished future) of each task, in the order in which they finish."""
    pending = {executor.submit(task, argument): argument for argument in arguments}
    for future in as_completed(pending):
        yield pending[future], future

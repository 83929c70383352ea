"""All readers beside their peers, one after the other, on files made here.

usage: readers.py [--former-wandb PYTHON] [--only NAME,...] [--large]

NAME is one of tensorboard, tensor, wandb, tables, mlflow, mlflow-rest, textlog. Each figure is of a
fresh process; the ratios are within one run. PYTHON is an interpreter with wandb < 0.31: the last
versions with a reader of their own. --large reads a 2 GB event file and archives it as well.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("tensorboard", "tensor", "wandb", "tables", "mlflow", "mlflow-rest", "textlog")

LARGE = """
import resource, sys, tempfile
from pathlib import Path
sys.path.insert(0, {here!r})
import tensorboard_file
from runpages import Archive, open_source
folder = Path(sys.argv[1])
source = open_source("tensorboard", str(folder))
(ref,) = source.discover()
run = source.read(ref)
def tell(what):
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{{what}}: {{used.ru_utime + used.ru_stime:.1f}} CPU s, {{used.ru_maxrss / 1e3:.0f}} MB")
tell("read")
Archive(folder.parent / "archive").put(run)
tell("read and archived")
"""


def commands(name: str, folder: Path, former: str) -> Iterator[list[str]]:
    """The benchmark's own commands; the first ones may only write the file."""
    if name == "tensorboard":
        yield ["tensorboard_file.py"]
    elif name == "tensor":
        yield ["tensorboard_file.py", "--encoding", "tensor", "--megabytes", "139"]
    elif name == "wandb":
        path = str(folder / "run-bench.wandb")
        yield ["wandb_file.py", "write", path, "93"]
        yield ["wandb_file.py", "compare", path, former]
    elif name == "tables":
        yield ["tables.py"]
    elif name in {"mlflow", "mlflow-rest"}:
        path = str(folder / f"{name}.db")
        yield ["mlflow_store.py", "write", path, "1000000" if name == "mlflow" else "100000"]
        yield ["mlflow_store.py", "store" if name == "mlflow" else "rest", path]
    elif name == "textlog":
        yield ["textlog_file.py"]


def large(folder: Path) -> None:
    """A 2 GB event file: what reading and archiving it takes."""
    sys.path.insert(0, str(HERE))
    import tensorboard_file

    logs = folder / "logs"
    logs.mkdir()
    path = logs / "events.out.tfevents.1700000000.benchmark"
    points = tensorboard_file.write(path, 2000)
    print(f"{path.stat().st_size / 1e6:.0f} MB, {points:,} points", flush=True)
    code = LARGE.format(here=str(HERE))
    subprocess.run([sys.executable, "-c", code, str(logs)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--former-wandb", default="", metavar="PYTHON")
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    for name in options.only.split(","):
        print(f"== {name}", flush=True)
        if name == "wandb" and not options.former_wandb:
            print("needs --former-wandb PYTHON", flush=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            for script, *arguments in commands(name, Path(folder), options.former_wandb):
                command = [sys.executable, str(HERE / script), *arguments]
                subprocess.run(command, check=True)
    if options.large:
        print("== large", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            large(Path(folder))


if __name__ == "__main__":
    main()

"""CPU seconds to read a text log as Megatron-LM prints it.

usage: textlog_file.py [MEGABYTES=100]

The log is synthetic: argument block, one iteration line a step with 12 figures, a validation line
every 500 iterations, and as many lines of other kinds as real logs have (one in ten).
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runpages.sources import open_source


def write(path: Path, megabytes: float) -> int:
    """A log of about that size; the number of its iterations."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    size, iteration = 0, 0
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f"{'-' * 24} arguments {'-' * 24}\n  lr {'.' * 45} 0.0003\n")
        stream.write(f"{'-' * 20} end of arguments {'-' * 21}\n")
        while size < megabytes * 1e6:
            iteration += 1
            loss = 2 + 8 * math.exp(-iteration / 2000) + 0.01 * math.sin(iteration)
            moment = (began + timedelta(seconds=iteration)).strftime("%Y-%m-%d %H:%M:%S")
            line = f" [{moment}]"
            line += f" iteration {iteration:8d}/{500000:8d} |"
            line += f" consumed samples: {iteration * 1024:12d} |"
            line += f" elapsed time per iteration (ms): {1000 + iteration % 7:.1f} |"
            line += f" throughput per GPU (TFLOP/s/GPU): {402.3:.1f} |"
            line += f" learning rate: {3e-4:.6E} | global batch size: {1024:5d} |"
            line += f" lm loss: {loss:.6E} | loss scale: {1:.1f} | grad norm: {0.4:.3f} |"
            line += f" num zeros: {0} | params norm: {1234.567:.3f} |"
            line += " number of skipped iterations: {:3d} | number of nan iterations: {:3d} |\n"
            line = line.format(0, 0)
            if iteration % 500 == 0:
                line += (
                    f" validation loss at iteration {iteration} | lm loss value: {loss:.6E} | \n"
                )
            if iteration % 10 == 0:
                line += f"WARNING:megatron.core.rerun_state_machine:implicit result {iteration}\n"
            size += stream.write(line)
    return iteration


def main(megabytes: float) -> None:
    """Print what it costs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.log"
        iterations = write(path, megabytes)
        size = path.stat().st_size
        source = open_source("textlog", folder)
        began = time.process_time()
        (ref,) = source.discover()
        found = time.process_time()
        run = source.read(ref)
        loss = run.series["lm loss"]
        ended = time.process_time()
        assert len(loss) == iterations
        print(
            f"{size / 1e6:.0f} MB, {iterations:,} rows of 12 figures: discover"
            f" {found - began:.2f} CPU s, read {ended - found:.2f} CPU s"
            f" ({size / 1e6 / (ended - found):.0f} MB/s)"
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 100)

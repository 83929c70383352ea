"""`python -m runpages.demo.worker NAME FOLDER [--resume]` trains one run in its own process."""

from __future__ import annotations

import sys
from pathlib import Path

from .train import spec_of, train

if __name__ == "__main__":
    train(spec_of(sys.argv[1]), Path(sys.argv[2]), resumed="--resume" in sys.argv[3:])

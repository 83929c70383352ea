"""The command line with short pauses between the tries of a request.

Worker processes import this file as their main module, so that they hurry as well.
"""

from __future__ import annotations

import os
import signal

from runpages.cli import main

if __name__ == "__main__":  # a shell's background job ignores ctrl-C, and hands that on
    signal.signal(signal.SIGINT, signal.default_int_handler)

# each of them alone where it is needed: an import of ClearML's SDK takes more than a second
if "WANDB_API_KEY" in os.environ:
    from runpages.sources._wandb_api_http import Patience
    from runpages.sources.wandb_api import WandbServer

    WandbServer.patience = Patience(tries=3, first_pause_seconds=0.05, silence_seconds=5)
if "MLFLOW_TRACKING_USERNAME" in os.environ:
    from runpages.sources import _mlflow_rest

    _mlflow_rest._FIRST_WAIT_SECONDS = 0.01
if "CLEARML_API_ACCESS_KEY" in os.environ:
    from runpages.sources import _clearml_api

    _clearml_api._WAITS_SECONDS = (0.05, 0.05, 0.05)

if __name__ == "__main__":
    main(prog_name="runpages")

"""A command that meets a fault at its n-th change of a folder: `faulty.py FOLDER MODE N COMMAND...`.

MODE `kill`: the process is killed before the change. `full`: from the n-th change on nothing more can
be made there, as on a full disk; what is open already can be written to up to half of what comes. `count`:
the number of changes is the last line on standard output.
"""

from __future__ import annotations

import errno
import os
import runpy
import signal
import sys

MAKING = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate"}
REMOVING = {"os.remove", "os.rmdir"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Disk:
    """Sees every change below `folder` before it is made."""

    def __init__(self, folder: str, mode: str, number: int) -> None:
        self.folder, self.mode, self.number = os.path.realpath(folder), mode, number
        self.count = 0

    def see(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and not self._writes(arguments):
            return
        if event != "open" and event not in MAKING | REMOVING:
            return
        if not self._is_below(arguments[0]):
            return
        self.count += 1
        if self.mode == "count" or self.count < self.number:
            return
        if self.mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if event not in REMOVING:  # what is removed makes room
            raise OSError(errno.ENOSPC, "No space left on device", str(arguments[0]))

    @staticmethod
    def _writes(arguments: tuple[object, ...]) -> bool:
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & WRITING)

    def _is_below(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        told = os.path.realpath(os.fsdecode(path))
        return told.startswith(self.folder + os.sep)


def main(folder: str, mode: str, number: str, *command: str) -> None:
    disk = Disk(folder, mode, int(number))
    module, *arguments = command
    sys.argv = [module, *arguments]
    sys.addaudithook(disk.see)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        if mode == "count":
            print(disk.count)


if __name__ == "__main__":
    main(*sys.argv[1:])

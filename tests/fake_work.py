"""Work for worker processes to do in tests: a scan's path says what befalls it."""

import os
import signal
import time
from pathlib import Path

from kneeline.tables import Row, Scan, write_text

_DONE = []  # of this process


def work(scan: Scan, results: Path) -> Row:
    fate = scan.paths[0]
    if fate == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "full disk":
        raise OSError("No space left on device")
    if fate == "slow":
        write_text(results / "slow", str(os.getpid()))
        time.sleep(60)
    _DONE.append(scan.scan_id)
    return {"status": "ok", "pid": os.getpid(), "nth": len(_DONE)}

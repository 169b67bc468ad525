"""SIGTERM ends a step as Ctrl-C does: what is half done is tidied away and what is done stays."""

import signal
import sys


def stop_orderly() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))

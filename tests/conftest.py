"""Shared by all tests: where the optional reference data are, and what every test's machine is like."""

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real DICOM knee and label maps; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("KNEELINE_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("the shared reference data are not on this machine (set KNEELINE_SHARED to their folder)")
    return folder


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk():
    """No test pulls the plug of this machine: thousands of small files need not be forced to its disk."""
    patch = pytest.MonkeyPatch()
    patch.setattr(os, "fsync", lambda descriptor: None)
    yield
    patch.undo()


def heed_ctrl_c() -> None:
    """What a shell starts in the background ignores it, and so would our children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

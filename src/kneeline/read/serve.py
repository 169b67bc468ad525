"""Serve a reading package on this computer: the address, the token, the file of answers."""

from __future__ import annotations

import json
import secrets
import socket
from pathlib import Path

from kneeline.errors import UsageError
from kneeline.read.journal import Journal

HOST = "127.0.0.1"
# The line of a page that holds all it knows begins so.
INDEX = "kneeline.index = {"


def read_index(folder: Path) -> dict:
    """What a package's page knows (its index), with the page's digest as `package`.

    Raises
    ------
    UsageError
        If the folder is no package.
    """
    digest = 'data-package="'
    try:
        text = (Path(folder) / "index.html").read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith(INDEX))
        index = json.loads(line[len(INDEX) - 1 :].removesuffix(";"))
        return index | {"package": text.split(digest, 1)[1][:64]}
    except (OSError, StopIteration, ValueError, IndexError):
        raise UsageError(f"{folder}: is no reading package; kneeline read RESULTS -o FOLDER makes one") from None


def journal_path(folder: Path) -> Path:
    """Where answers go: beside the package's folder, like its key."""
    folder = Path(folder).resolve()
    return folder.with_name(folder.name + "_answers.jsonl")


def serve_package(folder: Path, port: int = 0) -> None:
    """Serve until stopped. After a stop or a kill the same address is taken again, so an open page goes on.

    Raises
    ------
    UsageError
        If the folder is no package, its journal does not fit, or FastAPI is not installed.
    """
    try:
        import uvicorn

        from kneeline.read.application import make_app
    except ImportError:
        raise UsageError(
            "--serve needs FastAPI: pip install 'kneeline[serve]'; the page itself needs nothing, open its index.html"
        ) from None
    folder = Path(folder)
    index = read_index(folder)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    head = {"package": index["package"], "rater": index["rater"], "token": secrets.token_urlsafe(24), "port": port}
    if not journal_path(folder).exists():
        head["port"] = _bind(listening, port)
    journal = Journal(journal_path(folder), head)
    try:
        taken = listening.getsockname()[1] or _bind(listening, port or journal.head["port"])
        app = make_app(folder, index, journal, journal.head["token"], taken)
        print(f"reader {index['rater']}: open http://{HOST}:{taken}/{journal.head['token']}/ in a browser here")
        print(f"answers are kept in {journal.path}; stop with Ctrl+C", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        journal.close()
        listening.close()


def _bind(listening: socket.socket, port: int) -> int:
    try:
        listening.bind((HOST, port))
        listening.listen(128)  # before the address is printed: who is quick waits, and is not refused
    except OSError as error:
        raise UsageError(f"port {port} cannot be had ({error.strerror}); give another with --port") from None
    return listening.getsockname()[1]

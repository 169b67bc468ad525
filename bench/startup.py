"""CPU seconds of `import kneeline` and `kneeline --help`: whole processes, median of several.

python bench/startup.py
"""

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

TARGETS = {"import kneeline": 0.3, "kneeline --help": 0.5}


def cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    beside_python = Path(sys.executable).parent / "kneeline"
    commands = {
        "import kneeline": [sys.executable, "-c", "import kneeline"],
        "kneeline --help": [os.fspath(beside_python), "--help"],
    }
    print(f"{'what':20s}{'CPU s (median of 9)':>22s}{'target':>9s}")
    for name, command in commands.items():
        cpu_seconds(command)  # the first run fills the file cache
        print(f"{name:20s}{statistics.median(cpu_seconds(command) for _ in range(9)):22.3f}{TARGETS[name]:9.1f}")


if __name__ == "__main__":
    main()

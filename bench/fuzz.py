"""Coverage-guided damage to single files: python bench/fuzz.py --seconds 300 --corpus fuzz-corpus

Needs atheris, which kneeline does not depend on (it has no builds for every Python that kneeline runs on):
`python -m pip install --require-hashes --no-deps -r bench/fuzz-requirements.txt`, Linux, Python 3.11.

One file is read as `kneeline score` reads it: DICOM of one or many frames, or NIfTI. The first byte of an input says
under which name it is written. Anything but an image or a refusal ends the run, and so do 30 s or 2 GB. Decoders of
compressed pixels run in another process, where coverage is not seen: they are left to `bench/hostile.py`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
NAMES = ("one.dcm", "one", "knee.nii", "knee.nii.gz")

with atheris.instrument_imports(include=["kneeline.ingest", "pydicom", "nibabel.nifti1", "nibabel.wrapstruct"]):
    import numpy as np
    import pydicom.filereader  # noqa: F401

    from kneeline.errors import Refusal
    from kneeline.ingest import pixels, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"), help="inputs found so far; grows")
    asked = parser.parse_args()
    asked.corpus.mkdir(exist_ok=True)
    _plant(asked.corpus)
    pixels.decode = _undecoded
    folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)

    def read(data: bytes) -> None:
        path = Path(folder, NAMES[data[0] % len(NAMES)] if data else NAMES[0])
        path.write_bytes(data[1:])
        try:
            image = run.load_knee(path).image
            sound = np.isfinite(image.array).all() and np.isfinite(image.affine).all()
        except Refusal as refusal:
            sound = refusal.code != "unexpected_error" and len(refusal.reason.split()) > 6
        finally:
            path.unlink()
        if not sound:
            raise AssertionError(path.name)

    options = [
        f"-max_total_time={asked.seconds}",
        "-timeout=30",
        "-rss_limit_mb=2048",
        "-max_len=20000",
        "-use_value_profile=1",
    ]
    atheris.Setup([sys.argv[0], str(asked.corpus), *options, "-print_final_stats=1"], read)
    atheris.Fuzz()


def _undecoded(_files):
    raise pixels.DecoderError
    yield


def _plant(corpus: Path) -> None:
    from tests.ingest.mutants import bases

    for name, base in bases().items():
        file, content = next((f, c) for f, c in base.files.items() if not f.endswith(".json"))
        kind = NAMES.index(file) if file in NAMES else 0
        (corpus / f"seed-{name.replace(' ', '-')}").write_bytes(bytes([kind]) + content)


if __name__ == "__main__":
    main()

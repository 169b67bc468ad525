"""Labelling one 160 x 384 x 384 knee on two CPU threads: kneeline, nnU-Net's predictor, MONAI's sliding window.

    python bench/segment_peers.py --python OTHER_ENVIRONMENT/bin/python

The other environment holds the peers (`pip install nnunetv2 monai`); without it only kneeline runs. Each runs in a
process of its own, imports included; CPU seconds and peak memory are that process's.

What is compared is time and memory, not accuracy: no weights of a peer that label these structures can be had here, so
the peers' networks have random ones. Both peers run the same network: nnU-Net's 3-D PlainConvUNet with ten outputs on
windows of 64 x 160 x 160 that overlap by a quarter (27 of them), in float32, without mirroring and without resampling.
Its default width has 3.7 million weights, an eighth of what nnU-Net itself plans for such an image (30.8 million);
`--features 32 64 128 256 320` is that size, `--step 0.5` nnU-Net's default overlap. kneeline's row is all of
`kneeline segment`: file in, clean-up, file out; the peers' rows are array in, labels out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

SHAPE = (160, 384, 384)
PATCH = (64, 160, 160)
CLASSES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help="interpreter of the environment that holds the peers")
    parser.add_argument("--only", nargs="+", choices=("kneeline", *PEERS), default=("kneeline", *PEERS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--features", nargs=5, type=int, default=[16, 32, 64, 128, 128])
    parser.add_argument("--step", type=float, default=0.75, help="distance of windows in window sizes")
    parser.add_argument("--inside", choices=PEERS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        run_peer(asked)
        return
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {asked.threads} threads each")
    print(f"{'':10s}{'wall s':>9s}{'CPU s':>9s}{'peak MB':>9s}  weights, and what is in it")
    for tool in asked.only:
        if tool == "kneeline":
            row, words = kneeline(asked.threads), "trained; file in, clean-up, file out"
        elif asked.python is None:
            print(f"{tool:10s}not run: give --python")
            continue
        else:
            row, words = peer(tool, asked)
        print(f"{tool:10s}{row[0]:9.1f}{row[1]:9.1f}{row[2]:9.0f}  {words}", flush=True)


def kneeline(threads: int) -> tuple[float, float, float]:
    from segment_speed import whole_process, write_image  # beside this file

    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "knee.nii.gz"
        write_image("160x384x384", image)
        return whole_process(image, threads)


def peer(tool: str, asked: argparse.Namespace) -> tuple[tuple[float, float, float], str]:
    """Wall seconds, CPU seconds and peak megabytes of a peer's process, and what it says of itself."""
    command = [
        str(asked.python),
        __file__,
        "--inside",
        tool,
        "--threads",
        str(asked.threads),
        "--step",
        str(asked.step),
    ]
    command += ["--features", *map(str, asked.features)]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": str(asked.threads)}, stdout=subprocess.PIPE, text=True
    )
    words = process.stdout.read().strip().splitlines()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{tool} ended with {process.returncode}")
    row = time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    return row, words[-1] if words else ""


def run_peer(asked: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    network = plain_conv_unet(asked.features).eval()
    image = torch.rand(1, *SHAPE)
    with torch.inference_mode():
        labels, version = PEERS[asked.inside](network, image, asked.step)
    assert labels.shape == SHAPE, labels.shape
    weights = sum(p.numel() for p in network.parameters())
    print(f"random, {weights / 1e6:.1f} M; {version}; array in, labels out")


def plain_conv_unet(features: list[int]):
    """nnU-Net's standard 3-D network, as its planner builds it: two convolutions a stage, instance norm, leaky ReLU."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    return PlainConvUNet(
        input_channels=1,
        n_stages=len(features),
        features_per_stage=features,
        conv_op=torch.nn.Conv3d,
        kernel_sizes=3,
        strides=[1, 2, 2, 2, 2],
        n_conv_per_stage=2,
        num_classes=CLASSES,
        n_conv_per_stage_decoder=2,
        conv_bias=True,
        norm_op=torch.nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )


def nnunet(network, image, step):
    from importlib.metadata import version

    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=step,
        use_gaussian=True,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    # What the sliding window asks of a trained model's plans.
    predictor.network = network
    predictor.configuration_manager = SimpleNamespace(patch_size=list(PATCH))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=CLASSES)
    logits = predictor.predict_sliding_window_return_logits(image)
    return logits.argmax(0), f"nnunetv2 {version('nnunetv2')}"


def monai(network, image, step):
    import monai
    from monai.inferers import sliding_window_inference

    logits = sliding_window_inference(image[None], PATCH, 1, network, overlap=1 - step, mode="gaussian")
    return logits[0].argmax(0), f"monai {monai.__version__}"


PEERS = {"nnunet": nnunet, "monai": monai}


if __name__ == "__main__":
    main()

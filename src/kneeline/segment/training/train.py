"""Train the network on simulated stacks.

    python -m kneeline.segment.training.train --anatomies FOLDER/train --out RUN --until 22:00

Generators run in processes of their own and fill a pool in shared memory; the trainer draws batches from it at random.
A pool image is used `REUSE` times before it is replaced. The learning rate follows the clock: warm-up, a plateau, and
a fall to zero over the last part of the time given, so that a run on a shared machine ends when it must. The weights
that are kept are a running mean over steps. `RUN/last.pt` is written every few minutes, and a run that finds it goes
on from there. `RUN/plateau.pt` is the state before the fall: copied over `last.pt`, it lets a later run train on.
New files in the folder of anatomies are taken up while it runs.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import signal
import sys
import time
from datetime import datetime, timedelta
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
import torch

from kneeline.segment.classes import Class
from kneeline.segment.training import world
from kneeline.segment.training.model import Network
from kneeline.segment.training.optimiser import optimisers

POOL = 1024  # images
BATCH = 3
REUSE = 2  # times an image is drawn, on average, before another takes its place
WARM_UP = 100  # steps
FALL = 0.35  # share of the time in which the learning rate falls
MEAN = 0.999  # of the running mean of the weights, per step
ADAM_SHARE = 0.1  # rate of AdamW relative to Muon's
CLASS_WEIGHT = {
    Class.BACKGROUND: 1.0,
    Class.FEMUR: 1.0,
    Class.TIBIA: 1.0,
    Class.PATELLA: 1.2,
    Class.FIBULA: 1.2,
    Class.FEMORAL_CARTILAGE: 1.2,
    Class.TIBIAL_CARTILAGE: 1.4,
    Class.PATELLAR_CARTILAGE: 1.6,
    Class.MENISCUS: 2.0,
    Class.JOINT_FLUID: 1.1,
}


def _pool_arrays(block: shared_memory.SharedMemory) -> tuple[np.ndarray, np.ndarray]:
    side = world.SIDE
    images = np.ndarray((POOL, 3, side, side), np.float16, block.buf)
    truth = np.ndarray((POOL, 3, side, side), np.uint8, block.buf, offset=images.nbytes)
    return images, truth


def generate(block_name: str, folder: Path, seed: int, made, used, stop) -> None:
    """Fill the pool for as long as training runs; never further ahead than one pool."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    block = shared_memory.SharedMemory(name=block_name)
    images, truth = _pool_arrays(block)
    bank = world.noise_bank()
    rng = np.random.default_rng(seed)
    anatomies = world.load_anatomies(folder)
    seen, looked = {a.name for a in anatomies}, time.monotonic()
    while not stop.is_set():
        if made.value > used.value / REUSE + POOL:
            time.sleep(0.1)
            continue
        if time.monotonic() - looked > 60:
            looked = time.monotonic()
            if {p.stem for p in Path(folder).glob("*.npy")} != seen:
                anatomies = world.load_anatomies(folder)
                seen = {a.name for a in anatomies}
        anatomy = draw_anatomy(anatomies, rng)
        inputs, answers = world.training_images(*world.simulate_stack(anatomy, world.draw_acquisition(rng), rng, bank))
        with made.get_lock():
            first = made.value
            made.value += world.STACK
        # The first fill goes through the pool in order, later images go anywhere.
        slots = (first + np.arange(world.STACK)) % POOL if first < POOL else rng.integers(0, POOL, world.STACK)
        images[slots] = inputs.numpy().astype(np.float16)
        truth[slots] = answers.numpy()
    block.close()


def draw_anatomy(anatomies: list[world.Anatomy], rng: np.random.Generator) -> world.Anatomy:
    """Half of the stacks from real knees' label maps, half from parametric ones, where there are both."""
    parametric = [a for a in anatomies if a.name.startswith("parametric")]
    mapped = [a for a in anatomies if not a.name.startswith("parametric")]
    group = parametric if parametric and (not mapped or rng.random() < 0.5) else mapped
    return group[rng.integers(len(group))]


def loss_of(logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus soft Dice over the classes that the batch shows; both are least where the probabilities are
    the true shares.

    The classes weigh whole pixels, never one side of a border against the other, and Dice has squares in its
    denominator (Milletari 2016): else either would push borders outwards or probabilities to 0 and 1.

    Parameters
    ----------
    truth
        (batch, 3, H, W) of `world.simulate_stack`, int64.
    """
    logp = logits.log_softmax(1)
    first, second = truth[:, :1], truth[:, 1:2]
    share = truth[:, 2:] / world.WHOLE
    target = torch.zeros_like(logp).scatter_(1, first, share).scatter_add_(1, second, 1 - share)
    of_pixel = weight[first] * share + weight[second] * (1 - share)
    entropy = -(target * logp * of_pixel).sum() / of_pixel.sum()
    p = logp.exp()
    both = (p * target).sum((0, 2, 3))
    total = (p * p).sum((0, 2, 3)) + (target * target).sum((0, 2, 3))
    present = target.sum((0, 2, 3))[1:] > 40
    dice = ((2 * both + 20) / (total + 20))[1:]
    return entropy + (1 - dice)[present].sum() / max(int(present.sum()), 1)  # a batch may show no knee


def rate_at(share: float, peak: float, step: int) -> float:
    """Learning rate after a `share` (0 to 1) of the time; `step` counts from where this training began."""
    return peak * min(1.0, (step + 1) / WARM_UP) * min(1.0, max((1 - share) / FALL, 0.005))


def read_weights(network: Network, onnx_file: Path) -> None:
    """Start from the weights of a network that `export` wrote."""
    import onnx
    from onnx import numpy_helper

    stored = {i.name: numpy_helper.to_array(i) for i in onnx.load(str(onnx_file)).graph.initializer}
    state = {name: torch.tensor(stored[f"0.{name}"]) for name in network.state_dict()}
    network.load_state_dict(state)


def train(
    folder: Path, out: Path, end: float, workers: int, threads: int, peak: float, seed: int, begin_with: Path | None
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    side = world.SIDE
    block = shared_memory.SharedMemory(create=True, size=POOL * side * side * (3 * 2 + 3))
    made, used, stop = mp.Value("q", 0), mp.Value("q", 0), mp.Event()
    checkpoint, plateau = out / "last.pt", out / "plateau.pt"
    network, mean = Network(), Network()
    if begin_with:
        read_weights(network, begin_with)
    mean.load_state_dict(network.state_dict())
    both = optimisers(network, peak, ADAM_SHARE * peak)
    before, step = 0.0, 0  # seconds and steps of earlier runs
    if checkpoint.exists():
        state = torch.load(checkpoint)
        network.load_state_dict(state["network"])
        mean.load_state_dict(state["mean"])
        for optimiser, kept in zip(both, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        before, step = state["seconds"], state["step"]
    makers = [
        mp.Process(
            target=generate, args=(block.name, folder, seed * 1000 + step * 10 + i, made, used, stop), daemon=True
        )
        for i in range(workers)
    ]
    for maker in makers:
        maker.start()
    images, truth = _pool_arrays(block)
    rng = np.random.default_rng(seed + step)
    weight = torch.tensor([CLASS_WEIGHT[c] for c in Class])
    log = (out / "log.tsv").open("a", buffering=1)
    started = saved = time.time()
    whole = before + end - started

    def state() -> dict:
        return {
            "network": network.state_dict(),
            "mean": mean.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in both],
            "seconds": before + time.time() - started,
            "step": step,
        }

    recent: list[float] = []
    falling = before / whole > 1 - FALL
    try:
        while made.value < POOL // 4:
            time.sleep(0.5)
        while time.time() < end:
            slots = rng.choice(min(made.value, POOL), BATCH, replace=False)
            x = torch.from_numpy(images[slots].astype(np.float32))
            y = torch.from_numpy(truth[slots].astype(np.int64))
            share = (before + time.time() - started) / whole
            if share > 1 - FALL and not falling:
                falling = True
                _save(plateau, state())
            rate = rate_at(share, peak, step)
            for optimiser, factor in zip(both, (1.0, ADAM_SHARE), strict=True):
                optimiser.param_groups[0]["lr"] = rate * factor
            network.zero_grad()
            loss = loss_of(network(x), y, weight)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            for optimiser in both:
                optimiser.step()
            used.value += BATCH
            step += 1
            keep = min(MEAN, 1 - 1 / (1 + step / 4))
            with torch.no_grad():
                for m, p in zip(mean.parameters(), network.parameters(), strict=True):
                    m.lerp_(p, 1 - keep)
            recent.append(loss.item())
            if step % 50 == 0:
                row = (
                    step,
                    f"{before + time.time() - started:.0f}",
                    f"{rate:.5f}",
                    f"{np.mean(recent):.4f}",
                    made.value,
                )
                log.write("\t".join(map(str, row)) + "\n")
                recent.clear()
            if time.time() - saved > 150:
                _save(checkpoint, state())
                saved = time.time()
    finally:
        stop.set()
        _save(checkpoint, state())
        for maker in makers:
            maker.join(5)
        block.close()
        block.unlink()


def _save(path: Path, state: dict) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomies", type=Path, required=True, help="folder of *.npy written by `prepare`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--until", required=True, help="time of day at which training ends, HH:MM, or +MINUTES")
    parser.add_argument("--workers", type=int, default=1, help="generator processes")
    parser.add_argument("--threads", type=int, default=2, help="threads of the trainer")
    parser.add_argument("--peak-rate", type=float, default=0.02, help="of Muon")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--begin-with", type=Path, help="exported network whose weights a new run starts from")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the last state is saved on the way out
    now = datetime.now()
    if args.until.startswith("+"):
        end = now + timedelta(minutes=float(args.until[1:]))
    else:
        end = datetime.combine(now.date(), datetime.strptime(args.until, "%H:%M").time())
        end += timedelta(days=1) if end < now else timedelta()
    train(
        args.anatomies,
        args.out,
        end.timestamp(),
        args.workers,
        args.threads,
        args.peak_rate,
        args.seed,
        args.begin_with,
    )


if __name__ == "__main__":
    main()

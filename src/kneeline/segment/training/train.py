"""Train the network on simulated stacks.

    python -m kneeline.segment.training.train --anatomies FOLDER/train --out RUN --until 22:00

Generators run in processes of their own and fill a pool in shared memory; the trainer draws batches from it at random.
A pool image is used `REUSE` times before it is replaced. The learning rate follows the clock: warm-up, then a
polynomial to zero at the time given, so that a run on a shared machine ends when it must. The weights that are kept
are a running mean over steps. `RUN/last.pt` is written every few minutes, and a run that finds it goes on from there.
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
import torch.nn.functional as F

from kneeline.segment.classes import Class
from kneeline.segment.training import world
from kneeline.segment.training.model import Network

POOL = 384  # images
BATCH = 8
REUSE = 2  # times an image is drawn, on average, before another takes its place
WARM_UP = 60  # steps
CLASS_WEIGHT = {
    Class.BACKGROUND: 0.8,
    Class.FEMUR: 1.0,
    Class.TIBIA: 1.0,
    Class.PATELLA: 1.5,
    Class.FIBULA: 1.5,
    Class.FEMORAL_CARTILAGE: 1.5,
    Class.TIBIAL_CARTILAGE: 1.5,
    Class.PATELLAR_CARTILAGE: 2.0,
    Class.MENISCUS: 2.0,
    Class.JOINT_FLUID: 1.2,
}


def _pool_arrays(block: shared_memory.SharedMemory) -> tuple[np.ndarray, np.ndarray]:
    side = world.SIDE
    images = np.ndarray((POOL, 3, side, side), np.float16, block.buf)
    truth = np.ndarray((POOL, side, side), np.uint8, block.buf, offset=images.nbytes)
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
        stack, classes = world.simulate_stack(anatomy, world.draw_acquisition(rng), rng, bank)
        inputs, answers = world.training_images(stack, classes)
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
    """Weighted cross-entropy plus soft Dice over the classes that the batch shows."""
    logp = logits.log_softmax(1)
    entropy = F.nll_loss(logp, truth, weight)
    p = logp.exp()
    onehot = F.one_hot(truth, len(Class)).permute(0, 3, 1, 2).to(p.dtype)
    both = (p * onehot).sum((0, 2, 3))
    total = p.sum((0, 2, 3)) + onehot.sum((0, 2, 3))
    present = onehot.sum((0, 2, 3))[1:] > 40
    dice = ((2 * both + 20) / (total + 20))[1:]
    return entropy + (1 - dice)[present].mean()


def rate_at(now: float, start: float, end: float, peak: float, step: int) -> float:
    share = min(max((now - start) / max(end - start, 1.0), 0.0), 1.0)
    return peak * min(1.0, (step + 1) / WARM_UP) * max((1 - share) ** 0.9, 0.01)


def train(folder: Path, out: Path, end: float, workers: int, threads: int, peak: float, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    side = world.SIDE
    block = shared_memory.SharedMemory(create=True, size=POOL * side * side * (3 * 2 + 1))
    made, used, stop = mp.Value("q", 0), mp.Value("q", 0), mp.Event()
    checkpoint = out / "last.pt"
    network = Network()
    mean = Network()
    mean.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=1e-3)
    start, step = time.time(), 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        network.load_state_dict(state["network"])
        mean.load_state_dict(state["mean"])
        optimiser.load_state_dict(state["optimiser"])
        start, step = state["start"], state["step"]
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
    saved = time.time()
    recent: list[float] = []
    try:
        while made.value < POOL // 2:
            time.sleep(0.5)
        while time.time() < end:
            slots = rng.choice(min(made.value, POOL), BATCH, replace=False)
            x = torch.from_numpy(images[slots].astype(np.float32))
            y = torch.from_numpy(truth[slots].astype(np.int64))
            rate = rate_at(time.time(), start, end, peak, step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad()
            loss = loss_of(network(x), y, weight)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            used.value += BATCH
            step += 1
            keep = min(0.996, 1 - 1 / (1 + step / 4))
            with torch.no_grad():
                for m, p in zip(mean.parameters(), network.parameters(), strict=True):
                    m.lerp_(p, 1 - keep)
            recent.append(loss.item())
            if step % 20 == 0:
                row = (step, f"{time.time() - start:.0f}", f"{rate:.5f}", f"{np.mean(recent):.4f}", made.value)
                log.write("\t".join(map(str, row)) + "\n")
                recent.clear()
            if time.time() - saved > 150:
                _save(checkpoint, network, mean, optimiser, start, step)
                saved = time.time()
    finally:
        stop.set()
        _save(checkpoint, network, mean, optimiser, start, step)
        for maker in makers:
            maker.join(5)
        block.close()
        block.unlink()


def _save(path: Path, network, mean, optimiser, start: float, step: int) -> None:
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "network": network.state_dict(),
            "mean": mean.state_dict(),
            "optimiser": optimiser.state_dict(),
            "start": start,
            "step": step,
        },
        partial,
    )
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomies", type=Path, required=True, help="folder of *.npy written by `prepare`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--until", required=True, help="time of day at which training ends, HH:MM, or +MINUTES")
    parser.add_argument("--workers", type=int, default=1, help="generator processes")
    parser.add_argument("--threads", type=int, default=2, help="threads of the trainer")
    parser.add_argument("--peak-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the last state is saved on the way out
    now = datetime.now()
    if args.until.startswith("+"):
        end = now + timedelta(minutes=float(args.until[1:]))
    else:
        end = datetime.combine(now.date(), datetime.strptime(args.until, "%H:%M").time())
        end += timedelta(days=1) if end < now else timedelta()
    train(args.anatomies, args.out, end.timestamp(), args.workers, args.threads, args.peak_rate, args.seed)


if __name__ == "__main__":
    main()

"""Does the generator feed the network? python bench/training_speed.py FOLDER (anatomies; needs the extra `train`)

One process makes images, one thread trains: images a second of each, and whether the same seed made the same images.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from kneeline.segment.classes import Class
from kneeline.segment.training import world
from kneeline.segment.training.model import Network
from kneeline.segment.training.train import BATCH, CLASS_WEIGHT, REUSE, draw_anatomy, loss_of

STACKS, STEPS = 16, 10


def stacks(anatomies, bank, seed: int):
    rng = np.random.default_rng(seed)
    for _ in range(STACKS):
        made = world.simulate_stack(draw_anatomy(anatomies, rng), world.draw_acquisition(rng), rng, bank)
        yield world.training_images(*made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("anatomies", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    anatomies, bank = world.load_anatomies(args.anatomies), world.noise_bank()
    start = time.process_time()
    first = list(stacks(anatomies, bank, 1))
    made = STACKS * world.STACK / (time.process_time() - start)
    same = all(
        torch.equal(a, c) and torch.equal(b, d)
        for (a, b), (c, d) in zip(first, stacks(anatomies, bank, 1), strict=True)
    )
    network, weight = Network(), torch.tensor([CLASS_WEIGHT[c] for c in Class])
    optimiser = torch.optim.AdamW(network.parameters())
    x, y = (torch.cat(part) for part in zip(*first, strict=True))
    start = time.process_time()
    for step in range(STEPS):
        optimiser.zero_grad()
        batch = slice(step * BATCH, (step + 1) * BATCH)
        loss_of(network(x[batch]), y[batch].long(), weight).backward()
        optimiser.step()
    eaten = STEPS * BATCH / (time.process_time() - start)
    print(f"made   {made:6.1f} images per CPU-second; the same seed makes the same images: {'yes' if same else 'NO'}")
    print(f"eaten  {eaten:6.1f} images per CPU-second, each image {REUSE} times: {eaten / REUSE:.1f} new ones needed")


if __name__ == "__main__":
    main()

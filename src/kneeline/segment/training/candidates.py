"""Candidate networks side by side: the same simulated images, the same CPU time each, the same knees to answer for.

    python -m kneeline.segment.training.candidates --anatomies FOLDER/train --test FOLDER/test --out RUN [--minutes 6]

One pool of training stacks is simulated and kept in RUN, and one of whole stacks of knees that no candidate trains on.
Each candidate starts from scratch (with `--start`, from weights of `train`) with the same seed and gets the same CPU
seconds of one thread; a bigger network so makes fewer steps. What is shown is the Dice of the bare answer (no
clean-up), pooled over the voxels of a contrast and then averaged over contrasts. `--only` trains some; every run adds
its line to the table that is printed.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kneeline import markdown, tables
from kneeline.segment.classes import Class
from kneeline.segment.preprocess import compress
from kneeline.segment.training import prepare, world
from kneeline.segment.training.model import Network, _conv
from kneeline.segment.training.optimiser import optimisers
from kneeline.segment.training.train import CLASS_WEIGHT, draw_anatomy, loss_of

N_STACKS = 175  # training stacks, of world.STACK images and a neighbour at either end
TEST_SEEDS = range(9500, 9504)
PEAK_RATE = 2e-3
MUON_RATE = 0.02
GO_ON = 0.5  # share of the peak rates where training goes on from weights
THIN = (Class.FEMORAL_CARTILAGE, Class.TIBIAL_CARTILAGE, Class.PATELLAR_CARTILAGE, Class.MENISCUS)

# --- images ----------------------------------------------------------------------------------------------------------


def training_pool(anatomies: Path, out: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (stack, slice, side, side), float16, and their truth, uint8; simulated once and then read."""
    paths = out / "images.npy", out / "truth.npy"
    if not paths[1].exists():
        rng, bank, found = np.random.default_rng(11), world.noise_bank(), world.load_anatomies(anatomies)
        stacks = [
            world.simulate_stack(draw_anatomy(found, rng), world.draw_acquisition(rng), rng, bank)
            for _ in range(N_STACKS)
        ]
        for path, arrays, kind in zip(paths, zip(*stacks, strict=True), (np.float16, np.uint8), strict=True):
            shown = (compress(a.numpy()) if kind is np.float16 else a.numpy() for a in arrays)
            np.save(path, np.stack(list(shown)).astype(kind))
    return tuple(np.load(path, mmap_mode="r") for path in paths)


@dataclass(frozen=True)
class TestStack:
    name: str
    contrast: str
    images: torch.Tensor  # (slices + 2, side, side)
    truth: torch.Tensor  # (slices, side, side)


def held_out(folder: Path, out: Path) -> list[TestStack]:
    """Whole stacks, each contrast once from a label map and once from a parametric knee, neither used in training.

    The label maps have bones and cartilage of their own; menisci and soft tissue are warped in from a knee that is.


    Slices are 3 mm every 4 mm, or (one stack in six) 0.8 mm every 3.5 mm, as the network sees 3-D images.
    """
    path = out / "held_out.pt"
    if path.exists():
        return [TestStack(*stack) for stack in torch.load(path)]
    prepare.prepare_parametric(TEST_SEEDS, out / "anatomies")
    bank, stacks = world.noise_bank(), []
    for anatomies in (world.load_anatomies(folder), world.load_anatomies(out / "anatomies")):
        for number, contrast in enumerate(world.FAMILIES):
            anatomy = anatomies[number % len(anatomies)]
            spacing, thickness = (3.5, 0.8) if contrast == "DESS" else (4.0, 3.0)
            n = round((anatomy.high_mm[0] - anatomy.low_mm[0] + 8) / spacing)
            middle = np.array([(anatomy.high_mm[0] + anatomy.low_mm[0]) / 2, -8.0, 0.0])
            images, truth = world.simulate_stack(
                anatomy,
                world.Acquisition(n + 2, spacing, thickness, contrast),
                np.random.default_rng(9500 + len(stacks)),
                bank,
                centre_mm=middle,
                strength=0.5,
                cropped=False,
            )
            stacks.append((anatomy.name, contrast, torch.from_numpy(compress(images.numpy())), truth[1:-1, 0]))
    torch.save(stacks, path)
    return [TestStack(*stack) for stack in stacks]


# --- networks: stacks (n, depth + 2, h, w) to logits (n * depth, classes, h, w) ---------------------------------------


def triples(stacks: torch.Tensor) -> torch.Tensor:
    """Each slice but the first and last with its two neighbours: (n, depth + 2, h, w) to (n * depth, 3, h, w)."""
    return torch.stack([stacks[:, :-2], stacks[:, 1:-1], stacks[:, 2:]], 2).flatten(0, 1)


class SliceBySlice(nn.Module):
    """The shipped network; with `neighbours` false it sees the slice itself in place of its neighbours."""

    def __init__(self, neighbours: bool = True, **shape):
        super().__init__()
        self.network = Network(**shape)
        self.neighbours = neighbours

    def forward(self, stacks: torch.Tensor) -> torch.Tensor:
        x = triples(stacks)
        return self.network(x if self.neighbours else x[:, 1:2].expand(-1, 3, -1, -1))


class Through(nn.Module):
    """What a slice's features learn from those of the slices beside it, added to them; at first nothing.

    Mirror-symmetric: the neighbours enter by their mean and absolute difference. A slice at the end of the stack is
    its own neighbour.
    """

    def __init__(self, n: int):
        super().__init__()
        self.mix = nn.Conv2d(3 * n, n, 1)
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)
        self.depth = 1  # slices of a stack; set before each call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        slices = x.unflatten(0, (-1, self.depth))
        before = torch.cat([slices[:, :1], slices[:, :-1]], 1).flatten(0, 1)
        after = torch.cat([slices[:, 1:], slices[:, -1:]], 1).flatten(0, 1)
        return x + self.mix(torch.cat([x, (before + after) / 2, (before - after).abs()], 1))


class Fusion(SliceBySlice):
    """The shipped network with features passed along the stack at its three lowest levels."""

    def __init__(self):
        super().__init__()
        self.through = [Through(down[0][0].out_channels) for down in self.network.down[2:]]
        for down, through in zip(self.network.down[2:], self.through, strict=True):
            down.append(through)

    def forward(self, stacks: torch.Tensor) -> torch.Tensor:
        for through in self.through:
            through.depth = stacks.shape[1] - 2
        return super().forward(stacks)


class FullResolution(nn.Module):
    """A plain U-Net on a slice and its neighbours: its first level is at full resolution, not folded."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 56, 80, 112)):
        super().__init__()
        inward = zip((3, *widths[:-1]), widths, strict=True)
        outward = zip(widths[:-1], widths[1:], strict=True)
        self.down = nn.ModuleList(nn.Sequential(_conv(a, b), _conv(b, b)) for a, b in inward)
        self.up = nn.ModuleList(nn.Sequential(_conv(a + b, a), _conv(a, a)) for a, b in outward)
        self.answer = nn.Conv2d(widths[0], len(Class), 1)

    def forward(self, stacks: torch.Tensor) -> torch.Tensor:
        before, centre, after = triples(stacks).unbind(1)
        x = torch.stack([(before + after) / 2, centre, (before - after).abs()], 1)
        kept = []
        for level, down in enumerate(self.down):
            x = down(x if level == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        for level in reversed(range(len(self.up))):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.up[level](torch.cat([x, kept[level]], 1))
        return self.answer(x)


def _conv3d(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(n_in, n_out, 3, padding=1, bias=False), nn.InstanceNorm3d(n_out, affine=True), nn.LeakyReLU(0.01)
    )


class Volumetric(nn.Module):
    """A 3-D U-Net shaped like the shipped one: in-plane folding and pooling, full-resolution edges carried past it."""

    def __init__(self, widths: tuple[int, ...] = (16, 24, 32, 48, 64), edge: int = 8, head: int = 8):
        super().__init__()
        self.edge = _conv3d(1, edge)
        inward = zip((4, *widths[:-1]), widths, strict=True)
        outward = zip(widths[:-1], widths[1:], strict=True)
        self.down = nn.ModuleList(nn.Sequential(_conv3d(a, b), _conv3d(b, b)) for a, b in inward)
        self.up = nn.ModuleList(nn.Sequential(_conv3d(a + b, a), _conv3d(a, a)) for a, b in outward)
        self.unfold = nn.Conv3d(widths[0], head * 4, 1)
        self.head = _conv3d(head + edge, head)
        self.answer = nn.Conv3d(head, len(Class), 1)

    def forward(self, stacks: torch.Tensor) -> torch.Tensor:
        images = stacks[:, None, 1:-1]
        # Folding works on the last two axes of (n, depth, channels, h, w).
        x = F.pixel_unshuffle(images.transpose(1, 2), 2).transpose(1, 2)
        kept = []
        for level, down in enumerate(self.down):
            x = down(x if level == 0 else F.max_pool3d(x, (1, 2, 2)))
            kept.append(x)
        for level in reversed(range(len(self.up))):
            x = F.interpolate(x, scale_factor=(1.0, 2.0, 2.0), mode="nearest")
            x = self.up[level](torch.cat([x, kept[level]], 1))
        x = F.pixel_shuffle(self.unfold(x).transpose(1, 2), 2).transpose(1, 2)
        logits = self.answer(self.head(torch.cat([x, self.edge(images)], 1)))
        return logits.transpose(1, 2).flatten(0, 1)


# --- loss and optimiser ----------------------------------------------------------------------------------------------


def boundary_loss(logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The shipped loss plus the mean cross-entropy of the pixels that touch another class."""
    classes = truth[:, :1].float()
    border = (F.max_pool2d(classes, 3, 1, 1) != -F.max_pool2d(-classes, 3, 1, 1))[:, 0]
    at_border = F.cross_entropy(logits.permute(0, 2, 3, 1)[border], truth[:, 0][border])
    return loss_of(logits, truth, weight) + 0.5 * at_border


def adamw(model: nn.Module) -> list[torch.optim.Optimizer]:
    return [torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=1e-3)]


def muon(model: nn.Module) -> list[torch.optim.Optimizer]:
    return optimisers(model, MUON_RATE, PEAK_RATE)


# --- candidates ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """What is tried; unless said otherwise, small batches and Muon, which learn most in little time."""

    build: Callable[[], nn.Module] = SliceBySlice
    groups: int = 3  # stacks of a batch
    depth: int = 1  # contiguous slices of each
    loss: Callable = loss_of
    optimisers: Callable[[nn.Module], list[torch.optim.Optimizer]] = muon


CANDIDATES = {
    "2.5d": Candidate(groups=8, optimisers=adamw),  # as first shipped
    "2.5d-batch3": Candidate(optimisers=adamw),
    "2.5d-muon": Candidate(),
    "plain-2d": Candidate(lambda: SliceBySlice(neighbours=False)),
    "fusion": Candidate(Fusion, groups=1, depth=4),
    "2.5d-full": Candidate(FullResolution),
    "2.5d-boundary": Candidate(loss=boundary_loss),
    "2.5d-wide": Candidate(lambda: SliceBySlice(widths=(45, 78, 112, 157, 179))),
    "3d": Candidate(Volumetric, groups=1, depth=4),
}


def rate_share(spent: float, step: int) -> float:
    """Of the peak rate, after a share of the time: 60 steps of warm-up, then a polynomial to zero."""
    return min(1.0, (step + 1) / 60) * max((1 - spent) ** 0.9, 0.01)


def train(candidate: Candidate, images, truth, seconds: float, seed: int, shipped: Path | None):
    """The running mean of the weights after so many CPU seconds, and the number of steps made in them.

    From scratch, or from the weights `shipped`, a checkpoint of `train` (parts that it lacks start as built).
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model, mean = candidate.build(), candidate.build()
    if shipped:
        model.network.load_state_dict(torch.load(shipped)["mean"], strict=False)
    mean.load_state_dict(model.state_dict())
    both = candidate.optimisers(model)
    peaks = [o.param_groups[0]["lr"] for o in both]
    weight = torch.tensor([CLASS_WEIGHT[c] for c in Class])
    depth, start, step = candidate.depth, time.process_time(), 0
    while (now := time.process_time()) < start + seconds:
        stacks = rng.choice(len(images), candidate.groups, replace=False)
        first = rng.integers(world.STACK - depth + 1, size=candidate.groups)
        x = np.stack([images[s, f : f + depth + 2] for s, f in zip(stacks, first, strict=True)])
        y = np.concatenate([truth[s, f + 1 : f + 1 + depth] for s, f in zip(stacks, first, strict=True)])
        share = (GO_ON if shipped else 1.0) * rate_share((now - start) / seconds, step)
        for optimiser, peak in zip(both, peaks, strict=True):
            optimiser.param_groups[0]["lr"] = peak * share
        model.zero_grad()
        logits = model(torch.from_numpy(x.astype(np.float32)))
        loss = candidate.loss(logits, torch.from_numpy(y.astype(np.int64)), weight)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        for optimiser in both:
            optimiser.step()
        step += 1
        keep = min(0.996, 1 - 1 / (1 + step / 4))
        with torch.no_grad():
            for m, p in zip(mean.parameters(), model.parameters(), strict=True):
                m.lerp_(p, 1 - keep)
        if step % 50 == 0:
            print(step, f"{now - start:.0f} s, loss {loss.item():.3f}", flush=True)
    return mean, step


def measure(model: nn.Module, stacks: list[TestStack]) -> tuple[dict[Class, float], float]:
    """Dice of each class, the mean over contrasts of voxels pooled, and CPU seconds a slice."""
    both = {s.contrast: np.zeros(len(Class)) for s in stacks}
    total = {s.contrast: np.zeros(len(Class)) for s in stacks}
    spent = slices = 0
    for stack in stacks:
        start = time.process_time()
        with torch.inference_mode():
            found = model(stack.images[None]).argmax(1)
        spent += time.process_time() - start
        slices += len(found)
        truth = stack.truth.long()
        both[stack.contrast] += np.bincount(truth[found == truth], minlength=len(Class))
        for classes in (found, truth):
            total[stack.contrast] += np.bincount(classes.flatten(), minlength=len(Class))
    dice = {cls: float(np.mean([2 * both[c][cls] / total[c][cls] for c in both])) for cls in Class if cls}
    return dice, spent / slices


def compare(name: str, args: argparse.Namespace, images: np.ndarray, truth: np.ndarray) -> None:
    """Train one candidate; write its weights and its line in a folder of `results`, by start, name and seed."""
    candidate = CANDIDATES[name]
    model, steps = train(candidate, images, truth, 60 * args.minutes, args.seed, args.start)
    start = "shipped" if args.start else "scratch"
    stem = args.out / "results" / f"{start}_{name}_{args.seed}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), f"{stem}.pt")
    dice, per_slice = measure(model, held_out(args.test, args.out))
    row = {"start": start, "candidate": name, "seed": args.seed, "cpu_minutes": args.minutes, "steps": steps}
    row["images"] = steps * candidate.groups * candidate.depth
    row["parameters_m"] = f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f}"
    row["s_per_slice"] = f"{per_slice:.3f}"
    row |= {cls.name.lower(): f"{value:.3f}" for cls, value in dice.items()}
    row |= {"thin": f"{np.mean([dice[c] for c in THIN]):.3f}", "mean": f"{np.mean(list(dice.values())):.3f}"}
    tables.write_text(f"{stem}.tsv", "\t".join(row) + "\n" + "\t".join(map(str, row.values())) + "\n")


def results(out: Path) -> list[dict]:
    rows = []
    for path in sorted((out / "results").glob("*.tsv")):
        with path.open(newline="") as file:
            rows += csv.DictReader(file, delimiter="\t")
    order = list(CANDIDATES)
    return sorted(rows, key=lambda r: (r["start"], order.index(r["candidate"]), int(r["seed"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomies", type=Path, required=True, help="folder of *.npy to train on")
    parser.add_argument("--test", type=Path, required=True, help="folder of *.npy never trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder of pools and results")
    parser.add_argument("--minutes", type=float, default=6, help="CPU minutes of training for each")
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=list(CANDIDATES), metavar="NAME")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="RUN/last.pt of `train` to go on from; not for 2.5d-full and 3d")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    images, truth = training_pool(args.anatomies, args.out)
    for name in args.only:
        compare(name, args, images, truth)
    if rows := results(args.out):
        lines = [rows[0].keys(), *(row.values() for row in rows)]
        tables.write_text(args.out / "candidates.tsv", "".join("\t".join(line) + "\n" for line in lines))
        print(markdown.table(rows[0], (row.values() for row in rows)))


if __name__ == "__main__":
    main()

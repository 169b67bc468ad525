"""Muon: gradient descent in which every update of a weight matrix is made orthogonal.

Jordan K et al. 2024, "Muon: an optimizer for hidden layers in neural networks". From random weights it learned several
times as much in the first CPU minutes here as AdamW (docs/network-comparison.md).
"""

from __future__ import annotations

import torch
from torch import nn

MOMENTUM = 0.95
ITERATIONS = 4  # of Newton-Schulz: singular values end between about 0.7 and 1.2
DECAY = 1e-3


class Muon(torch.optim.Optimizer):
    """For convolution weights, taken as matrices (out, in * taps)."""

    def __init__(self, parameters, lr: float):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                velocity = self.state[p].setdefault("velocity", torch.zeros_like(p))
                velocity.lerp_(p.grad, 1 - MOMENTUM)
                update = orthogonal(p.grad.lerp(velocity, MOMENTUM).flatten(1))
                p.mul_(1 - group["lr"] * DECAY)
                p.add_(update.view_as(p), alpha=-group["lr"] * max(1.0, update.shape[0] / update.shape[1]) ** 0.5)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """About the nearest matrix whose singular values are all one: quintic Newton-Schulz iterations."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def optimisers(network: nn.Module, muon_rate: float, adam_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the convolutions within, AdamW for the first and last ones, norms and biases."""
    inner, rest = [], []
    for name, p in network.named_parameters():
        hidden = p.ndim >= 4 and not any(part in name for part in ("edge", "answer", "down.0.0."))
        (inner if hidden else rest).append(p)
    return [Muon(inner, muon_rate), torch.optim.AdamW(rest, adam_rate, weight_decay=DECAY)]

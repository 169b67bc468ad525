"""Write the trained network as ONNX, checked against torch.

python -m kneeline.segment.training.export RUN/last.pt [OTHER_RUN/last.pt ...] src/kneeline/segment/network.onnx

Runs that left the same plateau lie in one valley of the loss: the mean of their weights is a network too, often better
than either (Wortsman et al. 2022, "Model soups").
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch

from kneeline.segment.classes import Class
from kneeline.segment.training.model import Network


def mean_of(states: list[dict]) -> dict:
    """Mean of the weights of several states of one kind of network."""
    return {key: sum(state["mean"][key].double() for state in states) / len(states) for key in states[0]["mean"]}


def export(checkpoints: list[Path], out: Path) -> None:
    """Probabilities, not logits, and any height and width that is a multiple of the stride."""
    import onnx
    import onnxruntime

    states = [torch.load(checkpoint) for checkpoint in checkpoints]
    steps = "+".join(str(state["step"]) for state in states)
    network = Network()
    network.load_state_dict(mean_of(states))
    network.eval()
    whole = torch.nn.Sequential(network, torch.nn.Softmax(1))
    example = torch.rand(2, 3, 192, 224)
    torch.onnx.export(
        whole,
        (example,),
        str(out),
        input_names=["slices"],
        output_names=["probability"],
        dynamic_axes={name: {0: "n", 2: "height", 3: "width"} for name in ("slices", "probability")},
        opset_version=18,
        dynamo=False,
    )
    model = onnx.load(str(out))
    for key, value in (("classes", ",".join(c.name.lower() for c in Class)), ("steps", steps)):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, str(out))
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    for shape in ((2, 3, 192, 224), (1, 3, 256, 160)):
        x = torch.rand(*shape)
        with torch.no_grad():
            expected = whole(x).numpy()
        difference = np.abs(session.run(None, {"slices": x.numpy()})[0] - expected).max()
        if difference > 1e-3:
            raise SystemExit(f"ONNX and torch differ by {difference:.2g}")
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    print(f"{out}: step {steps}, {out.stat().st_size / 1e6:.1f} MB, sha256 {digest}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    export(args.checkpoint, args.out)


if __name__ == "__main__":
    main()

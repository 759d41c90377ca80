"""Separates two noisy spirals with a small network: a PyTorch trainer of one's own, which goes on after an end."""

import argparse
import math
from pathlib import Path

import torch
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}


def spirals(points: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns `points` points of the plane [N, 2] and to which of the two spirals each belongs [N]."""
    numbers = torch.Generator().manual_seed(seed)
    angle = 3 * math.pi * torch.rand(points, generator=numbers).sqrt()
    label = torch.randint(2, (points,), generator=numbers)
    turned = angle + math.pi * label
    place = torch.stack([turned.cos(), turned.sin()], dim=1) * (angle / (3 * math.pi)).unsqueeze(1)
    return place + 0.03 * torch.randn(points, 2, generator=numbers), label


def network(width: int, depth: int, activation: str, *, norm: bool) -> nn.Sequential:
    """Returns a network with `depth` hidden layers."""
    layers: list[nn.Module] = []
    for inputs in [2, *[width] * (depth - 1)]:
        layers += [nn.Linear(inputs, width), *([nn.BatchNorm1d(width)] if norm else []), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(width, 2))


def arguments() -> argparse.Namespace:
    """Returns the settings of this run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--activation", choices=ACTIVATIONS, default="relu")
    parser.add_argument("--norm", choices=["True", "False"], default="False")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Trains, prints the accuracy of each epoch, and saves before it prints."""
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(given.seed)
    points, labels = spirals(2000, seed=1)
    unseen, truth = spirals(1000, seed=2)
    model = network(given.width, given.depth, given.activation, norm=given.norm == "True")
    optimizer = torch.optim.Adam(model.parameters(), lr=given.rate)
    lines: list[str] = []
    checkpoint = given.out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"])
        lines = saved["lines"]
        # Whoever counts epochs by lines reads those of this start alone.
        print("\n".join(lines), flush=True)
    for epoch in range(len(lines) + 1, given.epochs + 1):
        model.train()
        for batch in torch.randperm(len(points)).split(50):
            loss = nn.functional.cross_entropy(model(points[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if not math.isfinite(loss.item()):
            raise SystemExit(3)
        model.eval()
        with torch.no_grad():
            right = (model(unseen).argmax(dim=1) == truth).float().mean().item()
        lines.append(f"epoch {epoch}: loss {loss.item():.4f}, accuracy {100 * right:.1f} %")
        states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**states, "random": torch.get_rng_state(), "lines": lines}, given.out / "new.pt")
        # A checkpoint is whole, or it is that of the epoch before.
        (given.out / "new.pt").replace(checkpoint)
        print(lines[-1], flush=True)


if __name__ == "__main__":
    main()

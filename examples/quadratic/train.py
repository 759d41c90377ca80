"""Fits a parabola's minimum by noisy gradient descent: a trainer of one's own, which needs Python alone."""

import argparse
import random
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float, required=True)
parser.add_argument("--samples", type=int, required=True)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--out", type=Path, required=True)
given = parser.parse_args()
given.out.mkdir(parents=True, exist_ok=True)
numbers, weight, target = random.Random(given.seed), 0.0, 3.0
for epoch in range(1, given.epochs + 1):
    for _ in range(20):
        noise = sum(numbers.gauss(0, 2) for _ in range(given.samples)) / given.samples
        weight -= given.rate * (weight - target + noise)
    (given.out / "weight.txt").write_text(f"{weight}\n")
    print(f"epoch={epoch} loss={(weight - target) ** 2:.6f}", flush=True)

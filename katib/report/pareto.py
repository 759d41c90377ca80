"""Plots an architecture sweep: result against each cost, with Pareto's front, in one HTML file that works offline."""

from collections.abc import Mapping

from katib.conclude.architecture import Cost

AXES: Mapping[Cost, tuple[str, float]] = {
    "parameters": ("parameters, millions", 1e-6),
    "multiply_adds": ("multiply-adds of one mixture, G", 1e-9),
    "step_seconds": ("training step, s", 1.0),
}
"""Title of each cost's axis, and what its numbers are multiplied with."""
HEIGHT = 380

"""The command of a trial on this machine, from the manifest that a cluster would run."""

from pathlib import Path

import pytest

from katib.experiment import load_experiment
from katib.local.launch import Launcher
from katib.render import render
from katib.site import load_site
from katib.spec import load_spec


@pytest.mark.parametrize(("device", "asked"), [(None, "cpu"), ("0", "cuda"), ("GPU-1b2c", "cuda")])
def test_a_manifest_for_gpus_trains_on_the_processor_where_there_is_none(
    device: str | None, asked: str, tmp_path: Path
) -> None:
    """With a GPU the trainer is held to it; without one the same manifest still runs, and the engine says so once."""
    experiment = load_experiment(render(load_spec("demo"), load_site()), "test")
    start = Launcher(experiment, tmp_path, tmp_path, (device,))
    assignments = {parameter.name: "1" for parameter in experiment.parameters}
    argv = start.launch("demo-abcd1234", assignments, device).argv
    assert argv[argv.index("--device") + 1] == asked
    assert [word for word in argv if word in ("cpu", "cuda")] == [asked]
    assert start.without_gpu == (device is None)

"""Says what it means that trials share a GPU here; the trainer's `describe` says how much memory each of them needs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from katib.backend.local.devices import Gpu, has_mps, told
from katib.backend.local.launch import Launch, Launcher
from katib.errors import ManifestError
from katib.manifest.command import flags_in, trainer_in
from katib.trainer_contract import Flags, run_trainer
from katib.trainer_flags import fields_in, flag_of

HALF = ("bf16", "fp16")


@dataclass(frozen=True)
class Sharing:
    """So many `trials` at a time on a GPU; amounts of memory are bytes, None where unknown."""

    trials: int
    each: int | None
    """What the step of a trial needs in fp32, with the largest values of the search."""
    memory: int | None
    """What the smallest shared GPU has."""
    mps: bool = False
    half: bool = False
    """Whether it computes in half precision, which takes half of that at the least, and all of it at the most."""

    @property
    def fits(self) -> bool:
        """Whether the trials may fit into the memory together, as far as that is known."""
        return self.memory is None or self.trials * self._least <= self.memory

    @property
    def _least(self) -> float:
        return (self.each or 0) / (2 if self.half else 1)

    def __str__(self) -> str:
        amount = f"of {self.memory / 1e9:.3g} GB" if self.memory else "of an amount that nvidia-smi does not tell"
        from_half = f"{self._least / 1e9:.2g} to " if self.half else ""
        known = f"about {from_half}{(self.each or 0) / 1e9:.2g} GB each {amount}"
        each = known if self.each else "how much of it each needs is not known"
        if self.fits:
            how = "by MPS" if self.mps else "by turns"
            return (
                f"{self.trials} trials share a GPU {how}, and its memory ({each}, without CUDA's own): one that takes"
                " too much ends the others, too; GPU-hours are divided"
            )
        most = int((self.memory or 0) / (self._least or 1))
        fix = f"SLOTS={most} fits" if most > 1 else "leave SLOTS out"
        return (
            f"{self.trials} trials on a GPU need more memory than it has ({each}): {fix}, or a smaller micro_batch"
            " among the spec's `fixed`, with the same result"
        )


def sharing(launcher: Launcher) -> Sharing | None:
    """Returns what it means that trials share a GPU; None where each has its own.

    Raises ManifestError where a GPU admits one process only, or with the trainer's message where it could not train.
    """
    shared = {device for device in launcher.slots if device is not None and launcher.sharers(device) > 1}
    if not shared:
        return None
    trials, found, mps = max(map(launcher.sharers, shared)), told(shared), has_mps()
    if not mps and (closed := next((gpu for gpu in found if gpu.exclusive), None)):
        raise ManifestError(
            f"SLOTS={trials} (--slots): the GPU {closed.uuid} admits one process only (compute mode Exclusive_Process);"
            " start MPS (nvidia-cuda-mps-control -d), or leave SLOTS out"
        )
    launch = launcher.launch("sharing", launcher.largest, launcher.slots[0])
    given = flags_in(launch.argv)
    return Sharing(trials, _step(launcher, launch), _least(found), mps, half=_word(given, "--precision") in HALF)


def _least(found: Sequence[Gpu]) -> int | None:
    """Returns the memory of the smallest GPU; None where that of one is not known."""
    return min((gpu.memory or 0 for gpu in found), default=0) or None


def _step(launcher: Launcher, launch: Launch) -> int | None:
    """Returns the bytes of a training step of a trial; None for a program of which that is not known."""
    given, program = flags_in(launch.argv), trainer_in(launch.argv)
    if not program:
        return None
    words = [*program, "describe", "--json"]
    for flag in (Flags.MODEL, Flags.PRESET, Flags.SEGMENT_SECONDS):
        words += [flag, *given[flag]] if flag in given else []
    sizes = [size for flag in (Flags.BATCH_SIZE, Flags.MICRO_BATCH) if (size := _word(given, flag)).isdecimal()]
    words += [Flags.BATCH_SIZE, min(sizes, key=int)] if sizes else []
    words += [word for name, text in fields_in(given).items() for word in (flag_of(name), text)]
    answer = run_trainer(words, launch.env)
    if answer.code:
        raise ManifestError(f"{launcher.experiment.name}: {answer.problem}")
    return int(json.loads(answer.output)["memory"])


def _word(given: Mapping[str, Sequence[str]], flag: str) -> str:
    """Returns the value of a flag; empty where it has none."""
    return next(iter(given.get(flag, ())), "")

"""The trainer's settings: what defines a training, apart from how and how long it is run.

Each field is a flag of `python -m trainer`, and the docstring below it is that flag's help. Series 3 fixes or
searches most of them; defaults not said to be otherwise are those of Conv-TasNet (Luo & Mesgarani 2019, arXiv
1809.07454). Built by trainer/command_line.py; imports nothing heavy, so that `--help` is quick.
"""

from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from tyro.conf import arg

from trainer.data.curriculum import Curriculum
from trainer.errors import ConfigError
from trainer.limits import check, flag
from trainer.models import CURRICULA, MODELS, OPTIONS, find

C = TypeVar("C")


def _with_options(settings: type[C]) -> type[C]:
    """Returns the dataclass with a field for each option that a model of the registry has; None is the preset's."""
    options = [
        (name, Annotated[option.type | None, arg(help=f"{option.help} Default: the preset's.")], None)
        for name, option in OPTIONS.items()
    ]
    return make_dataclass(settings.__name__, options, bases=(settings,), frozen=True, kw_only=True)


@_with_options
@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A model and its size."""

    model: Annotated[str, arg(help=f"{', '.join(MODELS)}.")]

    preset: str = "paper"
    """The model's size: 'paper' as published, 'debug' small enough for one CPU core."""

    @property
    def architecture(self) -> dict[str, Any]:
        """The options that are given: the fields that depart from the preset, with their values."""
        return {name: value for name in OPTIONS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, kw_only=True)
class Training(Architecture):
    """What defines a training. A run directory belongs to one of these and to one corpus."""

    lr: float = 1e-3
    """Learning rate of Adam at the start. Series 3 searches 1e-4..1e-2."""

    weight_decay: float = 1e-5
    """L2 penalty of Adam. Series 3 searches 1e-6..1e-4; the default is the middle of it."""

    grad_clip_norm: float = 5.0
    """The gradient's L2 norm is clipped to this. Series 3 searches 1..10."""

    lr_factor: float = 0.5
    """What the plateau scheduler multiplies the learning rate with. Series 3 searches 0.3..0.8."""

    lr_patience: int = 2
    """Epochs without a better validation that the plateau scheduler lets pass (Series 3)."""

    batch_size: int = 16
    """Mixtures a step. Published: convtasnet and dprnn 16, sepformer 2, spmamba 1."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the model's forward pass; fp16 needs CUDA, fp32 uses TF32 there. SPMamba diverged in half
    precision."""

    curriculum: str = "auto"
    """Which variants an epoch trains on: a model's name for its published curriculum, or all; auto: the model's own, or
    all where it has none."""

    validation_variants: tuple[str, ...] | None = None
    """Variants to validate on, one a mixture and always the same. Default: each mixture with all that is in it, which
    is SER indoors and SE outdoors (Series 3), S with LibriMix's mix_both and C with its mix_clean."""

    segment_seconds: float = 4.0
    """Length of the training and validation excerpts in seconds; longer files are cut, shorter ones stay whole and are
    repeated in training where others of their batch are longer."""

    train_limit: int | None = None
    """Only the first so many fitting mixtures of train/. Default: all."""

    validation_limit: int | None = None
    """Only the first so many fitting mixtures of val/. Default: all."""

    seed: int = 42
    """Of the weights and of all that is drawn in training. Series 3 searches with 42, confirms with 42, 123 and 456."""

    def __post_init__(self) -> None:
        check(self)
        if self.validation_variants == ():
            raise ConfigError("--validation-variants: names none, expected at least one variant")

    @property
    def stages(self) -> Curriculum:
        """The curriculum that `curriculum` names."""
        return CURRICULA[self.curriculum_name]

    @property
    def curriculum_name(self) -> str:
        """`curriculum` with auto resolved: all, where the model has no curriculum of its own."""
        own = self.model if self.model in CURRICULA else "all"
        return own if self.curriculum == "auto" else self.curriculum


@dataclass(frozen=True, kw_only=True)
class Run:
    """Train one model once.

    Prints one metric line an epoch; stopped and started again, it goes on where it was. `--set lr=0.001,seed=123` is
    short for `--lr 0.001 --seed 123`.
    """

    training: Training

    data_dir: Path
    """Root of a corpus in PolSESS format, with train/ and val/ in it."""

    run_dir: Path
    """Where checkpoints and summary go. Its last part names the run; it is made if need be."""

    epochs: int = 50
    """Epochs to train in all; a finished run that is started with more of them goes on. Series 3: 30 to 100 by
    model."""

    patience: int | None = None
    """Epochs in a row without a validation strictly better than the best after which the training ends. Series 3: 10.
    Default: none."""

    nonfinite_batches: int = 0
    """Batches an epoch whose loss or gradient is not finite and that are left out; one more ends the run as diverged.
    The published trainings leave out any number."""

    micro_batch: int | None = None
    """Mixtures computed at once; gradients of a larger batch are accumulated, with the same result in less memory.
    Default: the whole batch."""

    compile: bool = False
    """Whether torch.compile makes kernels for the model; the first steps then take minutes."""

    cuda_graph: bool = True
    """Whether a GPU records a training step once and then replays it, which spares the CPU's time."""

    deterministic: bool = False
    """Whether the same run gives the same bits on a GPU too, which is slower. On a CPU it does anyway."""

    device: str = "auto"
    """cpu, cuda or cuda:N; auto: a GPU where there is one."""

    workers: int = 0
    """Processes that read ahead; 0: the training process reads, which is best where the CPU trains."""

    checkpoint_minutes: float = 15.0
    """Within an epoch a checkpoint is written that often; at its end in any case."""

    room_minutes: float = 60.0
    """Minutes that the run waits for room where the volume of its run directory is full, before it fails."""

    linger: float = 0.0
    """Seconds that a run which finds itself finished waits before it exits; Katib's collector needs to see it alive.
    None where TRAINER_READ_TO_END is set, as the local engine does."""

    stop_delay: float = 2.5
    """Seconds from SIGTERM to the exit, at least; Katib's collector needs 2 to 3. None where TRAINER_READ_TO_END is
    set."""

    @property
    def rows(self) -> int:
        """Mixtures computed at once, at most."""
        return min(self.micro_batch or self.training.batch_size, self.training.batch_size)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Pace(Run):
    """How long an epoch of this very training would take on this machine's processor, as one JSON object: a few steps
    are timed, and nothing is written. What has a GPU is not timed.
    """


def check_architecture(model: str, preset: str, architecture: dict[str, Any]) -> Any:
    """Returns the model's config.

    Raises ConfigError that lists the options the model has, where it lacks one, or names what does not fit; imports the
    model and with it torch.
    """
    entry = find(model)
    options = MODELS[model].options
    for name in architecture:
        if name not in options:
            raise ConfigError(
                f"{flag(name)}: {model} has no such option; those it has: {', '.join(map(flag, options)) or 'none'}"
            )
    try:
        return entry.config(preset, **architecture)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def flags(command: type) -> dict[str, str]:
    """Returns all flags of a command, by each form that they can be given in."""
    kinds = (Training, Run) if command in (Run, Pace) else (command,)
    own = [field for kind in kinds for field in fields(kind) if field.name not in ("training", "recording")]
    negated = [flag(field.name) for field in own if field.type is bool]
    return {flag(field.name): flag(field.name) for field in own} | {
        name.replace("--", "--no-", 1): name for name in negated
    }

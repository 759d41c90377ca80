"""The trainer's settings: what defines a training, and how and how long it is run.

Each field is a flag of `python -m trainer`, and the docstring below it is that flag's help. Series 3 fixes or searches
most of them; defaults are those of Conv-TasNet (Luo & Mesgarani 2019, arXiv:1809.07454) unless the help says otherwise.
The module imports nothing heavy, so that `--help` is quick.
"""

from collections.abc import Hashable, Mapping
from dataclasses import MISSING, dataclass, fields, make_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional, TypeVar, get_type_hints

from tyro.conf import arg

from trainer.data.curriculum import Curriculum
from trainer.errors import ConfigError
from trainer.limits import check, flag
from trainer.models import CURRICULA, MODELS, config_fields, curriculum_of, find, is_own
from trainer.models.source import KINDS, ConfigField
from trainer.recipe import Recipe

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A model and its size."""

    model: Annotated[str, arg(help=f"{', '.join(MODELS)}, or one of your own: my_package.my_model:MODEL.")]

    preset: str = "paper"
    """The model's size: 'paper' as published, 'debug' small enough for one CPU core. Each field of the model's config
    is a flag, too: --model NAME --help lists them."""

    @property
    def architecture(self) -> dict[str, object]:
        """The fields of the model's config that are given: those that depart from the preset, with their values."""
        given = {name: getattr(self, name, None) for name in config_fields(self.model)}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Training(Recipe, Architecture):
    """What defines a training. A run directory belongs to one of these and to one corpus."""

    lr: float = 1e-3
    """Learning rate of the optimizer at the start. Series 3 searches 1e-4..1e-2."""

    weight_decay: float = 1e-5
    """L2 penalty of Adam, or the decay of AdamW. Series 3 searches 1e-6..1e-4, and the default is the middle of that
    range."""

    grad_clip_norm: float = 5.0
    """The gradient's L2 norm is clipped to this. Series 3 searches 1..10."""

    lr_factor: float = 0.5
    """Factor by which the plateau scheduler multiplies the learning rate. Series 3 searches 0.3..0.8."""

    lr_patience: int = 2
    """Epochs without a better validation that the plateau scheduler tolerates (Series 3: 2)."""

    batch_size: int = 16
    """Mixtures per step. Published: convtasnet and dprnn 16, sepformer 2, spmamba and dpmamba 1."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the forward pass; fp16 needs CUDA, and fp32 uses TF32 there. SPMamba diverged in half precision."""

    curriculum: str = "auto"
    """Variants that an epoch trains on: a model's name means its published curriculum, all means every variant, auto
    means the model's own curriculum, or all if it has none."""

    validation_variants: tuple[str, ...] | None = None
    """Variants to validate on; each mixture is always shown in the same one. Default: each mixture as it is, which is
    SER indoors and SE outdoors (Series 3), S with LibriMix's mix_both and C with its mix_clean."""

    segment_seconds: float = 4.0
    """Length of the training and validation excerpts in seconds. Longer files are cut; in training, shorter ones are
    repeated to the length of the longest in their batch."""

    train_limit: int | None = None
    """Train on only this many mixtures, the first of train/ that fit. Default: all."""

    validation_limit: int | None = None
    """Validate on only this many mixtures, the first of val/ that fit. Default: all."""

    seed: int = 42
    """Seed of the weights and of every random draw. Series 3 searches with 42 and confirms with 42, 123 and 456."""

    def __post_init__(self) -> None:
        check(self)
        if self.scheduler == "cosine" and self.cosine_epochs is None:
            raise ConfigError("--scheduler cosine: give --cosine-epochs, after which the learning rate is zero")

    @property
    def stages(self) -> Curriculum:
        """The curriculum that `curriculum` names. Raises ConfigError where there is none."""
        stages = curriculum_of(self.curriculum_name)
        if stages is None:
            raise ConfigError(
                f"--curriculum: {self.curriculum_name} has none of its own; valid: {', '.join(CURRICULA)}"
            )
        return stages

    @property
    def curriculum_name(self) -> str:
        """`curriculum` with auto resolved: the model's own, or all if it has none."""
        if self.curriculum != "auto":
            return self.curriculum
        return "all" if curriculum_of(self.model) is None else self.model


@dataclass(frozen=True, kw_only=True)
class Run:
    """Train one model once.

    Prints one metric line per epoch; after a stop, the same command resumes the run. `--set lr=0.001,seed=123` is short
    for `--lr 0.001 --seed 123`.
    """

    training: Training

    data_dir: Path
    """Root of a corpus in PolSESS format, with train/ and val/ in it."""

    run_dir: Path
    """Folder for checkpoints and summary, created if missing. Its last part names the run."""

    continue_from: Path | None = None
    """Run directory of the same training whose checkpoints this one begins with, where it has none of its own."""

    epochs: int = 50
    """Epochs to train in all; a finished run that is started with more epochs continues. Series 3: 30 to 100,
    depending on the model."""

    patience: int | None = None
    """End the training after this many epochs in a row without a validation strictly better than the best. Series 3:
    10. Default: never."""

    hopeless: int | None = None
    """End the training after this many epochs, or later, if its best validation is still below that of the unprocessed
    mixtures. Default: never."""

    nonfinite_batches: int = 0
    """Batches per epoch that may be skipped because their loss or gradient is not finite; one more ends the run as
    diverged. The published trainings skip any number."""

    micro_batch: int | None = None
    """Mixtures computed at once; the gradients of a larger batch are accumulated, with the same result in less memory.
    Default: the whole batch."""

    compile: bool = False
    """Whether torch.compile makes kernels for the model; the first steps then take minutes."""

    cuda_graph: bool = True
    """Whether a GPU records a training step once and then replays it, which saves CPU time. A model of one's own says
    with cuda_graph=True in its entry that it can be recorded."""

    deterministic: bool = False
    """Whether the same run gives the same bits on a GPU, too, which is slower. On a CPU it always does."""

    device: str = "auto"
    """cpu, cuda or cuda:N; auto: a GPU where there is one."""

    gpus: int = 1
    """GPUs that train together, each with an equal share of every batch and a process of its own; the result is the
    same but for rounding. With --device cpu these are processes on the processor."""

    workers: int = 0
    """Processes that read ahead; 0: the training process reads, which is best where the CPU trains."""

    checkpoint_minutes: float = 15.0
    """Minutes between checkpoints within an epoch; there is always one at its end."""

    room_minutes: float = 60.0
    """Minutes to wait for free space on a full volume of the run directory before the run fails."""

    linger: float = 0.0
    """Seconds that an already finished run waits before it exits, because Katib's collector needs to see it alive. It
    does not wait where TRAINER_READ_TO_END is set, which the local engine does."""

    stop_delay: float = 2.5
    """Least seconds from SIGTERM to the exit; Katib's collector needs 2 to 3. There is no delay where
    TRAINER_READ_TO_END is set."""

    @property
    def rows(self) -> int:
        """The most mixtures that a process computes at once."""
        share = self.training.batch_size // self.gpus
        return min(self.micro_batch or share, share)

    def __post_init__(self) -> None:
        check(self)
        last = self.training.cosine_epochs if self.training.scheduler == "cosine" else None
        if last is not None and self.epochs > last:
            raise ConfigError(f"--epochs: {self.epochs} does not fit, expected at most the {last} of --cosine-epochs")
        if self.gpus > 1 and self.training.architecture.get("dropout"):
            raise ConfigError(f"--gpus: {self.gpus} would draw other random numbers than one for --dropout; train on 1")
        whole = self.training.batch_size
        if whole % self.gpus:
            fits = ", ".join(str(number) for number in range(1, min(whole, 64) + 1) if whole % number == 0)
            raise ConfigError(f"--gpus: {self.gpus} does not divide the {whole} of --batch-size, choose among {fits}")


@dataclass(frozen=True, kw_only=True)
class Pace(Run):
    """Estimate how long an epoch of this training would take on this machine's processor.

    Times a few steps, prints one JSON object and writes nothing. A GPU is not timed.
    """


def check_architecture(model: str, preset: str, architecture: Mapping[str, object]) -> "DataclassInstance":
    """Returns the model's config. Imports the model, and with it torch; one of somebody's own is tried on noise.

    Raises ConfigError that names the field whose value does not fit, or what is wrong with a model of one's own.
    """
    entry = find(model)
    try:
        config = entry.config(preset, **architecture)
    except (ValueError, TypeError) as error:
        raise ConfigError(str(error)) from error
    if is_own(model):
        from trainer.models.probe import check_forward

        check_forward(model, entry, config)
    elif architecture:
        from trainer.models.size import check_size

        check_size(model, entry, config)
    return config


def with_fields(command: type[C], model: str) -> type[C]:
    """Returns the command with a flag for each field of the config of `model`; the default is the preset's value.

    A command without a model is returned as it is. Raises ConfigError where a field has the name of a setting.
    """
    made: type[C] = _with_fields(command, model)
    return made


@cache
def _with_fields(command: "type[DataclassInstance]", model: str) -> type:
    own = config_fields(model)
    if not own or not issubclass(command, Architecture | Run):
        return command
    settings = {field.name for kind in (command, Training, Run) for field in fields(kind)}
    for name in own:
        if name in settings:
            raise ConfigError(f"model {model}: the field '{name}' of its config is a setting of the trainer; rename it")
    if issubclass(command, Run):
        added: list[tuple[str, object, object]] = [("training", with_fields(Training, model), MISSING)]
    else:
        added = [(name, _hint(field), None) for name, field in own.items()]

    def reduce(self: "DataclassInstance") -> tuple[object, ...]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return _with_values, (command, model, values)

    # Another process, to which a training is sent, makes the class anew.
    kept = {"__doc__": command.__doc__, "__module__": command.__module__, "__reduce__": reduce}
    return make_dataclass(command.__name__, added, bases=(command,), namespace=kept, frozen=True, kw_only=True)


def _with_values(command: type[C], model: str, values: Mapping[str, object]) -> C:
    """Returns the command with fields of the config of `model` and these values."""
    return with_fields(command, model)(**values)


def _hint(field: ConfigField) -> object:
    """Returns the type of a flag by which tyro reads it."""
    kind = KINDS[field.kind]
    value = Literal[tuple(map(kind, field.choices))] if field.choices else kind
    return Annotated[Optional[value], arg(help=f"{field.help} Default: the preset's.".lstrip())]  # noqa: UP045


def flags(command: type) -> dict[str, str]:
    """Returns the flags of a command by each form in which they can be given."""
    own = [*fields(command)]
    if issubclass(command, Run):
        own += fields(get_type_hints(command)["training"])
    own = [field for field in own if field.name not in ("training", "recording")]
    negated = [flag(field.name) for field in own if field.type is bool]
    return {flag(field.name): flag(field.name) for field in own} | {
        name.replace("--", "--no-", 1): name for name in negated
    }

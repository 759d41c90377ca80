"""Tries a model of one's own before a search on this machine begins; the trainer imports it and separates noise."""

from collections.abc import Mapping, Sequence

from katib.errors import ManifestError
from katib.manifest.command import flags_in, trainer_in
from katib.trainer_contract import Flags, is_own, run_trainer
from katib.trainer_flags import fields_in, flag_of

SECONDS = "0.1"
"""Length of the noise: enough for any model, and quick."""


def require_model(experiment: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Raises ManifestError with the trainer's own line where trials that run `argv` train a model that does not work.

    Fields of its config that are searched keep the preset's value. Models of ours are not tried.
    """
    given = flags_in(argv)
    model = " ".join(given.get(Flags.MODEL, ()))
    program = trainer_in(argv)
    if not program or not is_own(model):
        return
    words = [*program, "describe", Flags.SEGMENT_SECONDS, SECONDS, Flags.MODEL, model]
    preset = given.get(Flags.PRESET, [])
    fields = [word for name, text in fields_in(given).items() for word in (flag_of(name), text)]
    answer = run_trainer([*words, *([Flags.PRESET, *preset] if preset else []), *fields], env)
    if answer.code:
        raise ManifestError(f"{experiment}: {answer.problem}")

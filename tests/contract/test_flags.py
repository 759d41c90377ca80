"""katib/trainer_flags.json against the trainer: it has what the config says, and judges values as the trainer does."""

import pytest

from katib.trainer_flags import FILE, trainer
from trainer.command_line import parse
from trainer.config import Run, check_architecture
from trainer.errors import ConfigError
from trainer.flags import written

REQUIRED = {"--model": "dprnn", "--data-dir": "d", "--run-dir": "r"}
TEXTS = ("0", "1", "-1", "0.5", "nan", "inf", "", "None", "True", "word", "1e-3", "9223372036854775808")
WORDS = {
    "--model": ("sepformer", "sepfomer"),
    "--preset": ("paper", "debug", "huge", "Paper"),
    "--precision": ("bf16", "fp8"),
    "--curriculum": ("auto", "all", "dprnn", "wsj"),
    "--validation-variants": ("SER", "C", "ser", "SER,SE"),
    "--device": ("cpu", "cuda", "cuda:1", "cuda:x", "tpu"),
    "--segment-seconds": ("0.01", "0.009", "3599", "3600"),
}
OF_MODELS = [(model, flag) for model, known in trainer().models.items() for flag in known.flags]
RELATED = ("1", "9223372036854775808")
"""Whole numbers that some configs refuse for their relation to others, such as an odd kernel_size."""
CASES = [(flag, text) for flag in trainer().flags for text in (*WORDS.get(flag, ()), *TEXTS)]


def accepted(*words: str) -> bool:
    """Returns whether the trainer itself would begin a training."""
    try:
        others = [word for pair in REQUIRED.items() if pair[0] not in words for word in pair]
        run = parse([*others, *words])
        assert isinstance(run, Run)
        training = run.training
        check_architecture(training.model, training.preset, training.architecture)
    except ConfigError:
        return False
    return True


def test_the_file_holds_what_the_trainer_says() -> None:
    """Where it does not: python -m trainer.flags > katib/trainer_flags.json."""
    assert FILE.read_text(encoding="utf-8") == written()


@pytest.mark.parametrize("flag", trainer().flags)
def test_values_are_judged_as_the_trainer_judges_them(flag: str) -> None:
    texts = [text for name, text in CASES if name == flag]
    judged = {text: trainer().problem(flag, [text], "dprnn") == "" for text in texts}
    # The flag that limits this one is compared below.
    beside = [word for other in [trainer().flags[flag].at_most] if other for word in (other, "1000000")]
    assert judged == {text: accepted(flag, text, *beside) for text in texts}


@pytest.mark.parametrize(("model", "flag"), OF_MODELS)
def test_values_of_the_architecture_are_judged_as_the_trainer_judges_them(model: str, flag: str) -> None:
    """What depends on other fields is the trainer's to judge, so it may refuse more."""
    judged = {text: trainer().problem(flag, [text], model) == "" for text in TEXTS}
    taken = {text: accepted("--model", model, flag, text) for text in TEXTS}
    assert {text: judged[text] for text in TEXTS if text not in RELATED} == {
        text: taken[text] for text in TEXTS if text not in RELATED
    }
    assert all(judged[text] for text in RELATED if taken[text])


@pytest.mark.parametrize("epochs", ["1", "2", "3"])
def test_a_flag_may_not_exceed_the_one_that_limits_it(epochs: str) -> None:
    given = {"--epochs": [epochs], "--hopeless": ["2"]}
    assert (trainer().excess("--hopeless", given) == "") == accepted("--hopeless", "2", "--epochs", epochs)


@pytest.mark.parametrize("batch", [["--batch-size", "6"], []])
@pytest.mark.parametrize("gpus", ["1", "3", "4", "8"])
def test_the_number_of_gpus_divides_the_batch(gpus: str, batch: list[str]) -> None:
    given = {"--gpus": [gpus]} | ({batch[0]: batch[1:]} if batch else {})
    assert (trainer().excess("--gpus", given) == "") == accepted("--gpus", gpus, *batch)


@pytest.mark.parametrize(
    "words",
    [
        ["--lrr", "1"],
        ["--compile"],
        ["--no-compile"],
        ["--no-lr"],
        ["--compile", "True"],
        ["--compile", "False"],
        ["--compile", "true"],
        ["--compile", "True", "True"],
        ["--no-compile", "True"],
        ["--hidden-size", "64"],
        ["--layers", "4"],
        ["--transformer-layers", "4"],
        ["--batch-size"],
        ["--batch-size", "1", "2"],
        ["--validation-variants", "SER", "SE"],
        ["--validation-variants", "SER", "X"],
        ["--validation-variants"],
    ],
)
def test_flags_are_judged_as_the_trainer_judges_them(words: list[str]) -> None:
    assert (trainer().problem(words[0], words[1:], "dprnn") == "") == accepted(*words)


@pytest.mark.parametrize("form", [["--cuda_graph", "{}"], ["--cuda-graph={}"], ["--set", "cuda_graph={},epochs=3"]])
def test_a_switch_takes_the_value_that_a_search_gives_it(form: list[str]) -> None:
    for value in (True, False):
        words = [word for pair in REQUIRED.items() for word in pair]
        run = parse([*words, *(word.format(value) for word in form)])
        assert isinstance(run, Run)
        assert run.cuda_graph is value

"""katib/trainer_contract.py against the trainer: what the control side writes down of it is what it does."""

import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from katib import trainer_contract as contract
from katib.trainer_flags import trainer
from trainer import errors, run_files, tracking
from trainer.command_line import VERBS
from trainer.inference import as_onnx, evaluate, quality
from trainer.inference.export import FORMS
from trainer.limits import CHOICES
from trainer.requests import Export
from trainer.tracking import reporter
from trainer.training import checkpoint, continuation, fit, room, train


def test_exit_codes_are_those_of_the_errors() -> None:
    assert {errors.ConfigError.exit_code, errors.DataError.exit_code} == {contract.Exit.BAD_INPUT}
    assert errors.DivergedError.exit_code == contract.Exit.DIVERGED
    assert errors.MemoryExhaustedError.exit_code == contract.Exit.OUT_OF_MEMORY


def test_each_flag_is_one_of_the_trainer() -> None:
    names = {text for name, text in vars(contract.Flags).items() if name.isupper()}
    assert names - {contract.Flags.SET} <= trainer().flags.keys()


def test_modules_can_be_started() -> None:
    for module in (contract.CORPUS_MODULE, contract.PACK_MODULE, contract.AUDIT_MODULE):
        assert find_spec(module) is not None


def test_metrics_are_those_that_evaluate_takes() -> None:
    assert contract.METRIC_UNITS == quality.UNITS
    assert list(CHOICES["metrics"]) == list(quality.UNITS)


def test_files_are_those_that_a_run_writes() -> None:
    known = (
        contract.SUMMARY,
        contract.CONFIG,
        contract.BEST,
        contract.PROCESS_ID,
        contract.MICRO_BATCH,
        contract.HEARTBEAT,
    )
    files = (
        run_files.SUMMARY,
        run_files.CONFIG,
        run_files.BEST,
        run_files.PID,
        run_files.MICRO_BATCH,
        run_files.HEARTBEAT,
    )
    assert known == files
    assert f'"{contract.SCORES}"' in Path(evaluate.__file__).read_text()


def test_a_checkpoint_ends_with_the_trainers_checksum() -> None:
    body = b"a checkpoint"
    assert contract.damage(body + checkpoint._comment(body)) == ""
    assert contract.damage(body[1:] + checkpoint._comment(body)) == "its checksum is wrong"


def test_the_trainer_exports() -> None:
    assert VERBS[contract.EXPORT] is Export
    assert set(get_args(get_type_hints(Export)["form"])) == set(contract.FORMS) == set(FORMS)
    assert contract.ONNX_PACKAGES == as_onnx.PACKAGES
    assert {field.name for field in fields(Export)} == {"checkpoint", "out", "form", "data_dir"}


def test_messages_begin_as_the_trainer_prints_them() -> None:
    sources = [Path(module.__file__ or "").read_text() for module in (reporter, room, train)]
    for beginning in (
        contract.STARTED,
        contract.MADE_WITH,
        contract.WANDB_LINK,
        contract.WAITS_FOR_ROOM,
        contract.ROOM_AGAIN,
    ):
        assert any(f'"{beginning}' in source for source in sources), beginning


def test_the_trainer_starts_anew_where_it_is_told_to_and_says_so() -> None:
    source = Path(checkpoint.__file__).read_text()
    assert f'"{contract.START_ANEW}"' in source
    assert contract.CONTINUES == continuation.CONTINUES
    assert (contract.TRACKERS, contract.TRACKER_NAMES) == (tracking.TRACKERS, tracking.KNOWN)
    assert f'{contract.STARTS_ANEW}"' in source


def test_the_states_of_a_summary_are_those_that_a_run_records() -> None:
    source = Path(fit.__file__).read_text()
    assert all(state in source for state in (contract.FINISHED, *contract.FAULTS))


def test_an_answer_has_both_streams_and_relays_what_takes_long(capfd: pytest.CaptureFixture[str]) -> None:
    script = "import sys; print('x' * 200_000); print('note: reads\\n\\nerror: no', file=sys.stderr); sys.exit(2)"
    answer = contract.run_trainer([sys.executable, "-c", script], relayed=(contract.NOTE,))
    assert (answer.code, len(answer.output), answer.errors) == (2, 200_001, ("note: reads", "error: no"))
    assert answer.problem == "no"
    assert capfd.readouterr().err == "note: reads\n"


def test_an_end_without_a_word_and_missing_packages_have_a_problem() -> None:
    assert contract.Answer(1, "", ()).problem == "the trainer ended with exit code 1"
    missing = contract.Answer(1, "", ("ModuleNotFoundError: No module named 'torch'",))
    assert missing.problem.endswith("'torch'; `make setup` installs the trainer's packages")


def test_a_trainer_that_does_not_answer_is_ended() -> None:
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
        contract.run_trainer([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)

"""The registry of models: what it reads of an entry without importing its file, and which entries it refuses."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from trainer.models import CURRICULA, MODELS, Model, Option, find
from trainer.models.registry import Listing, _listing, _options


@dataclass(frozen=True)
class Config:
    width: int = 1


@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_early_is_what_the_imported_entry_says(name: str) -> None:
    """The options, the curriculum, and the name, which is the file's."""
    model, listing = find(name), MODELS[name]
    assert (model.options, model.curriculum, model.name) == (listing.options, CURRICULA[name], name)
    assert {"paper", "debug"} <= model.presets.keys()


def test_an_entry_that_needs_the_file_to_be_imported_is_refused(tmp_path: Path) -> None:
    """The line names the file and the name that is unknown."""
    file = tmp_path / "toy.py"
    file.write_text("LIMIT = 3\nMODEL = Model(network=Toy, options={'width': LIMIT})\n")
    with pytest.raises(ImportError, match=r"toy\.py, line 2: .* only literals, .*'LIMIT' is not defined"):
        _listing(file)


def test_a_file_without_an_entry_is_no_model(tmp_path: Path) -> None:
    """Helpers may lie beside the models."""
    (tmp_path / "helper.py").write_text("WIDTH = 3\n")
    assert _listing(tmp_path / "helper.py") is None


def test_an_option_that_the_config_lacks_is_refused() -> None:
    """With the nearest field that it has."""
    options = {"widht": Option(type=int, help="units.")}
    with pytest.raises(ValueError, match="option 'widht' is no field of its config, did you mean 'width'"):
        Model(network=nn.Identity, presets={"paper": Config()}, options=options)


def test_one_flag_serves_two_models_only_if_both_mean_the_same() -> None:
    """The help then names both."""
    width, other = Option(type=int, help="channels.", unit="units"), Option(type=bool, help="wide.")
    shared = _options({"a": Listing(options={"width": width}), "b": Listing(options={"width": width})})
    assert shared["width"].help == "a: channels. b: channels."
    with pytest.raises(ImportError, match=r"trainer/models/b\.py: another model has an option 'width'"):
        _options({"a": Listing(options={"width": width}), "b": Listing(options={"width": other})})


def test_a_model_without_notes_has_none() -> None:
    """SPMamba alone has a choice to report."""
    assert find("dprnn").notes(torch.device("cpu")) == ()

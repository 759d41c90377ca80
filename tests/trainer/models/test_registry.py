"""The registry of models: what it reads of an entry without importing its file, and which entries it refuses."""

from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import torch
from torch import nn

from trainer.models import CURRICULA, MODELS, Model, find
from trainer.models.registry import _listing
from trainer.models.source import ConfigField

TOY = """@dataclass(frozen=True)
class Config:
    width: int = 1
    '''Channels.'''
    norm: Literal["gLN", "cLN"] = "gLN"
    shape: tuple[int, ...] = ()

MODEL = Model(presets={"paper": Config(), "debug": Config(width=2)}, """


@dataclass(frozen=True)
class Config:
    width: int = 1


@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_early_is_what_the_imported_entry_says(name: str) -> None:
    """Every field of the config with its type and help, the curriculum, and the name, which is the file's."""
    model, listing = find(name), MODELS[name]
    assert (model.curriculum, model.name) == (CURRICULA[name], name)
    assert {field.name: getattr(field.type, "__name__", "") for field in fields(model.config_type)} == {
        field: described.kind for field, described in listing.fields.items()
    }
    assert all(described.help for described in listing.fields.values())
    assert {"paper", "debug"} <= model.presets.keys()
    assert model.cuda_graph


def test_an_entry_that_needs_the_file_to_be_imported_is_refused(tmp_path: Path) -> None:
    """The line names the file and the name that is unknown."""
    file = tmp_path / "toy.py"
    file.write_text(f"{TOY}curriculum=STAGES)")
    with pytest.raises(ImportError, match=r"toy\.py, line 8: .* only literals and Curriculum \(name 'STAGES'"):
        _listing(file)


def test_fields_become_flags_by_their_types(tmp_path: Path) -> None:
    """A field whose type no flag has keeps the preset's value."""
    file = tmp_path / "toy.py"
    file.write_text(f"{TOY}network=Toy)")
    listing = _listing(file)
    assert listing is not None
    assert listing.fields == {
        "width": ConfigField(kind="int", least=1, most=1_000_000, help="Channels."),
        "norm": ConfigField(kind="str", choices=("gLN", "cLN")),
    }


def test_presets_that_python_alone_could_read_are_refused_here(tmp_path: Path) -> None:
    file = tmp_path / "toy.py"
    file.write_text("MODEL = Model(network=Toy, presets=made())\n")
    with pytest.raises(ImportError, match=r"toy\.py: the presets of MODEL are read before it is imported"):
        _listing(file)


def test_a_file_without_an_entry_is_no_model(tmp_path: Path) -> None:
    """Helpers may lie beside the models."""
    (tmp_path / "helper.py").write_text("WIDTH = 3\n")
    assert _listing(tmp_path / "helper.py") is None


def test_presets_of_two_configs_are_refused() -> None:
    with pytest.raises(ValueError, match="instances of one dataclass"):
        Model(network=nn.Identity, presets={"paper": Config(), "debug": object()})  # type: ignore[dict-item]


def test_a_model_without_notes_has_none() -> None:
    """Those with a selective scan have a choice to report."""
    assert find("dprnn").notes(torch.device("cpu")) == ()

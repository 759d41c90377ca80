"""The separation networks: one file per model, found by the registry through its MODEL entry.

`build("convtasnet", "paper")` returns a network. parts/ holds what several networks share. To add a model, add a file
here and a spec to katib/specs/. A model of one's own lies elsewhere and is named by its module: lab.gru_mask:MODEL.
"""

from trainer.data.curriculum import Curriculum
from trainer.models.registry import CURRICULA, MODELS, Model, build, config_fields, curriculum_of, find, is_own

__all__ = ["CURRICULA", "MODELS", "Curriculum", "Model", "build", "config_fields", "curriculum_of", "find", "is_own"]

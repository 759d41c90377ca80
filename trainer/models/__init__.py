"""The separation networks: one file per model, found by the registry through its MODEL entry.

`build("convtasnet", "paper")` returns a network. parts/ holds what several networks share. To add a model, add a file
here and a spec to katib/specs/, and rewrite what the control side knows of the trainer's flags:

    python -m trainer.flags > katib/trainer_flags.json
"""

from trainer.data.curriculum import Curriculum
from trainer.models.registry import CURRICULA, MODELS, Model, build, config_fields, curriculum_of, find, is_own

__all__ = ["CURRICULA", "MODELS", "Curriculum", "Model", "build", "config_fields", "curriculum_of", "find", "is_own"]

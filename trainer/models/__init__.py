"""The separation networks: one file per model, found by the registry through its MODEL entry.

`build("convtasnet", "paper")` returns a network. parts/ holds what several networks share. To add a model, add a file
here and a spec to katib/specs/, and rewrite what the control side knows of the trainer's flags:

    python -m trainer.flags > katib/trainer_flags.json
"""

from trainer.models.registry import CURRICULA, MODELS, OPTIONS, Model, Option, build, find

__all__ = ["CURRICULA", "MODELS", "OPTIONS", "Model", "Option", "build", "find"]

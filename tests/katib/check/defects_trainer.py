"""Named defects of what a search asks of this project's trainer."""

from tests.katib.check.manifests import Changes, Defects, ours

LAST = len(ours())
"""The first word behind a sound command."""


def also(*words: str) -> Changes:
    """Returns the sound command with these words behind it."""
    return {"TRAINER.command": ours(*words)}


def at(index: int) -> str:
    return f"TRAINER.command[{LAST + index}]"


def promote(rungs: str) -> Changes:
    """Returns the stop rule promote with these rungs."""
    return {
        "spec.earlyStopping": {
            "algorithmName": "promote",
            "algorithmSettings": [{"name": "rung_epochs", "value": rungs}],
        }
    }


def runs(*words: str) -> Changes:
    """Fixed runs in one word each, as confirm has them, beside a search that goes another way."""
    return {
        "TRAINER.command": ours("--set", "${trialParameters.run}"),
        "spec.parameters[4]": {
            "name": "run",
            "parameterType": "categorical",
            "feasibleSpace": {"list": list(words)},
        },
        "TEMPLATE.trialParameters[5]": {"name": "run", "reference": "run"},
    }


PROMOTES = "?setting-ours spec.earlyStopping.algorithmName"
DEFECTS: Defects = {
    "flag that the trainer does not have": (also("--lrr", "1"), {f"trainer-flag {at(0)}"}),
    "flag of another model": (also("--hidden-size", "64"), {f"trainer-flag {at(0)}"}),
    "flag without its value": (also("--batch-size"), {f"trainer-flag {at(0)}"}),
    "flag with a word too many": (also("--batch-size", "2", "3"), {f"trainer-flag {at(0)}"}),
    "switch with a value": (also("--compile", "yes"), {f"trainer-value {at(1)}"}),
    "word before any flag of the trainer's script": (
        {"TRAINER.command": ["sh", "-c", " ".join(ours("--presett", "debug"))]},
        {"trainer-flag TRAINER.command[2]"},
    ),
    "model that is not there": (
        {"TRAINER.command": ours(first=("--model", "sepfomer"))},
        {"trainer-value TRAINER.command[4]"},
    ),
    "model of one's own that is not here": (
        {"TRAINER.command": ours("--depth", "3", first=("--model", "nowhere.model:MODEL"))},
        {"?trainer-own-model TRAINER.command[4]"},
    ),
    "no model": ({"TRAINER.command": ours(first=())}, {"trainer-flag-missing TRAINER.command[2]"}),
    "preset that the model does not have": (also("--preset", "huge"), {f"trainer-value {at(1)}"}),
    "curriculum that is not there": (also("--curriculum", "SepFormer"), {f"trainer-value {at(1)}"}),
    "precision that is not there": (also("--precision=fp8"), {f"trainer-value {at(0)}"}),
    "variant that is not there": (also("--validation-variants", "SER", "SEE"), {f"trainer-value {at(2)}"}),
    "GPUs that nobody uses": (
        {"TRAINER.command": ours(), "TRAINER.resources.limits['nvidia.com/gpu']": "2"},
        {"trainer-gpus TRAINER.command[2]"},
    ),
    "more GPUs than the pod has": (also("--batch-size", "2", "--gpus", "2"), {f"trainer-gpus {at(3)}"}),
    "GPUs that do not divide the batch": (
        {**also("--batch-size", "2", "--gpus", "4"), "TRAINER.resources.limits['nvidia.com/gpu']": "4"},
        {f"trainer-value {at(3)}"},
    ),
    "GPUs that do not divide the batch of one without a flag": (
        {**also("--gpus", "3"), "TRAINER.resources.limits['nvidia.com/gpu']": "3"},
        {f"trainer-value {at(1)}"},
    ),
    "GPUs that do not divide a batch that is searched": (
        {
            "TRAINER.command": ours("--gpus", "2", "--batch-size", "${trialParameters.batch}"),
            "TRAINER.resources.limits['nvidia.com/gpu']": "2",
            "spec.parameters[4]": {
                "name": "batch",
                "parameterType": "discrete",
                "feasibleSpace": {"list": ["2", "4", "5"]},
            },
            "TEMPLATE.trialParameters[5]": {"name": "batch", "reference": "batch"},
        },
        {"trainer-searched spec.parameters[4].feasibleSpace.list[2]"},
    ),
    "number out of range": (also("--batch_size", "0"), {f"trainer-value {at(1)}"}),
    "a cosine without an end": (also("--scheduler", "cosine"), {f"trainer-value {at(1)}"}),
    "epochs after the cosine's end": (
        also("--scheduler", "cosine", "--cosine-epochs", "9", "--epochs", "10"),
        {f"trainer-value {at(5)}"},
    ),
    "hopeless at once": (also("--hopeless", "0"), {f"trainer-value {at(1)}"}),
    "hopeless after more than all epochs": (also("--epochs", "9", "--hopeless", "10"), {f"trainer-value {at(3)}"}),
    "rung of promote at the last epoch": (
        {**also("--epochs", "50"), **promote("6,18,50")},
        {"?rung-after-end spec.earlyStopping.algorithmSettings[0].value", PROMOTES},
    ),
    "rung of promote before the last epoch": ({**also("--epochs", "51"), **promote("6,18,50")}, {PROMOTES}),
    "rungs and epochs with more digits than Python reads": (
        {**also("--epochs", "9" * 5000), **promote("9" * 5000)},
        {f"trainer-value {at(1)}", "setting-value spec.earlyStopping.algorithmSettings[0].value", PROMOTES},
    ),
    "no number": (also("--epochs", "50.0"), {f"trainer-value {at(1)}"}),
    "number that is none": (also("--segment-seconds", "nan"), {f"trainer-value {at(1)}"}),
    "setting in one word that does not fit": (
        also("--set", "seed=42,batch_size=0"),
        {f"trainer-value {at(1)}"},
    ),
    "setting in one word without a value": (also("--set", "seed"), {f"trainer-value {at(1)}"}),
    "flag twice": (also("--lr", "0.1"), {f"trainer-flag-twice {at(0)}"}),
    "range beyond the flag's": (
        {"spec.parameters[3].feasibleSpace.max": "1", "TRAINER.command": ours()},
        {"trainer-searched spec.parameters[3].feasibleSpace.max"},
    ),
    "fractions for a whole number": (
        {
            "TRAINER.command": ours("--batch-size", "${trialParameters.batch}"),
            "spec.parameters[4]": {
                "name": "batch",
                "parameterType": "double",
                "feasibleSpace": {"min": "1", "max": "8"},
            },
            "TEMPLATE.trialParameters[5]": {"name": "batch", "reference": "batch"},
        },
        {"trainer-searched spec.parameters[4].parameterType"},
    ),
    "category that the flag does not take": (
        {
            "TRAINER.command": ours("--precision", "${trialParameters.precision}"),
            "spec.parameters[4]": {
                "name": "precision",
                "parameterType": "categorical",
                "feasibleSpace": {"list": ["bf16", "half"]},
            },
            "TEMPLATE.trialParameters[5]": {"name": "precision", "reference": "precision"},
        },
        {"trainer-searched spec.parameters[4].feasibleSpace.list[1]"},
    ),
    "fixed run with a setting that is not there": (
        runs("seed=42,layerz=4", "seed=43"),
        {"trainer-value spec.parameters[4].feasibleSpace.list[0]"},
    ),
}

"""`python -m trainer.models my_package.my_model:MODEL`: a model's presets and flags, for the side without torch.

It also says so of a file of this package, by its name: one that was added is known before anything else is changed.
"""

import json
import sys
from pathlib import Path

from trainer.errors import ConfigError
from trainer.models.registry import MODELS, config_fields, is_own
from trainer.models.source import AbsentModuleError, Source, own_source, read_source
from trainer.text import nearest


def main(word: str) -> int:
    """Prints what the source of the model says as a JSON object, and returns the exit code."""
    try:
        source = own_source(word) if is_own(word) else _ours(word)
    except AbsentModuleError as error:
        print(json.dumps({"absent": str(error)}))
        return 0
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    fields = config_fields(word) if word in MODELS else source.fields
    flags = None if fields is None else {name: field.row for name, field in fields.items()}
    print(json.dumps({"presets": source.presets, "fields": flags}))
    return 0


def _ours(name: str) -> Source:
    """Returns what the file of a model of this package says. Raises AbsentModuleError where there is none."""
    source = read_source(Path(__file__).with_name(f"{name}.py")) if name in MODELS else None
    if source is None:
        raise AbsentModuleError(f"model {name}: {nearest(name, MODELS)}")
    return source


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""`python -m trainer.models my_package.my_model:MODEL`: a model's presets and flags, for the side without torch."""

import json
import sys

from trainer.errors import ConfigError
from trainer.models.source import AbsentModuleError, own_source


def main(word: str) -> int:
    """Prints what the source of the model says as a JSON object, and returns the exit code."""
    try:
        source = own_source(word)
    except AbsentModuleError as error:
        print(json.dumps({"absent": str(error)}))
        return 0
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    fields = None if source.fields is None else {name: field.row for name, field in source.fields.items()}
    print(json.dumps({"presets": source.presets, "fields": fields}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

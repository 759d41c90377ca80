"""`python -m trainer.models my_package.my_model:MODEL`: a model's presets and flags, for the side without torch."""

import json
import sys

from trainer.errors import ConfigError
from trainer.models.source import own_source


def main(words: list[str]) -> int:
    """Prints what the source of each model says, one JSON object a line, and returns the exit code."""
    try:
        for source in map(own_source, words):
            fields = None if source.fields is None else {name: one.row for name, one in source.fields.items()}
            print(json.dumps({"presets": source.presets, "fields": fields}))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

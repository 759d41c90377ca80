"""Writes a manifest as YAML that kubectl reads as it was meant."""

import re
from collections.abc import Mapping

import yaml

from katib.yaml_reader import resolve

_NUMBERLIKE = re.compile(r"[-+.]?\d[\w.+-]*")


def dumped(document: Mapping[str, object]) -> str:
    """Returns the YAML text of a document; a text that could be read as a number is quoted."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes every text that could be read as a number, and writes no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _NUMBERLIKE.fullmatch(text) or not isinstance(resolve(text), str) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)

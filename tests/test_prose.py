"""Docstrings are sentences: a function's begins with what the function does, and nobody lists who calls it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [file for room in ("katib", "trainer", "benchmarks") for file in sorted((ROOT / room).rglob("*.py"))]
VERB = re.compile(r"[A-Z][a-z]*s\b")
NO_VERBS = {"Its", "This", "Thus", "Always", "Trials", "Epochs", "Seconds", "Values", "Rows", "Words", "Names", "Hours"}


def documented(file: Path) -> Iterator[tuple[str, ast.AST, str]]:
    """Yields what has a docstring in a file: where it is, its node and the docstring."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", node, text


def is_property(function: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


def is_verb_of_the_command_line(file: str, function: ast.FunctionDef) -> bool:
    """Its docstring is its help, which says what to do, as everywhere on a command line."""
    return file.startswith(f"katib/cli/{function.name}.py")


def test_a_function_says_what_it_does() -> None:
    """In the third person: Returns, Yields, Builds, Raises. A property or a class is a thing, and is named."""
    fragments = [
        f"{place} {node.name}: {text.splitlines()[0]}"
        for file in FILES
        for place, node, text in documented(file)
        if isinstance(node, ast.FunctionDef)
        and not (is_property(node) or is_verb_of_the_command_line(place, node))
        and not (VERB.match(text) and text.split()[0] not in NO_VERBS)
    ]
    assert not fragments, "\n".join(fragments)


def test_no_docstring_lists_its_callers() -> None:
    """The imports say who calls, and stay right."""
    listed = [place for file in FILES for place, _, text in documented(file) if re.search(r"\bcalled by\b", text, re.I)]
    assert not listed, "\n".join(listed)

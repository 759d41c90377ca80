"""The documentation against the repository: links, anchors, paths, modules and make commands that it names exist."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page for pattern in ("*.md", "docs/*.md", "tests/*.md", "benchmarks/*.md") for page in ROOT.glob(pattern)
)
SOURCES = [
    file
    for folder in ("katib", "trainer", "benchmarks", "tests", "k8s", "images")
    for file in (ROOT / folder).rglob("*")
    if file.suffix in {".py", ".yaml"} or file.name == "Dockerfile"
]
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"(?m)^(?: {4}.*|```[^\n]*\n(?s:.*?)^```)$")
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"(?<![\w./-])((?:katib|trainer|tests|benchmarks|docs|images|k8s)/[\w./-]*\w/?)")
TO_WRITE = re.compile(r"\bWrite [\w./-]+|\[[^]]*\]\([^)]*\)|https?://\S+")
"""Files that a recipe has its reader write; links, which have a test of their own."""
MODULE = re.compile(r"python -m ((?:katib|trainer|benchmarks|tests|docs)[\w.]*)")
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)((?: [A-Z_]+=(?:'[^']*'|\"[^\"]*\"|\S*))*)")
HISTORY = "CHANGELOG.md"
"""Names files and commands as they were called when an entry was written."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Returns the page without its code blocks."""
    return CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))


def code(page: Path) -> list[str]:
    """Returns the lines of the page's code blocks, without shell comments, and its code spans."""
    text = page.read_text(encoding="utf-8")
    blocks = [line.split("  #")[0] for block in CODE_BLOCK.findall(text) for line in block.splitlines()]
    return [*blocks, *CODE.findall(prose(page))]


def anchors(page: Path) -> set[str]:
    """Returns the anchors that GitHub makes of the page's headings.

    Lower case, punctuation removed, blanks as hyphens, and a number behind a heading that is there again.
    """
    made: list[str] = []
    for heading in re.findall(r"(?m)^#{1,6} (.+)$", prose(page)):
        text = re.sub(r"[^\w\- ]", "", LINK.sub(lambda link: link.group(0)[1:].split("]")[0], heading.lower()))
        slug = text.strip().replace(" ", "-")
        made.append(f"{slug}-{made.count(slug)}" if slug in made else slug)
    return set(made)


def links(page: Path) -> Iterator[str]:
    """Yields the relative targets of the page's links and pictures."""
    text = prose(page)
    found = [*LINK.findall(text), *re.findall(r'<img src="([^"]+)"', text)]
    yield from (target for target in found if not re.match(r"[a-z]+:", target))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_and_anchors_exist(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), f"{target}: {sorted(anchors(file))}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != HISTORY], ids=name)
def test_files_and_modules_that_a_page_names_exist(page: Path) -> None:
    text = TO_WRITE.sub("", page.read_text(encoding="utf-8"))
    for path in FILE.findall(text):
        assert (ROOT / path).exists() or not Path(path).suffix, path
    for module in MODULE.findall(text):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def takes() -> dict[str, set[str]]:
    """Returns the variables that each target of the Makefile takes."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {target: set[str]() for target in re.findall(r"(?m)^([a-z][a-z-]*):.*## ", text)}
    groups = {f"$({key})": words for key, words in re.findall(r"(?m)^(\w+) := ([A-Z_ ]+)$", text)}
    for target, words in re.findall(r"(?m)^takes\.([a-z-]+) := (.*)$", text):
        for group, members in groups.items():
            words = words.replace(group, members)
        targets[target] = {word.lstrip("@") for word in words.split()}
    return targets


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != HISTORY], ids=name)
def test_make_commands_that_a_page_names_are_targets_with_their_variables(page: Path) -> None:
    """PYTHON and CONSTRAINTS fit any target; every value of BUILD_ARGS is left alone."""
    known = takes()
    for line in code(page):
        for target, variables in MAKE.findall(line):
            assert target in known, line
            given = set(re.findall(r"(?<!\S)([A-Z_]+)=", variables))
            assert given <= known[target] | {"PYTHON", "CONSTRAINTS"}, line


def test_pages_that_sources_and_messages_name_exist() -> None:
    pages = {(file, page) for file in SOURCES for page in re.findall(r"(?<![\w/])docs/[\w-]+\.md", file.read_text())}
    assert not [f"{file.relative_to(ROOT)}: {page}" for file, page in pages if not (ROOT / page).exists()]
    assert len(pages) > 10


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {target.partition("#")[0] for target in links(index)}
    assert {page.name for page in index.parent.glob("*.md")} - {"README.md"} <= listed


def test_the_layers_in_the_architecture_page_are_those_that_import_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("containers") == ["katib"])
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("| layer | holds |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [re.findall(r"\w+", line.split("|")[1]) for line in table.splitlines()]
    assert rows == [re.findall(r"\w+", layer) for layer in layers]


def test_the_pipeline_runs_the_project_script_and_nothing_else() -> None:
    """.github/workflows/ci.yml is for those who look for it there; what it runs is .ci/run."""
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\s*- (?:uses|run): (\S+)", text)[1:] == [".ci/run"]

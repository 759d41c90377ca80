"""What is wrong with the YAML itself, the line of each finding, and scalars as kubectl reads them."""

import pytest

from katib.check.manifest import check_text
from katib.check.source import read
from tests.katib.check.manifests import spoiled

HEAD = "apiVersion: kubeflow.org/v1beta1\nkind: Experiment\n"


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("", "one-document", 1),
        ("# nothing\n---\n", "one-document", 1),
        (HEAD + "---\n" + HEAD, "one-document", 4),
        ("kind: Namespace\n---\nkind: Job\n", "one-document", 3),
        (HEAD + 'metadata: {name: "\\ud83d"}', "not-yaml", 3),
        ("- " * 5000, "not-yaml", 1),
        ("a: *b", "not-yaml", 1),
        ("a: " + "x" * 3 * 2**20, "too-large", 1),
        ("a: [", "not-yaml", 1),
        (HEAD + "metadata:\n\tname: a\n", "not-yaml", 4),
        ("a: \x07", "not-yaml", 1),
        ("[" * 5000, "not-yaml", 1),
        ("&a [*a]", "not-yaml", 1),
        ("- 1", "not-a-mapping", 1),
        ("7", "not-a-mapping", 1),
        ("apiVersion: v1\nkind: Experiment\n", "not-an-experiment", 1),
        ("apiVersion: kubeflow.org/v1beta1\nkind: Experimant\n", "not-an-experiment", 2),
        ("apiVersion: kubeflow.org/v1beta1\n", "not-an-experiment", 1),
    ],
)
def test_file_that_holds_no_experiment_gives_that_one_finding(text: str, rule: str, line: int) -> None:
    (finding,) = check_text(text, "test")
    assert (finding.rule, finding.line, finding.severity) == (rule, line, "error")


def test_aliases_that_multiply_without_measure_end_in_a_finding() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (finding,) = check_text("\n".join(lines), "test")
    assert finding.rule == "not-yaml"


def test_aliases_that_make_up_nearly_all_of_a_text_are_refused_as_by_kubectl() -> None:
    """From a thousand values on, of which 99 % come of aliases (goyaml v2, decode.go)."""
    lines = [
        "a: &a [x, x, x, x, x, x, x, x, x]",
        *(f"{now}: &{now} [{', '.join([f'*{was}'] * 9)}]" for was, now in ("ab", "bc")),
    ]
    assert "not-yaml" not in {finding.rule for finding in check_text("\n".join(lines), "test")}
    lines.append(f"d: [{', '.join(['*c'] * 9)}]")
    assert [finding.rule for finding in check_text("\n".join(lines), "test")] == ["not-yaml"]


def test_a_key_that_is_a_boolean_is_a_warning_with_what_kubectl_writes() -> None:
    findings = check_text(HEAD + "metadata:\n  name: a\n  labels:\n    on: x\n    'y': x\n    false: x\n", "test")
    (found,) = [finding for finding in findings if finding.rule == "boolean-key"]
    assert (found.path, found.line, found.severity) == ("metadata.labels.true", 6, "warning")


def test_key_that_stands_twice_is_found_at_its_second_line() -> None:
    findings = check_text(HEAD + "metadata:\n  name: a\n  name: b\n", "test")
    (twice,) = [finding for finding in findings if finding.rule == "duplicate-key"]
    assert (twice.path, twice.line) == ("metadata.name", 5)


def test_line_of_a_finding_is_that_of_its_key_or_of_the_nearest_key_above() -> None:
    text = HEAD + "metadata:\n  name: a.b\n\n  labels:\n    team: a b\nspec:\n  objective:\n    goal: x\n"
    lines = {finding.path: finding.line for finding in check_text(text, "test")}
    assert lines["metadata.name"] == 4
    assert lines["metadata.labels.team"] == 7
    assert lines["spec.objective.goal"] == 10
    assert lines["spec.objective.type"] == 9
    assert lines["spec.algorithm"] == 8


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 1e-4),
        ("1.e3", 1000),
        ("3.0", 3),
        ("017", 15),
        ("08", 8),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", 1000),
        ("yes", True),
        ("Off", False),
        ("y", True),
        ("~", None),
        ("2026-11-24", "2026-11-24"),
        ("12:30", "12:30"),
        ("1e-4x", "1e-4x"),
        ('"1e-4"', "1e-4"),
        ("!!str 1e-4", "1e-4"),
        ("!!str yes", "yes"),
        ("!!int '4'", 4),
        ("_4", "_4"),
    ],
)
def test_scalar_is_read_as_kubectl_reads_it(written: str, value: object) -> None:
    """Against go.yaml.in/yaml/v2, which kubectl uses (resolve.go)."""
    top, _ = read(HEAD + f"value: {written}\n")
    assert top is not None
    assert top["value"].value == value
    assert type(top["value"].value) is type(value)


@pytest.mark.parametrize("written", [".inf", "-.Inf", ".nan"])
def test_number_that_is_not_finite_is_found(written: str) -> None:
    _, findings = read(HEAD + f"value: {written}\n")
    assert [finding.rule for finding in findings] == ["not-finite"]


def test_directive_before_the_first_document_is_no_yaml_to_kubectl() -> None:
    """Its reader takes the lines before --- for a document of their own, which goyaml refuses."""
    for directive in ("%YAML 1.1", "# note\n%TAG ! tag:example.com,2000:"):
        _, findings = read(f"{directive}\n---\n{HEAD}")
        assert [finding.rule for finding in findings] == ["not-yaml"]
        assert findings[0].line == directive.count("\n") + 1


def test_word_of_several_lines_is_shown_on_one() -> None:
    found = check_text(spoiled({"metadata.name": "field\n"}), "test")
    assert [finding.problem for finding in found] == [r"'field\n' is not a name of this kind"]


def test_long_word_is_shown_without_its_middle() -> None:
    (found,) = check_text(spoiled({"spec.objective.type": "max" * 10_000 + "imise"}), "test")
    assert "maxmax" in found.problem
    assert "imise" in found.problem
    assert len(found.problem) < 400


def test_other_documents_of_the_file_are_left_to_kubectl() -> None:
    text = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: team}}\n---\n{spoiled({})}\n---\n"
    assert check_text(text, "test") == []


def test_json_may_write_a_character_as_two_escapes() -> None:
    top, _ = read(
        '{"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "a": "\\ud83d\\ude00", "b": "\\\\ud83d"}'
    )
    assert top is not None
    assert (top["a"].value, top["b"].value) == ("\U0001f600", "\\ud83d")


def test_merged_mappings_and_aliases_are_read_like_any_other() -> None:
    top, findings = read(HEAD + "a: &a {x: 1, z: 2}\nb: {<<: *a, z: 3}\nc: *a\n")
    assert top is not None
    assert (top["b"].value, top["c"].value, findings) == ({"x": 1, "z": 3}, {"x": 1, "z": 2}, [])


def test_manifest_as_json_is_checked_too() -> None:
    assert check_text(spoiled({}), "test") == []


def test_of_very_many_defects_the_first_are_listed_and_the_rest_is_said() -> None:
    findings = check_text(spoiled({f"spec.wrong{index}": 1 for index in range(600)}), "test")
    assert len(findings) == 501
    assert [(found.rule, found.severity) for found in findings if found.path == "."] == [("too-many-findings", "error")]


def test_text_of_very_many_values_is_left_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("katib.yaml_reader.MOST_NODES", 1000)
    (finding,) = check_text("a:\n" + "- 1\n" * 2000, "test")
    assert (finding.rule, finding.line) == ("too-large", 999)

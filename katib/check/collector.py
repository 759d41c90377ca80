"""Checks how Katib collects the metrics: the collector's kind, its source, and its filter."""

from collections.abc import Iterator

from katib.check.finding import Defect, error, warning
from katib.check.metric_filter import filters, unread
from katib.check.node import Node
from katib.check.objective import REFUSED
from katib.errors import nearest

KINDS = ("StdOut", "File", "TensorFlowEvent", "PrometheusMetric", "Custom", "Push")
READS_LINES = ("StdOut", "File")
FORMATS = ("TEXT", "JSON")

KIND = error(
    "collector-kind",
    finds="a collector of a kind that Katib does not have, or has no image for (PrometheusMetric)",
    effect=REFUSED,
    fix="write StdOut, File, TensorFlowEvent, Custom or Push",
)
PATH = error(
    "collector-path",
    finds="a fileSystemPath that is not absolute, or of the wrong kind (File: File, TensorFlowEvent: Directory)",
    effect=REFUSED,
    fix="write an absolute path and its kind",
)
FORMAT = error(
    "collector-format",
    finds="a file format that is neither TEXT nor JSON, any format for event files, or a filter beside JSON",
    effect=REFUSED,
    fix="write TEXT or JSON for File; leave the filter out for JSON",
)
CUSTOM = error(
    "collector-custom",
    finds="a collector of kind Custom without customCollector",
    effect=REFUSED,
    fix="add collector.customCollector, a container",
)
SOURCE_IGNORED = warning(
    "collector-source-ignored",
    finds="a fileSystemPath for StdOut, or a filter for a collector that reads no lines",
    effect="Katib does not use it",
    fix="remove it, or choose the collector that uses it",
)
NO_STOPPING = warning(
    "collector-without-stopping",
    finds="early stopping with a collector other than StdOut and File",
    effect="only these watch the metrics while a trial runs; no trial is ever stopped early",
    fix="use StdOut or File",
)


def collector(top: Node) -> Iterator[Defect]:
    """Yields the defects of the collector and, if it reads lines, of its filters."""
    spec = top["spec"]
    if spec.missing:
        return
    node, source = spec["metricsCollectorSpec"]["collector"], spec["metricsCollectorSpec"]["source"]
    kind = collector_kind(top)
    if kind == "" or (kind is not None and kind not in KINDS):
        yield KIND.at(node["kind"], f"'{kind}': {nearest(kind, KINDS)}" if kind else "is missing")
    elif kind == "PrometheusMetric":
        yield KIND.at(node["kind"], "PrometheusMetric has no image in Katib's own configuration")
    elif kind == "Custom" and node["customCollector"].missing:
        yield CUSTOM.at(node["customCollector"], "is missing")
    yield from _source(source, kind)
    if kind in KINDS and kind not in READS_LINES and not spec["earlyStopping"].missing:
        yield NO_STOPPING.at(spec["earlyStopping"], f"stands beside a collector of kind {kind}")
    if kind in READS_LINES and source["fileSystemPath"]["format"].text != "JSON":
        yield from filters(source["filter"]["metricsFormat"], spec)
    elif kind in ("TensorFlowEvent", "Custom"):
        yield from unread(source["filter"]["metricsFormat"])


def collector_kind(top: Node) -> str | None:
    """Returns the collector's kind after Katib's defaults; None if it is not a text, empty if Katib finds none."""
    node = top["spec"]["metricsCollectorSpec"]["collector"]
    if node.missing:
        return "StdOut"
    return "" if node["kind"].missing else node["kind"].text


def _source(source: Node, kind: str | None) -> Iterator[Defect]:
    file = source["fileSystemPath"]
    if kind == "StdOut" and not file.empty:
        yield SOURCE_IGNORED.at(file, "stands beside StdOut, which has a file of its own")
    if kind in KINDS and kind not in READS_LINES and not source["filter"].empty:
        yield SOURCE_IGNORED.at(source["filter"], f"stands beside {kind}, which reads no lines")
    if kind not in ("File", "TensorFlowEvent", "Custom") or file.missing:
        return
    expected = {"File": ("File",), "TensorFlowEvent": ("Directory",)}.get(kind, ("File", "Directory"))
    for key in ("path", "kind"):
        if kind == "Custom" and file[key].empty:
            yield PATH.at(file[key], "is missing, which Custom needs beside its fileSystemPath")
    if file["path"].text and not file["path"].text.startswith("/"):
        yield PATH.at(file["path"], f"'{file['path'].text}' is not absolute")
    if file["kind"].text and file["kind"].text not in expected:
        yield PATH.at(file["kind"], f"is '{file['kind'].text}', not {' or '.join(expected)}")
    file_format = file["format"]
    if kind == "File" and file_format.text and file_format.text not in FORMATS:
        yield FORMAT.at(file_format, f"'{file_format.text}': {nearest(file_format.text, FORMATS)}")
    if kind == "TensorFlowEvent" and not file_format.empty:
        yield FORMAT.at(file_format, "stands beside TensorFlowEvent, whose files have one format")
    if kind == "File" and file_format.text == "JSON" and not source["filter"].missing:
        yield FORMAT.at(source["filter"], "stands beside format JSON")

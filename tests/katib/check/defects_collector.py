"""Named defects of the collector and of its filter."""

from tests.katib.check.manifests import DROP, Defects, collector

DEFECTS: Defects = {
    "unknown collector": (collector("Stdout"), {"collector-kind spec.metricsCollectorSpec.collector.kind"}),
    "collector without an image": (
        collector("PrometheusMetric"),
        {"collector-kind spec.metricsCollectorSpec.collector.kind"},
    ),
    "custom collector without a container": (
        collector("Custom"),
        {"collector-custom spec.metricsCollectorSpec.collector.customCollector"},
    ),
    "custom collector with a path and no kind": (
        {
            "spec.metricsCollectorSpec": {
                "collector": {"kind": "Custom", "customCollector": {"name": "own", "image": "a/b:1"}},
                "source": {"fileSystemPath": {"path": "/metrics/log"}},
            },
            "spec.earlyStopping": DROP,
        },
        {"collector-path spec.metricsCollectorSpec.source.fileSystemPath.kind"},
    ),
    "filter with an open bracket for event files": (
        collector(
            "TensorFlowEvent",
            fileSystemPath={"path": "/events", "kind": "Directory"},
            filter={"metricsFormat": ["(a)(b"]},
        ),
        {
            "filter-syntax spec.metricsCollectorSpec.source.filter.metricsFormat[0]",
            "?collector-source-ignored spec.metricsCollectorSpec.source.filter",
        },
    ),
    "relative file": (
        collector("File", fileSystemPath={"path": "metrics.json", "kind": "File", "format": "JSON"}),
        {"collector-path spec.metricsCollectorSpec.source.fileSystemPath.path"},
    ),
    "file format csv": (
        collector(
            "File",
            fileSystemPath={"path": "/m/a.csv", "kind": "File", "format": "CSV"},
            filter={"metricsFormat": [r"^(val_si_snr)=(\d+\.\d+)$"]},
        ),
        {"collector-format spec.metricsCollectorSpec.source.fileSystemPath.format"},
    ),
    "filter beside JSON": (
        collector(
            "File",
            fileSystemPath={"path": "/m/a", "kind": "File", "format": "JSON"},
            filter={"metricsFormat": [r"^(val_si_snr)=(\d+\.\d+)$"]},
        ),
        {"collector-format spec.metricsCollectorSpec.source.filter"},
    ),
    "path of a collector that has its own": (
        {"spec.metricsCollectorSpec.source.fileSystemPath": {"path": "/m/a", "kind": "File"}},
        {"?collector-source-ignored spec.metricsCollectorSpec.source.fileSystemPath"},
    ),
    "early stopping with a collector that does not watch": (
        {"spec.metricsCollectorSpec": {"collector": {"kind": "Push"}}},
        {"?collector-without-stopping spec.earlyStopping"},
    ),
    "no filter": ({"spec.metricsCollectorSpec": DROP}, {"?filter-default FILTER"}),
    "no filter for a metric with a slash": (
        {
            "spec.metricsCollectorSpec": DROP,
            "spec.objective.objectiveMetricName": "val/si_snr",
            "spec.objective.metricStrategies": DROP,
        },
        {"filter-default-name spec.objective.objectiveMetricName"},
    ),
    "filter with lookahead": ({"FILTER[0]": r"(a)(?=b)(c)"}, {"filter-syntax FILTER[0]"}),
    "filter with one group": ({"FILTER[0]": r"^val_si_snr=([\d.]+)$"}, {"filter-groups FILTER[0]"}),
    "filter with a semicolon": (
        {"FILTER[0]": r"^\S+; ?(val_si_snr)=(\d+)$"},
        {"filter-semicolon FILTER[0]", "?filter-blind FILTER"},
    ),
    "filter that is not anchored": (
        {"FILTER[0]": r"(val_si_snr)=([\d.]*)"},
        {"?filter-loose FILTER[0]", "?filter-cuts-value FILTER[0]"},
    ),
    "filter that cuts an exponent": (
        {"FILTER[0]": r"^\S+ (val_si_snr)=([-+]?\d+\.\d+)(?:$|[^.\d])"},
        {"?filter-cuts-value FILTER[0]"},
    ),
    "filter of another metric": ({"FILTER[0]": r"^(val_sisnr)=(\d+)$"}, {"?filter-blind FILTER"}),
}

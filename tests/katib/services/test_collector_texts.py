"""A metric that is not a number is reported as it is, as by Katib's own collector.

There it is parseLogsInTextFormat (file-metricscollector.go); Katib takes the latest trial of such a search for the best
(experiment/util/status_util.go).
"""

from tests.katib.services.pod import Pods
from tests.katib.services.rig import METRIC, DbManager, stamp


def test_a_text_is_reported_as_it_was_printed_and_the_trial_is_complete(pods: Pods, db: DbManager) -> None:
    """As of Katib's darts example, whose objective is a genotype.

    "unavailable" would make the trial MetricsUnavailable.
    """
    pod = pods()
    pod.arguments[pod.arguments.index("-f") + 1] = rf"({METRIC})=\s*(\S.*)"
    pod.start()
    genotype = "Genotype(normal=[[('max_pooling_3x3',0)]])"
    pod.print(f"{stamp(1)} {METRIC}= {genotype} ", f"{stamp(2)} {METRIC}=1_0")
    pod.end()
    assert pod.wait() == (0, 0)
    assert db.values("t") == [genotype, "1_0"]

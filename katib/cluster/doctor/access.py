"""What the caller may do, asked of the API server (SelfSubjectAccessReview). Called by `examine`."""

from collections.abc import Iterator

from katib.cluster.doctor.result import Patient, Result, error, ok, warning
from katib.cluster.kinds import EXPERIMENT, JOB, POD, SUGGESTION, TRIAL, Kind

# verb, kind, subresource, what it is for; without the first group nothing runs, without the second something is missing
NEEDED: tuple[tuple[str, Kind, str, str], ...] = (
    ("get", EXPERIMENT, "", "deploy"),
    ("create", EXPERIMENT, "", "deploy"),
    ("patch", EXPERIMENT, "", "deploy"),
)
USEFUL: tuple[tuple[str, Kind, str, str], ...] = (
    ("list", TRIAL, "", "status and results"),
    ("list", POD, "", "status"),
    ("watch", POD, "", "status -w and deploy's waiting"),
    ("get", POD, "log", "live SI-SNR and logs"),
    ("list", JOB, "", "status"),
    ("list", SUGGESTION, "", "deploy's waiting"),
    ("patch", JOB, "", "pause, resume and stop"),
    ("delete", EXPERIMENT, "", "delete"),
)
ASK = "kubectl -n {place} create rolebinding sepsweep-me --role=sepsweep-researcher --user=YOU"


def access(patient: Patient) -> Iterator[Result]:
    """The rights that the verbs need."""
    mend = ASK.format(place=patient.site.namespace)
    denied = False
    for group, report in ((NEEDED, error), (USEFUL, warning)):
        for verb, kind, sub, use in group:
            if not patient.cluster.allowed(verb, kind, subresource=sub):
                denied = True
                what = f"{verb} {kind.plural}{'/' + sub if sub else ''}"
                yield report("rights", f"you may not {what}", f"needed for {use}", mend)
    if not denied:
        yield ok("rights", f"all {len(NEEDED) + len(USEFUL)} that the verbs need")

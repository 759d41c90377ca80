"""Checks whether a cluster is fit to run given searches: a table of checks, each with an effect and a fix.

The checks read objects and try others on the server in dry runs; they change nothing.
"""

from katib.backend.cluster.doctor.examine import examine
from katib.backend.cluster.doctor.result import DoctorContext, Result

__all__ = ["DoctorContext", "Result", "examine"]

"""Is this cluster fit to run these searches: a table of checks, each with what it means and the command that mends it.

Reads, and tries on the server by dry runs; changes nothing. Called by the verbs doctor and deploy.
"""

from katib.backend.cluster.doctor.examine import examine
from katib.backend.cluster.doctor.result import DoctorContext, Result

__all__ = ["DoctorContext", "Result", "examine"]

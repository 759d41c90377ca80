"""The search algorithms: each is one file of this folder, with its proposals and settings, and one row of the table.

The sampler, the check of manifests and the services look algorithms up here and know none of them by name. Importing
the table stays cheap: what takes long to load (NumPy, SciPy, Optuna) is imported by the proposals that need it.
"""

from collections.abc import Mapping

from katib.search.algorithms import bayesianoptimization, grid, random, sobol, tpe
from katib.search.algorithms.base import SearchAlgorithm

ALGORITHMS: Mapping[str, SearchAlgorithm] = {
    "bayesianoptimization": bayesianoptimization.ALGORITHM,
    "multivariate-tpe": tpe.MULTIVARIATE,
    "tpe": tpe.UNIVARIATE,
    "random": random.ALGORITHM,
    "grid": grid.ALGORITHM,
    "sobol": sobol.ALGORITHM,
}

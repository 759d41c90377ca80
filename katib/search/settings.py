"""The settings that several algorithms take."""

from katib.search import prior
from katib.search.first_suggestions import SHAPE, first_suggestions
from katib.setting import Setting, whole

SEED = {"random_state": whole(0, 2**32 - 1)}
"""The range is that of numpy.random.RandomState, which seeds Katib's services."""
FIRST = {"first_suggestions": Setting(lambda text: first_suggestions(text) is not None, SHAPE)}
PRIOR = {"prior": Setting(lambda text: prior.read_prior(text) is not None, prior.SHAPE)}
WARM = {"warm_start": Setting(lambda text: all(text.split(",")), "names of earlier experiments: a,b")}

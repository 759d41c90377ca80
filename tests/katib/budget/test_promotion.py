"""What the rule promote is expected to spend."""

import time

from katib.budget.promotion import spending
from katib.search.promotion import Promote
from katib.trial import Direction

RULE = Promote(Direction.MAXIMIZE, (6, 12, 25, 50))


def test_the_rule_spends_a_part_of_the_epochs_and_the_same_each_time() -> None:
    begun = time.process_time()
    found = spending(RULE, 25, 59)
    print(found, time.process_time() - begun)
    assert found == spending(RULE, 25, 59)
    assert 6 < found.epochs < 0.7 * 59
    assert 0 < found.continuations <= found.most_continuations <= 25 * len(RULE.rung_epochs)


def test_a_greater_eta_spends_less_and_without_rungs_every_trial_ends_by_itself() -> None:
    assert spending(Promote(Direction.MINIMIZE, (6, 12, 25, 50), eta=4), 25, 59).epochs < spending(RULE, 25, 59).epochs
    whole = spending(Promote(Direction.MAXIMIZE, (60,)), 5, 59)
    assert (whole.epochs, whole.continuations, whole.most_continuations) == (59, 0, 0)

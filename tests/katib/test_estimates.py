"""An estimate is written with as many digits as its deviation allows."""

import pytest

from katib.measure import SI_SNR, Measure
from katib.text import estimate


@pytest.mark.parametrize(
    ("mean", "sd", "words"),
    [
        (0.187978, 0.00450684, "0.1880 ± 0.0045"),
        (3.2, 0.5, "3.20 ± 0.50"),
        (1234.5678, 123.4, "1235 ± 123"),
        (0.5, None, "0.5"),
        (0.5, 0.0, "0.5 ± 0"),
        (2e12, 3.0, "2e+12 ± 3"),
    ],
)
def test_no_digit_says_more_than_is_known(mean: float, sd: float | None, words: str) -> None:
    assert estimate(mean, sd, Measure("val_loss")) == words


def test_decibels_have_two_decimals() -> None:
    assert estimate(5.6, 0.123, SI_SNR) == "5.60 ± 0.12 dB"

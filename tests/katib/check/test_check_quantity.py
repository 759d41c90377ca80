"""Quantities against what Katib v0.19's own webhook did with an emptyDir of that sizeLimit: took it, or refused it."""

import pytest

from katib.quantity import canonical

TAKEN = "8Gi 1500m 2k 0 1e3 10e3 12e6 100Ki 512Ki 1Ki 1023 100m 1G 100u 1E 5n 1n 10E 1Ei 500u 1e-3 1e6 100 -5"
REFUSED = "8192Mi 4096Mi 0.5 1.5Gi 1000m 2000 1e4 0.5Gi 1.5 .5 0.5Ki 1024Ki 1000M 0.1m 0.1n 1024Pi 1.000 1000"
NONE = "x 1.2.3 8g 8GB 1ei e3"


@pytest.mark.parametrize("text", TAKEN.split())
def test_quantity_that_the_webhook_takes_is_canonical(text: str) -> None:
    assert canonical(text) == text


@pytest.mark.parametrize("text", REFUSED.split())
def test_quantity_that_the_webhook_refuses_has_another_canonical_form(text: str) -> None:
    written = canonical(text)
    assert written is not None
    assert written != text
    assert canonical(written) == written


@pytest.mark.parametrize("text", NONE.split())
def test_text_that_is_no_quantity_has_no_canonical_form(text: str) -> None:
    assert canonical(text) is None

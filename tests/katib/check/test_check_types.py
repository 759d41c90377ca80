"""The types that a manifest is held against are those of Katib's own package."""

from tests.katib.check.katib_types import FILE, written


def test_the_file_holds_what_the_package_says() -> None:
    """Where it does not: python -m tests.katib.check.katib_types."""
    assert FILE.read_text(encoding="utf-8") == written()

"""Words of messages."""


def count(number: int, noun: str, plural: str = "") -> str:
    """Returns the number with its noun: 1 epoch, 2 epochs; `plural` where that takes more than an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"

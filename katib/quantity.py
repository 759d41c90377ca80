"""Reads Kubernetes quantities (k8s.io/apimachinery/pkg/api/resource) and writes them as Go does.

Katib refuses a trial Job with a quantity that Go writes differently (validator.go, validatePatchJob), except in
requests and limits.
"""

import re
from fractions import Fraction
from math import ceil

BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
PATTERN = re.compile(rf"({NUMBER})(?:([KMGTPE]i)|([eE][-+]?[0-9]{{1,2}})|([numkMGTPE]?))")
LONGEST = 300
"""Characters; Python reads no number of more than 4300 digits."""
NANO = Fraction(1, 10**9)
"""Go rounds up what is finer."""


def value_of(text: str) -> Fraction | None:
    """Returns the value of a quantity (500m is 1/2); None if `text` is not a quantity."""
    match = PATTERN.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        return None
    factor = Fraction(1024 ** BINARY[match[2]]) if match[2] else Fraction(10) ** DECIMAL[match[4] or ""]
    return Fraction(match[1]) * (Fraction(10) ** int(match[3][1:]) if match[3] else factor)


def canonical(text: str) -> str | None:
    """Returns the quantity as Go writes it (8192Mi is 8Gi, 0.5 is 500m); None if `text` is not a quantity."""
    match = PATTERN.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        return None
    number, binary, exponent, decimal = Fraction(match[1]), match[2], match[3], match[4]
    if binary:
        number *= 1024 ** BINARY[binary]
        if abs(number) >= 1024:
            return _scaled(Fraction(ceil(number)), 1024, {power: name for name, power in BINARY.items()})
        exponent = None
    if exponent:
        number *= Fraction(10) ** int(exponent[1:])
        return _scaled(number, 1000, {n: f"e{3 * n}" for n in range(-3, 40) if n})
    if not binary:
        number *= Fraction(10) ** DECIMAL[decimal]
    return _scaled(number, 1000, {power // 3: name for name, power in DECIMAL.items() if power})


def _scaled(number: Fraction, base: int, suffixes: dict[int, str]) -> str:
    """Returns the largest power of `base` that leaves a whole number, and its suffix."""
    number = ceil(number / NANO) * NANO
    if number == 0:
        return "0"
    power = 0
    while number.denominator != 1:
        number, power = number * base, power - 1
    while number.numerator % base == 0 and power + 1 in {0, *suffixes}:
        number, power = number / base, power + 1
    return f"{number.numerator}{suffixes.get(power, '')}"

"""Counts the fields of a request before it is parsed: protobuf turns one byte of empty messages into 36 of memory.

The encoding is that of protobuf.dev/programming-guides/encoding: a field is a tag (its number and type) and a value.
"""

from functools import lru_cache

from google.protobuf.descriptor import Descriptor

MOST_FIELDS = 1 << 18
"""The fields of a message, nested ones included: 5 000 trials of 10 parameters have 200 000, which take 20 MB."""
FEW_BYTES = 1 << 16
"""The size up to which a message is parsed without being counted; it takes at most 2.3 MB of memory."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


class WireError(ValueError):
    """The bytes are not a message."""


def too_many_fields(data: bytes, descriptor: Descriptor) -> bool:
    """Returns whether a message of this descriptor has more than MOST_FIELDS. Raises WireError."""
    if len(data) <= FEW_BYTES:
        return False
    try:
        return _too_many(data, descriptor)
    except IndexError:
        raise WireError("it ends too early") from None


def _too_many(data: bytes, descriptor: Descriptor) -> bool:
    count, index, end, inner = 0, 0, len(data), _messages(descriptor)
    outer: list[tuple[int, int, dict[int, Descriptor]]] = []
    while index < end or outer:
        if index == end:
            index, end, inner = outer.pop()
            continue
        count += 1
        if count > MOST_FIELDS:
            return True
        tag, index = (data[index], index + 1) if data[index] < 128 else _number(data, index)
        if tag & 7 == _BYTES:
            size, index = (data[index], index + 1) if data[index] < 128 else _number(data, index)
            if size and tag >> 3 in inner:
                outer.append((index + size, end, inner))
                inner, end = _messages(inner[tag >> 3]), index + size
            else:
                index += size
        elif tag & 7 == _VARINT:
            _, index = _number(data, index)
        elif tag & 7 in _SIZES:
            index += _SIZES[tag & 7]
        else:
            raise WireError("a field has a type that is not used")
        if index > end or (outer and end > outer[-1][1]):
            raise WireError("a field is longer than its message")
    return False


@lru_cache(maxsize=100)
def _messages(descriptor: Descriptor) -> dict[int, Descriptor]:
    """Returns the descriptors of those fields of a message that are messages themselves, by number."""
    return {field.number: field.message_type for field in descriptor.fields if field.message_type is not None}


def first_text(data: bytes, *numbers: int) -> str:
    """Returns the text of a message's first field, or of that field's first field, along the field `numbers`.

    It is empty where another field comes first.
    """
    start, end = 0, len(data)
    for number in numbers:
        try:
            tag, start = _number(data, start)
            if tag != number << 3 | _BYTES:
                return ""
            size, start = _number(data, start)
        except (WireError, IndexError):
            return ""
        end = start + size
    return data[start : min(end, start + 256)].decode(errors="replace")


def _number(data: bytes, index: int) -> tuple[int, int]:
    """Returns the varint at `index` and the index behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[index]
        value |= (byte & 127) << shift
        index += 1
        if byte < 128:
            return value, index
    raise WireError("a number has no end")

"""Text that a version holds: what may stand in it, and how a message quotes it."""

from collections.abc import Sequence

from trajstore.errors import SchemaError

MAX_TEXT_BYTES = 4096
MAX_LINE_BYTES = 65_536


def shown(value: object, most: int = 80) -> str:
    """A value as a message quotes it: on one line, in ASCII, shortened.

    Example:
        >>> shown(list(range(100)), most=12)
        '[0, 1, 2,...'
    """
    return brief(ascii(value).replace("\n", " "), most)


def brief(value: object, most: int = 60) -> str:
    """A value as text, shortened."""
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def legible(text: str) -> str:
    r"""Text from outside, such as the name of a file: what does not print is escaped.

    Example:
        >>> legible("tab\tx")
        'tab\\tx'
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def check_text(where: str, text: str, *, most_bytes: int = MAX_TEXT_BYTES) -> None:
    """Refuse text of too many bytes, or that could not be stored and read back the same."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise SchemaError(
            f"{where}: expected text that UTF-8 can hold, got {shown(text)}, "
            "which has half of a surrogate pair"
        ) from None
    if "\0" in text:
        raise SchemaError(f"{where}: expected text without NUL, got {shown(text)}")
    if size > most_bytes:
        raise SchemaError(f"{where}: expected at most {most_bytes:,} bytes of text, got {size:,}")


def check_line(where: str, text: object) -> None:
    """Refuse what is no short line that can be printed."""
    if not isinstance(text, str) or not text.isprintable():
        raise SchemaError(f"{where}: expected one line of text that prints, got {shown(text)}")
    check_text(where, text, most_bytes=MAX_LINE_BYTES)


def component_names(where: str, names: object, parts: int) -> tuple[str, ...]:
    """Names of the components of a field: none, or as many different lines as it has ``parts``."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise SchemaError(f"{where}: expected a list of texts, got {shown(names)}")
    for name in names:
        check_line(where, name)
    if names and (len(names) != parts or len(set(names)) != parts or not all(names)):
        raise SchemaError(
            f"{where}: expected {parts} different names, one a component, got {len(names)}: "
            f"{shown(names)}"
        )
    return tuple(names)

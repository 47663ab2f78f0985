"""Text that others wrote, as it may be shown in a terminal: nothing in it is obeyed."""

import json
from typing import Any

from rich.text import Text


def plain(text: object) -> str:
    """One line; whatever is not printable in it (escape sequences, text that runs backwards) is shown as an escape."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in str(text)
    )


def cell(text: object, style: str = "") -> Text:
    """The same for a table, where square brackets would be taken for markup."""
    return Text("" if text is None else plain(text), style)


def as_json(value: Any) -> str:
    """JSON in ASCII: a terminal obeys nothing in it either."""
    return json.dumps(value, ensure_ascii=True)

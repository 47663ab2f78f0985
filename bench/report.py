"""Write the tables of docs/results.md anew from the records, and draw its pictures.

    python -m bench.report [--records FOLDER] [--page FILE] [--pictures FOLDER]

A table stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`; everything else on the page is left as it is.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench import curves
from bench.records import Record, read
from bench.tables import TABLES

PAGE: Final = Path("docs/results.md")
RECORDS: Final = Path("bench/results")
_BLOCK: Final = re.compile(r"(<!-- begin: ([\w-]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


def gathered(folder: Path) -> list[Record]:
    """All records of a folder, each with the name of its file as "of"."""
    return [{"of": path.stem, **record} for path in sorted(folder.glob("*.jsonl")) for record in read(path)]


def tables(records: list[Record]) -> dict[str, str]:
    """Every table by its name."""
    return {name: table(records) for name, table in TABLES.items()}


def insert(page: str, made: Mapping[str, str]) -> str:
    """The page with its tables in place of what stood there. Raises ValueError unless it has each of them once."""
    places = [name for _, name, _ in _BLOCK.findall(page)]
    if sorted(places) != sorted(made):
        raise ValueError(f"the page has places for {sorted(places)}, there are {sorted(made)}")
    return _BLOCK.sub(lambda place: place[1] + "\n" + made[place[2]] + "\n" + place[3], page)


def main() -> None:
    """Write all of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--pictures", type=Path, default=Path("docs/pictures"))
    given = parser.parse_args()
    records = gathered(given.records)
    given.page.write_text(insert(given.page.read_text(), tables(records)))
    print(given.page)
    curves.draw(records, given.pictures)


if __name__ == "__main__":
    main()

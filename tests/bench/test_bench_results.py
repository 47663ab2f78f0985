"""What docs/results.md tells is what the records say."""

from pathlib import Path

import pytest

from bench.measure import OUT, cases
from bench.records import read
from bench.report import PAGE, RECORDS, gathered, insert, tables

ROOT = Path(__file__).parents[2]


def test_the_tables_of_the_page_are_made_of_the_records():
    page = (ROOT / PAGE).read_text()
    made = tables(gathered(ROOT / RECORDS))
    assert page == insert(page, made), "write them anew: python -m bench.report"
    assert page != insert(page, made | {"targets": "| 1 |\n"})


def test_a_table_that_has_no_place_on_the_page_is_said():
    with pytest.raises(ValueError, match=r"places for \['a'\], there are \['a', 'b'\]"):
        insert("<!-- begin: a -->\n<!-- end: a -->", {"a": "", "b": ""})


def test_every_picture_of_the_page_is_there():
    page = (ROOT / PAGE).read_text()
    pictures = [line.partition("](")[2].rstrip(")") for line in page.splitlines() if line.startswith("![")]
    assert len(pictures) >= 4
    assert all((ROOT / PAGE.parent / picture).stat().st_size > 1000 for picture in pictures)


def test_records_are_of_cases_that_exist():
    known = {case.key for case in cases()}
    assert len(known) == len(cases())
    assert {record["case"] for record in read(ROOT / OUT) if record["key"] not in known} == set()

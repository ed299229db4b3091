"""The page of rows says what the tests show."""

from tests.fault import rows


def test_every_row_is_shown_or_says_why_not() -> None:
    assert [*rows.problems()] == []


def test_the_committed_page_is_that_of_the_tests() -> None:
    assert rows.PAGE.read_text("utf-8") == rows.page()

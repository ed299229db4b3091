import pytest

from turnout_server.app.config.units import Bytes, Quantity, Seconds, Share


@pytest.mark.parametrize(
    ("text", "seconds"), [("5ms", 0.005), ("30s", 30), ("1.5m", 90), ("2 h", 7200), ("7d", 604800)]
)
def test_duration_is_seconds(text: str, seconds: float) -> None:
    assert Seconds.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "size"), [("1B", 1), ("64KiB", 65536), ("0.5GiB", 1 << 29)])
def test_size_is_bytes(text: str, size: int) -> None:
    assert Bytes.parse(text) == size


def test_share_is_a_part_of_one() -> None:
    assert Share.parse("5%") == pytest.approx(0.05)
    with pytest.raises(ValueError, match="100% or less"):
        Share.parse("101%")


@pytest.mark.parametrize("text", ["", "30", "s", "-1s", "1e3s", "30 sec", "1h30m", "MiB"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s"):
        Seconds.parse(text)


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Seconds.parse("5ms"), "5ms"),
        (Seconds.parse("90s"), "1.5m"),
        (Seconds(0), "0ms"),
        (Bytes.parse("256MiB"), "256MiB"),
        (Share.parse("5%"), "5%"),
    ],
)
def test_quantity_prints_as_it_is_written(quantity: Quantity, text: str) -> None:
    assert str(quantity) == text
    assert type(quantity).parse(text) == quantity

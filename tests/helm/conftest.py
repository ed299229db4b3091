"""One engine for all tests of the chart, and each set of values rendered."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import VALUE_SETS, Chart, Rendered, Values, open_chart


@pytest.fixture(scope="session")
def chart() -> Iterator[Chart]:
    with open_chart() as opened:
        yield opened


@pytest.fixture(params=VALUE_SETS, ids=lambda file: file.stem)
def values(request: pytest.FixtureRequest) -> Values:
    """Each set in values/, as Helm reads it; the first of them is the chart's own defaults."""
    file: Path = request.param
    return yaml.safe_load(file.read_text("utf-8")) or {}


@pytest.fixture
def rendered(chart: Chart, values: Values) -> Rendered:
    return chart.render(values)

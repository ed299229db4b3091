"""Each rule of an embedding request, and that sound ones break none."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from turnout.v1.embed_service_pb2 import EmbedOptions, EmbedRequest
from turnout.v1.routing_pb2 import CacheOptions, RoutingOptions

from turnout_server.rpc.validate_embed import violations_of, violations_of_options


def fields_of(**fields: Any) -> list[str]:
    request = EmbedRequest(**{"model": "embed", "texts": ["a"], **fields})
    return [violation.field for violation in violations_of(request)]


def test_sound_requests_break_no_rule() -> None:
    assert fields_of() == []
    assert (
        fields_of(
            texts=["a"] * 2048,
            dimensions=256,
            encoding=4,
            input_type=2,
            labels={"team": ""},
            cache=CacheOptions(mode=1, max_age=Duration(seconds=1)),
            routing=RoutingOptions(fallback_models=["other"], max_attempts=2),
        )
        == []
    )


SHARED: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"model": "m" * 257}, "model"),
    ({"dimensions": (1 << 16) + 1}, "dimensions"),
    ({"encoding": 5}, "encoding"),
    ({"input_type": 3}, "input_type"),
    ({"labels": {str(i): "" for i in range(33)}}, "labels"),
    ({"labels": {"k" * 65: ""}}, "labels"),
    ({"labels": {"k": "v" * 257}}, "labels[k]"),
    ({"routing": RoutingOptions(fallback_models=[""])}, "routing.fallback_models[0]"),
    (
        {"routing": RoutingOptions(first_output_timeout=Duration(seconds=0))},
        "routing.first_output_timeout",
    ),
    ({"cache": CacheOptions(mode=9)}, "cache.mode"),  # type: ignore[arg-type]
    ({"cache": CacheOptions(max_age=Duration(seconds=-1))}, "cache.max_age"),
    ({"cache": CacheOptions(namespace="n" * 257)}, "cache.namespace"),
]


@pytest.mark.parametrize(("fields", "wanted"), SHARED)
def test_rules_of_both_methods(fields: dict[str, Any], wanted: str) -> None:
    assert fields_of(**fields) == [wanted]
    options = EmbedOptions(**{"model": "embed", **fields})
    assert [violation.field for violation in violations_of_options(options)] == [wanted]


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ([], ["texts"]),
        (["a"] * 2049, ["texts"]),
        (["a", "", "b", ""], ["texts[1]", "texts[3]"]),
        (["a" * (17 << 20)], ["texts"]),
    ],
)
def test_rules_of_a_batch(texts: list[str], wanted: list[str]) -> None:
    assert fields_of(texts=texts) == wanted


def test_no_more_than_a_hundred_violations_are_told() -> None:
    assert len(fields_of(texts=[""] * 500)) == 100

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, ProviderParameters

from turnout_server.core.call import Identity, Priority
from turnout_server.rpc.access import Access, hold_to_ceiling, narrowed

KEY = Identity(
    tenant="acme", allowed_models=frozenset({"a", "b"}), max_output_tokens=100, subject="k"
)


def test_of_a_key_and_its_tenant_the_narrower_rule_holds() -> None:
    tenant = Access(
        models=frozenset({"b", "c"}),
        methods=frozenset({"Chat"}),
        max_output_tokens=50,
        priority=Priority.BATCH,
    )
    held = narrowed(KEY, tenant)
    assert held.allowed_models == {"b"}
    assert held.allowed_methods == {"Chat"}
    assert held.max_output_tokens == 50
    assert held.priority is Priority.BATCH
    assert held.subject == "k"


def test_a_tenant_without_rules_changes_nothing() -> None:
    assert narrowed(KEY, Access()) == KEY


def test_a_request_without_a_ceiling_gets_the_callers() -> None:
    request = ChatRequest()
    assert hold_to_ceiling(request, 100) == []
    assert request.max_output_tokens == 100
    assert hold_to_ceiling(ChatRequest(), None) == []


def test_asking_for_more_names_the_field() -> None:
    (violation,) = hold_to_ceiling(ChatRequest(max_output_tokens=101), 100)
    assert violation.field == "max_output_tokens"
    assert "100" in violation.description


@pytest.mark.parametrize(
    "json",
    [
        '{"max_tokens": 9}',
        '{"max_completion_tokens": 9}',
        '{"generationConfig": {"maxOutputTokens": 9}}',
        '{"\\u006dax_tokens": 9}',
        '[{"inferenceConfig": {"maxTokens": 9}}]',
        '{"n": 8}',
    ],
)
def test_a_providers_own_parameter_cannot_lift_the_ceiling(json: str) -> None:
    request = ChatRequest(provider_parameters=[ProviderParameters(provider="p", json=json)])
    (violation,) = hold_to_ceiling(request, 100)
    assert violation.field == "provider_parameters[0].json"


def test_other_parameters_of_a_provider_pass() -> None:
    request = ChatRequest(
        provider_parameters=[
            ProviderParameters(provider="p", json='{"top_a": 1, "logit_bias": {"n1": 2}}'),
            ProviderParameters(provider="p", json="{broken"),
        ]
    )
    assert hold_to_ceiling(request, 100) == []


@pytest.mark.parametrize("json", ["[" * 60_000, '{"a":' * 900 + "{}" + "}" * 900])
def test_parameters_nested_without_end_are_no_bug_of_ours(json: str) -> None:
    request = ChatRequest(provider_parameters=[ProviderParameters(provider="p", json=json)])
    assert hold_to_ceiling(request, 100) == []

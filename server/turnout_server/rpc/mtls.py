"""Callers known by their client certificate: the SPIFFE ID that grpc has verified."""

from collections.abc import Mapping

from turnout_server.core.call import Identity
from turnout_server.rpc.access import ANY_TENANT
from turnout_server.rpc.context import Context

SPIFFE_ID = "peer_spiffe_id"
"""What grpc calls the URI of a certificate that has exactly one, and that is a SPIFFE ID. A name of
another kind that merely looks like one is not put there (measured)."""


class Peers:
    """The SPIFFE IDs that may call. `trusted` ones may also name the tenant that they call for."""

    def __init__(
        self, trust_domain: str, tenants: Mapping[str, str], trusted: frozenset[str] = frozenset()
    ) -> None:
        self._root = f"spiffe://{trust_domain}/"
        self._tenants = tenants
        self._trusted = trusted

    def identify(self, context: Context) -> Identity | None:
        """Who the connection's certificate says calls; its tenant is empty if only trusted."""
        spiffe_id = _spiffe_id(context)
        if not spiffe_id.startswith(self._root):
            return None
        tenant, trusted = self._tenants.get(spiffe_id, ""), spiffe_id in self._trusted
        if not tenant and not trusted:
            return None
        may_act_for = frozenset({ANY_TENANT}) if trusted else frozenset[str]()
        return Identity(tenant=tenant, subject=spiffe_id, may_act_for=may_act_for)


def _spiffe_id(context: Context) -> str:
    values = [*context.auth_context().get(SPIFFE_ID, ())]
    return bytes(values[0]).decode("ascii", "replace") if len(values) == 1 else ""

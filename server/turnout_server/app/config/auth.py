"""`auth`: who may call. Everybody while no mode is set, nobody unknown once one is."""

from pydantic import Field

from turnout_server.app.config.section import Section, Url


class Jwt(Section):
    """Bearer tokens that somebody else issues."""

    jwks: Url
    """Where the issuer's public keys are published; `file:///path` for a file."""

    issuer: str
    """What `iss` must be."""

    audience: str
    """What `aud` must hold."""

    tenant_claim: str = "tenant"
    """The claim that names the tenant."""


class Mtls(Section):
    """Client certificates that carry a SPIFFE ID; `server.tls.client_ca_file` vouches for them."""

    trust_domain: str
    """The trust domain of every ID accepted."""

    tenants: dict[str, str] = Field(default_factory=dict)
    """The tenant of each SPIFFE ID."""


class Auth(Section):
    """Who may call. Everybody while no mode is set, nobody unknown once one is."""

    api_keys_file: str | None = None
    """A file of API keys: id, HMAC of the secret, tenant, allowed models, limits."""

    jwt: Jwt | None = None
    """Bearer tokens that somebody else issues."""

    mtls: Mtls | None = None
    """Client certificates that carry a SPIFFE ID."""

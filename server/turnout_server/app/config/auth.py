"""`auth`: who may call, and what. Everybody while no mode is set, nobody unknown once one is."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from turnout_server.app.config.section import Count, Reference, Section, Url, refusal


def _https_or_file(url: str) -> str:
    if not url.startswith(("https://", "file:///")):
        raise refusal("must be https://host/path or file:///path")
    return url


class AccessConfig(Section):
    """What a caller may do; what is not named is not limited."""

    models: list[str] | None = None
    """The models and aliases that it may name."""

    methods: list[Literal["Chat", "CompleteChat", "Embed", "EmbedStream"]] | None = None
    """The methods that it may call."""

    max_output_tokens: Count | None = None
    """The most that it may ask for, and what it gets where it asks for nothing."""

    priority: Literal["interactive", "batch"] = "interactive"
    """The highest priority of its calls; `batch` ones are shed first."""


class Jwt(Section):
    """Bearer tokens that somebody else issues, signed by RS256 to 512, ES256 to 512 or EdDSA."""

    jwks: Annotated[Url, AfterValidator(_https_or_file)]
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

    trusted_peers: list[str] = Field(default_factory=list)
    """SPIFFE IDs, such as a sidecar's, that may name any tenant in `x-tenant-id`."""

    @model_validator(mode="after")
    def _within_the_trust_domain(self) -> Self:
        root = f"spiffe://{self.trust_domain}/"
        for spiffe_id in (*self.tenants, *self.trusted_peers):
            if not spiffe_id.startswith(root):
                raise refusal(f"'{spiffe_id}' is not of this trust domain: IDs begin with {root}")
        return self


class Auth(Section):
    """Who may call, and what. Everybody while no mode is set, nobody unknown once one is."""

    api_keys_file: str | None = None
    """A file of API keys, a line of `turnout keys new` for each: id, HMAC of the secret, tenant,
    allowed models, limits."""

    api_keys_pepper: Reference | None = None
    """The secret under which those HMACs were made."""

    jwt: Jwt | None = None
    """Bearer tokens that somebody else issues."""

    mtls: Mtls | None = None
    """Client certificates that carry a SPIFFE ID."""

    tenants: dict[str, AccessConfig] = Field(default_factory=dict)
    """What each tenant may do, however it is known; `default` holds for those not named. A key's
    own rules narrow this further."""

    @model_validator(mode="after")
    def _keys_have_a_pepper(self) -> Self:
        if self.api_keys_file is not None and self.api_keys_pepper is None:
            raise refusal("api_keys_file needs api_keys_pepper: {env: NAME} or {file: PATH}")
        return self

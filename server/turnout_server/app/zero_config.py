"""What holds where the configuration is silent: the providers at hand, and `chat` and `embed`."""

from collections.abc import Iterable, Mapping

from turnout_server.app.config.models import AliasConfig, TargetConfig
from turnout_server.app.config.providers import ProviderConfig
from turnout_server.providers.catalogue import LOCAL, Catalogue, Row
from turnout_server.providers.keys import has_secret


def providers_at_hand(
    catalogue: Catalogue, environ: Mapping[str, str], *, with_local: bool
) -> dict[str, ProviderConfig]:
    """Every row whose key is in the environment and whose address is whole, then `local`."""
    names = [
        row.name
        for row in catalogue.rows.values()
        if row.key_env and not row.placeholders and has_secret(row.key_env, environ)
    ]
    if with_local:
        names.append(LOCAL)
    return {name: ProviderConfig() for name in names}


def default_aliases(
    providers: Mapping[str, ProviderConfig], catalogue: Catalogue
) -> dict[str, AliasConfig]:
    """`chat` and `embed`, each a chain of the default models of the providers; `local` is last."""
    rows = [(name, catalogue.find(config.row or name)) for name, config in providers.items()]
    known = sorted(
        ((name, row) for name, row in rows if row is not None),
        key=lambda pair: pair[1].name == LOCAL,
    )
    chains = {
        "chat": _chain((name, row.chat_model) for name, row in known),
        "embed": _chain((name, row.embed_model) for name, row in known),
    }
    return {name: AliasConfig(targets=chain) for name, chain in chains.items() if chain}


def key_variables(catalogue: Catalogue) -> list[str]:
    """The environment variables that make a provider appear, in the order of the catalogue."""
    rows: Iterable[Row] = catalogue.rows.values()
    return [row.key_env for row in rows if row.key_env and not row.placeholders]


def _chain(models: Iterable[tuple[str, str]]) -> list[TargetConfig]:
    return [TargetConfig(target=f"{name}/{model}") for name, model in models if model]

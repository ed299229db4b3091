"""Callers of several tenants, and models that cost something."""

import json
from dataclasses import replace
from pathlib import Path

from turnout_server.app.settings import Settings
from turnout_server.core.target import Endpoint, ModelCard, Price, Secret
from turnout_server.rpc.api_keys import new_key

PEPPER = "canary-pepper"
_KEY = new_key(Secret(PEPPER))
TOKEN_NANO_USD = 1000
Metadata = tuple[tuple[str, str], ...]


def auth(folder: Path) -> str:
    """The section that lets one key act for any tenant; needs `PEPPER` in the environment."""
    file = folder / "keys.json"
    entry = {"id": _KEY.id, "hmac": _KEY.digest.hex(), "tenant": "default", "may_act_for": ["*"]}
    file.write_text(json.dumps({"keys": [entry]}))
    return f"auth: {{api_keys_file: {file}, api_keys_pepper: {{env: PEPPER}}}}\n"


def tenant(name: str, *more: tuple[str, str]) -> Metadata:
    """What a caller of a tenant sends."""
    return (("authorization", f"Bearer {_KEY.text}"), ("x-tenant-id", name), *more)


def priced(settings: Settings) -> Settings:
    """Every model costs TOKEN_NANO_USD a token."""
    routes = settings.routes
    price = Price(input=TOKEN_NANO_USD * 1000, output=TOKEN_NANO_USD * 1000)

    def card_of(endpoint: Endpoint, model: str) -> ModelCard:
        return replace(routes.card_of(endpoint, model), price=price)

    aliases = {
        name: replace(
            alias,
            targets=tuple(
                replace(target, card=card_of(target.endpoint, target.model))
                for target in alias.targets
            ),
        )
        for name, alias in routes.aliases.items()
    }
    return replace(settings, routes=replace(routes, aliases=aliases, card_of=card_of))

"""One configuration, whole: a call keeps the snapshot it began with until it ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from turnout_server.policy.routes import Routes
from turnout_server.providers.provider import Provider


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`providers` holds one client per endpoint name of `routes`."""

    routes: Routes
    providers: Mapping[str, Provider]


Current = Callable[[], Snapshot]

"""Makes endpoints of the configured providers: row, address, keys, limits, options."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout_server.app.config.document import Document, Path
from turnout_server.app.config.problem import Problem
from turnout_server.app.config.providers import ProviderConfig
from turnout_server.core.target import Endpoint, Key, Timeouts, UpstreamLimits
from turnout_server.providers.catalogue import LOCAL, Catalogue, CatalogueError, Row, did_you_mean
from turnout_server.providers.keys import MissingSecret, SecretRef, read_key
from turnout_server.providers.registry import check_options

_COMPATIBLE = "for a server that speaks OpenAI's API, set row: openai_compatible and base_url"


@dataclass(slots=True)
class Endpoints:
    """The endpoints that could be made, and why the others could not."""

    by_name: dict[str, Endpoint] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class EndpointMaker:
    """Makes endpoints of one document. Without `read_secrets` they have no keys."""

    def __init__(
        self,
        document: Document,
        catalogue: Catalogue,
        environ: Mapping[str, str],
        *,
        read_secrets: bool = True,
    ) -> None:
        self._document = document
        self._catalogue = catalogue
        self._environ = environ
        self._read_secrets = read_secrets
        self._made = Endpoints()

    def make(self, providers: Mapping[str, ProviderConfig]) -> Endpoints:
        """Make every endpoint; loads the wires that they speak, and those wires' SDKs."""
        for name, config in providers.items():
            row = self._catalogue.find(config.row or name)
            if row is None:
                self._blame_row(name, config)
                continue
            found = len(self._made.problems)
            endpoint = self._endpoint(name, config, row)
            if len(self._made.problems) == found:
                self._made.by_name[name] = endpoint
        return self._made

    def _endpoint(self, name: str, config: ProviderConfig, row: Row) -> Endpoint:
        limits, timeouts = config.limits, config.timeouts
        return Endpoint(
            name=name,
            row=row.name,
            wire=row.wire,
            base_url=self._base_url(name, config, row),
            keys=self._keys(name, config, row),
            timeouts=Timeouts(
                connect_s=timeouts.connect,
                first_output_s=timeouts.first_output,
                stall_s=timeouts.stall,
                total_s=timeouts.total,
            ),
            limits=UpstreamLimits(rpm=limits.rpm, tpm=limits.tpm, concurrency=limits.concurrency),
            headers={**row.headers, **config.headers},
            options=self._options(name, config, row),
        )

    def _blame_row(self, name: str, config: ProviderConfig) -> None:
        wanted = config.row or name
        hint = did_you_mean(wanted, self._catalogue.rows) or f"; {_COMPATIBLE}"
        path = (name, "row") if config.row else (name,)
        self._blame(path, f"the catalogue has no row '{wanted}'{hint}")

    def _base_url(self, name: str, config: ProviderConfig, row: Row) -> str:
        known = () if config.base_url else row.placeholders
        for variable in config.variables:
            if variable not in known:
                hint = did_you_mean(variable, known)
                message = f"the address has no place for '{variable}'{hint}"
                self._blame((name, "variables", variable), message)
        if missing := [one for one in known if not config.variables.get(one)]:
            wanted = ", ".join(f"{one}: …" for one in missing)
            self._blame((name,), f"needs variables: {{{wanted}}} for {row.base_url}")
            return ""
        url = config.base_url or row.base_url.format(**config.variables)
        if not url and row.name != LOCAL:
            self._blame((name,), f"needs base_url: row {row.name} has no address of its own")
        return url

    def _keys(self, name: str, config: ProviderConfig, row: Row) -> tuple[Key, ...]:
        if not self._read_secrets:
            return ()
        if config.keys is None:
            return self._own_key(name, row)
        keys: list[Key] = []
        for index, reference in enumerate(config.keys):
            path = (name, "keys", index)
            try:
                key = read_key(reference.secret_ref, self._environ)
            except MissingSecret as missing:
                self._blame(path, str(missing))
                continue
            if any(other.id == key.id for other in keys):
                self._blame(path, f"{key.id} is named twice; name each key once")
            keys.append(key)
        return tuple(keys)

    def _own_key(self, name: str, row: Row) -> tuple[Key, ...]:
        if not row.key_env:
            return ()
        try:
            return (read_key(SecretRef(env=row.key_env), self._environ),)
        except MissingSecret as missing:
            self._blame((name,), f"{missing}, or name keys: [{{env: …}}], or keys: [] for none")
            return ()

    def _options(self, name: str, config: ProviderConfig, row: Row) -> dict[str, object]:
        options = {**row.options, **config.options}
        try:
            check_options(row.wire, options)
        except CatalogueError as error:
            self._blame((name, "options"), str(error))
        return options

    def _blame(self, path: Path, message: str) -> None:
        self._made.problems.append(self._document.problem(("providers", *path), message))

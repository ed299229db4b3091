"""`turnout models` and `turnout providers`: what can be called, and how it fares."""

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

from turnout.v1 import model_service_pb2 as pb
from turnout.v1.model_service_pb2_grpc import ModelServiceStub

from turnout_server.app.cli.call_failure import reason_name
from turnout_server.app.cli.complaint import Complaint
from turnout_server.app.cli.connection import Connection, connect
from turnout_server.app.cli.output import milliseconds, print_json, print_table
from turnout_server.app.config.environment import models_folder


def models(options: argparse.Namespace) -> int:
    """List the models that the server knows, or fetch the embedded ones."""
    if options.action == "fetch":
        return _fetch()
    with connect(options) as connection:
        call = ModelServiceStub(connection.channel).ListModels
        found = list(_pages(connection, call, pb.ListModelsRequest(), "models"))
    if options.json:
        for model in found:
            print_json(model)
    else:
        print_table(["model", "window", "can", "targets"], map(_model_row, found))
    return 0


def providers(options: argparse.Namespace) -> int:
    """List the providers and the state that the server sees them in."""
    with connect(options) as connection:
        call = ModelServiceStub(connection.channel).ListProviders
        found = list(_pages(connection, call, pb.ListProvidersRequest(), "providers"))
    if options.json:
        for provider in found:
            print_json(provider)
    else:
        heads = ["provider", "circuit", "in flight", "errors %", "p50 ms", "p95 ms", "last failure"]
        print_table(heads, map(_provider_row, found))
    return 0


def _pages(
    connection: Connection, call: Callable[..., Any], request: Any, field: str
) -> Iterator[Any]:
    while True:
        page = call(request, timeout=connection.timeout_s, metadata=connection.metadata)
        yield from getattr(page, field)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _model_row(model: pb.Model) -> tuple[object, ...]:
    can = [
        pb.Capability.Name(one).removeprefix("CAPABILITY_").lower() for one in model.capabilities
    ]
    targets = [f"{target.provider}/{target.model}" for target in model.targets]
    return model.name, model.context_window or "-", " ".join(can), ", ".join(targets)


def _provider_row(provider: pb.ProviderStatus) -> tuple[object, ...]:
    return (
        provider.provider,
        pb.CircuitState.Name(provider.state).removeprefix("CIRCUIT_STATE_").lower(),
        provider.in_flight,
        f"{provider.error_rate * 100:.1f}",
        milliseconds(provider.p50_time_to_first_output),
        milliseconds(provider.p95_time_to_first_output),
        reason_name(provider.last_failure) if provider.last_failure else "",
    )


def _fetch() -> int:
    from turnout_server.providers.local import models as local

    folder = models_folder()
    for model in local.MODELS:
        try:
            path = local.fetch(model, folder, _show_progress)
        except local.ModelFileError as error:
            raise Complaint(str(error), exit_status=1) from None
        print(f"{path}: {model.size_bytes / 1e6:.0f} MB, {model.licence}, verified")
    return 0


def _show_progress(name: str, done_bytes: int, size_bytes: int) -> None:
    if not sys.stderr.isatty():
        return
    share = done_bytes / size_bytes if size_bytes else 0.0
    bar = ("█" * round(share * 30)).ljust(30, "░")
    end = "\n" if done_bytes >= size_bytes else ""
    print(f"\r{name} {bar} {share:4.0%}", end=end, file=sys.stderr, flush=True)

"""One llama.cpp server in a process of its own: `python -m turnout_server.providers.local.child`.

It lives as long as its standard input is open, so it cannot outlast a parent that was killed.
"""

import argparse
import os
import sys
from typing import Any

READY = b"turnout: model is loaded\n"
"""Printed to standard output once requests are answered; until then llama.cpp answers 503."""

_ERRORS_ONLY = 1
# Larger than any text sent: a longer one would be refused as a server's error (500), not as the
# caller's (400, exceed_context_size_error). Memory follows the context, not this figure.
_EMBED_BATCH_TOKENS = 65_536


def main() -> None:
    """Load the model, say so, and serve until standard input ends."""
    import xllamacpp

    server = xllamacpp.Server(_server_params(xllamacpp.CommonParams(), _parse_arguments()))
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    sys.stdin.buffer.read()
    assert server is not None  # its destructor stops it
    # Not an ordinary exit, which would wait for answers that nobody reads any more.
    os._exit(0)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="turnout-local-model")
    parser.add_argument("--model", required=True, help="path of a GGUF file")
    parser.add_argument("--name", required=True, help="the model's name in answers")
    parser.add_argument("--task", required=True, choices=("chat", "embed"))
    parser.add_argument("--port", required=True, type=int, help="on 127.0.0.1")
    parser.add_argument("--context-tokens", required=True, type=int, help="of each request")
    parser.add_argument("--parallel", required=True, type=int, help="requests answered at once")
    parser.add_argument("--threads", required=True, type=int)
    return parser.parse_args()


def _server_params(params: Any, arguments: argparse.Namespace) -> Any:
    params.model.path = arguments.model
    params.model_alias = {arguments.name}
    params.hostnames = ["127.0.0.1"]
    params.port = arguments.port
    params.reuse_port = True  # the parent keeps the port reserved between two lives of the child
    params.cpuparams.n_threads = arguments.threads
    params.cpuparams_batch.n_threads = arguments.threads
    params.n_parallel = arguments.parallel
    params.n_ctx = arguments.context_tokens * arguments.parallel
    params.cache_ram_mib = 0  # by default up to 8 GiB of earlier prompts
    params.ui = False
    params.endpoint_slots = False  # it shows other callers' prompts
    params.verbosity = _ERRORS_ONLY
    if arguments.task == "embed":
        params.embedding = True
        params.n_batch = params.n_ubatch = _EMBED_BATCH_TOKENS
    return params


if __name__ == "__main__":
    main()

"""serve, check-config, config-schema, demo: the commands that need no running server."""

import argparse
import sys

from turnout_server.app.config.schema import json_schema
from turnout_server.app.settings import read_settings


def serve(options: argparse.Namespace) -> int:
    """Run the server until it is told to stop."""
    settings = read_settings(options.config)
    # Everything the server needs, which no other command should wait for.
    from turnout_server.app import serve as server
    from turnout_server.app.workers import Worker

    worker = Worker.parse(options.worker) if options.worker else None
    return server.serve(settings, options.config, worker)


def check_config(options: argparse.Namespace) -> int:
    """Check a file and say what it amounts to."""
    settings = read_settings(options.file, read_secrets=not options.without_secrets)
    routes = settings.routes
    print(f"{options.file}: ok: {len(routes.endpoints)} providers, {len(routes.aliases)} aliases")
    return 0


def config_schema(_options: argparse.Namespace) -> int:
    """Print the JSON schema."""
    sys.stdout.write(json_schema())
    return 0


def demo(options: argparse.Namespace) -> int:
    """Serve without a configuration and prove that it works."""
    from turnout_server.app import demo as demonstration

    return demonstration.demo(once=options.once)

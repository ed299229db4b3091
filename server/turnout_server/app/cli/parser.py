"""Which commands there are and what they take."""

import argparse
import difflib
import sys
from pathlib import Path
from typing import NoReturn

from turnout_server.app.cli import calls, chat, documents, embed, keys, operate, usage
from turnout_server.app.cli.complaint import complain
from turnout_server.app.config.environment import client_address
from turnout_server.app.config.units import Seconds
from turnout_server.core.call import Method


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest command and where to look."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message}; see {self.prog} --help")
        sys.exit(2)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            close = difflib.get_close_matches(str(value), known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
            what = "command" if isinstance(action, argparse._SubParsersAction) else "value"
            raise argparse.ArgumentError(None, f"no {what} '{value}'; {hint}")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; `run` of its result is the function to call."""
    top = _Parser(prog="turnout", description="A gRPC gateway for large language models.")
    top.set_defaults(address=client_address())
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _add_operating(commands)
    _add_calling(commands)
    return top


def _add_operating(commands: "argparse._SubParsersAction[_Parser]") -> None:
    serve = commands.add_parser("serve", help="run the server")
    serve.add_argument("--config", type=Path, metavar="FILE", help="YAML; none for the defaults")
    # What a parent tells its workers; nobody types it.
    serve.add_argument("--worker", default="", help=argparse.SUPPRESS)
    serve.set_defaults(run=operate.serve)

    check = commands.add_parser("check-config", help="check a configuration file strictly")
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument(
        "--without-secrets",
        action="store_true",
        help="do not ask for the keys and certificates that it refers to",
    )
    check.set_defaults(run=operate.check_config)

    schema = commands.add_parser("config-schema", help="print the configuration's JSON schema")
    schema.set_defaults(run=operate.config_schema)

    _add_keys(commands)

    demo = commands.add_parser("demo", help="serve without a configuration and prove that it works")
    demo.add_argument("--once", action="store_true", help="end after the proof")
    demo.set_defaults(run=operate.demo)

    docs = commands.add_parser("docs", help="write the generated pages of this repository")
    docs.add_argument("--check", action="store_true", help="fail where one differs; write nothing")
    docs.set_defaults(run=documents.docs)


def _add_keys(commands: "argparse._SubParsersAction[_Parser]") -> None:
    new = commands.add_parser("keys", help="make API keys")
    new.add_argument("action", choices=["new"])
    new.add_argument("--tenant", metavar="T", required=True, help="whose calls it makes")
    new.add_argument("--model", action="append", metavar="M", help="may be used; all without it")
    new.add_argument("--method", action="append", choices=[str(method) for method in Method])
    new.add_argument("--max-output-tokens", type=int, metavar="N")
    new.add_argument("--priority", choices=["interactive", "batch"], help="the highest it may have")
    new.add_argument("--act-for", action="append", metavar="T", help="a tenant, or * for any")
    new.add_argument(
        "--pepper",
        metavar="REF",
        default=keys.DEFAULT_PEPPER,
        help="the secret of auth.api_keys_pepper: env:NAME or file:PATH (%(default)s)",
    )
    new.add_argument("--json", action="store_true", help="key and line as one JSON object")
    new.set_defaults(run=keys.keys)


def _add_calling(commands: "argparse._SubParsersAction[_Parser]") -> None:
    ask = commands.add_parser("chat", help="stream an answer")
    ask.add_argument("model", metavar="MODEL", help="an alias, or provider/model")
    ask.add_argument("text", metavar="TEXT", nargs="?", help="the question; stdin without it")
    ask.add_argument("--system", metavar="S", default="", help="instructions before the question")
    ask.add_argument("--max-output-tokens", type=int, metavar="N")
    _add_connection(ask)
    ask.set_defaults(run=chat.chat)

    vectors = commands.add_parser("embed", help="embed texts and compare them")
    vectors.add_argument("model", metavar="MODEL", help="an alias, or provider/model")
    vectors.add_argument("texts", metavar="TEXT", nargs="+")
    vectors.add_argument("--dimensions", type=int, default=0, metavar="N")
    _add_connection(vectors)
    vectors.set_defaults(run=embed.embed)

    models = commands.add_parser("models", help="list models, or fetch the embedded ones")
    models.add_argument("action", nargs="?", choices=["list", "fetch"], default="list")
    _add_connection(models)
    models.set_defaults(run=calls.models)

    providers = commands.add_parser("providers", help="list providers and how they fare")
    _add_connection(providers)
    providers.set_defaults(run=calls.providers)

    used = commands.add_parser("usage", help="sum up what was used")
    used.add_argument("--by", action="append", choices=sorted(usage.DIMENSIONS), default=[])
    used.add_argument("--label", metavar="KEY", default="", help="the label, with --by label")
    used.add_argument("--since", type=_duration, metavar="AGE", default=Seconds.parse("1d"))
    used.add_argument("--bucket", type=_duration, metavar="LENGTH", default=Seconds.parse("1h"))
    _add_connection(used)
    used.set_defaults(run=usage.usage)


def _add_connection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one JSON object a line")
    command.add_argument(
        "--address", metavar="A", default=client_address(), help="the server (%(default)s)"
    )
    command.add_argument("--ca-file", type=Path, metavar="FILE", help="speak TLS, trusting these")
    command.add_argument("--timeout", type=_duration, default=Seconds.parse("5m"))


def _duration(text: str) -> Seconds:
    try:
        return Seconds.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' {error}") from None

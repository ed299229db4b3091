"""`turnout keys new`: makes an API key, shown once, and the line that the server needs of it."""

import argparse
import json

from turnout_server.app.cli.complaint import Complaint
from turnout_server.app.config.environment import environment
from turnout_server.providers.keys import MissingSecret, SecretRef, read_secret
from turnout_server.rpc.api_keys import new_key

DEFAULT_PEPPER = "env:TURNOUT_PEPPER"


def keys(options: argparse.Namespace) -> int:
    """Print a new key and its entry for `auth.api_keys_file`."""
    try:
        pepper = read_secret(_pepper_ref(options.pepper), environment())
    except MissingSecret as missing:
        reason = f"no pepper: {missing}; it is what auth.api_keys_pepper refers to"
        raise Complaint(reason, exit_status=2) from None
    key = new_key(pepper)
    rules = {
        "models": options.model,
        "methods": options.method,
        "max_output_tokens": options.max_output_tokens,
        "priority": options.priority,
        "may_act_for": options.act_for,
    }
    entry = {"id": key.id, "hmac": key.digest.hex(), "tenant": options.tenant}
    entry |= {name: value for name, value in rules.items() if value}
    if options.json:
        print(json.dumps({"key": key.text, "entry": entry}, ensure_ascii=False))
        return 0
    print(f"The key, shown once and kept nowhere:\n\n  {key.text}\n")
    print("Its line in the file that auth.api_keys_file names, under `keys:`\n")
    print(f"  - {json.dumps(entry, ensure_ascii=False)}")
    return 0


def _pepper_ref(text: str) -> SecretRef:
    kind, _, where = text.partition(":")
    if kind not in ("env", "file") or not where:
        raise Complaint("--pepper must be env:NAME or file:PATH", exit_status=2)
    return SecretRef(env=where) if kind == "env" else SecretRef(file=where)

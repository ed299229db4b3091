"""What the table's `gateway` keys make of it: the aliases that serve the cases, and what is wanted.

A case's `gateway` holds either `cannot`, the reason why a real gateway never does this, or what it
serves the case with: `scripts`, one target of the scripted provider each, `max_attempts`; and what
differs from the case's own `api_key` (a key by its name here), `client` and `want`, where null
takes away what is wanted of the scripted server alone.
"""

from collections.abc import Mapping
from typing import Any

Case = dict[str, Any]


def served(cases: list[Case]) -> list[Case]:
    """The cases that a real gateway can serve."""
    return [case for case in cases if "cannot" not in case["gateway"]]


def aliases(cases: list[Case]) -> dict[str, Any]:
    """`models` of the configuration."""
    made: dict[str, Any] = {
        "chat": {"targets": ["scripted/say:hello"]},
        "embed": {"targets": ["scripted/vectors"]},
    }
    for case in served(cases):
        given = case["gateway"]
        if given.get("scripts"):
            made[f"smoke:{case['name']}"] = {
                "targets": [f"scripted/{script}" for script in given["scripts"]],
                "retry": {"max_attempts": given.get("max_attempts", 3)},
            }
    return made


def table(cases: list[Case], keys: Mapping[str, str]) -> dict[str, Any]:
    """The table as a client reads it, with what is wanted of a real gateway."""
    return {"version": 1, "cases": [_case(case, keys) for case in served(cases)]}


def _case(case: Case, keys: Mapping[str, str]) -> Case:
    given = case["gateway"]
    changed = {key: value for key, value in case.items() if key not in ("server", "gateway")}
    if "api_key" in given:
        changed["api_key"] = keys[given["api_key"]]
    for key in ("client", "want"):
        if key in given:
            changed[key] = _merged(case[key], given[key])
    return changed


def _merged(old: Any, new: Any) -> Any:
    """RFC 7396, JSON Merge Patch."""
    if not isinstance(new, dict):
        return new
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged

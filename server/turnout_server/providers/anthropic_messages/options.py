"""What a catalogue row may say about this wire, with the Claude models' own ways as defaults."""

import re
from functools import cache
from typing import Literal

import msgspec


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What the options say of one model."""

    adaptive_thinking: bool = False
    fixed_sampling: bool = False
    system_turns: bool = False


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one provider differs from the others on this wire. Every key is a key of its row.

    All but `auth` are regular expressions, searched for in a model's name. Names that none of them
    knows get the ways of the older models, which every server that speaks this wire has learnt: a
    thinking budget, sampling parameters, no system turn after the first.
    """

    auth: Literal["bearer", "x-api-key"] = "bearer"
    """The header of the key: `authorization: Bearer …` or `x-api-key: …`."""

    adaptive_thinking: str = r"claude-([a-z]+-4-[6-9]|[a-z]+-[5-9](?!\d)|mythos)"
    """Models that take an effort and decide themselves how long to think, without a budget."""

    fixed_sampling: str = r"claude-(opus-4-[7-9]|[a-z]+-[5-9](?!\d)|mythos)"
    """Models that refuse temperature, top_p and top_k."""

    system_turns: str = r"claude-(opus-4-[89]|(opus|fable|mythos)-[5-9](?!\d))"
    """Models that take a system turn inside the conversation."""

    def __post_init__(self) -> None:
        for name in Traits.__struct_fields__:
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                raise ValueError(f"{name} is not a regular expression: {error}") from None


@cache
def traits_of(options: Options, model: str) -> Traits:
    """Match one model's name against the options."""
    return Traits(
        **{
            name: re.search(getattr(options, name), model) is not None
            for name in Traits.__struct_fields__
        }
    )

"""Walks the types of the configuration's tree, for documentation and for a key's neighbours."""

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from turnout_server.app.config.document import Path


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a type is or may be: through `| None`, lists and mappings."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        arguments = arguments[1:]
    return next((found for one in arguments if (found := section_in(one))), None)


def is_mapping(annotation: Any) -> bool:
    """Whether the keys of a type are the operator's own names."""
    return typing.get_origin(_without_none(annotation)) is dict


def is_list(annotation: Any) -> bool:
    """Whether a type is a list."""
    return typing.get_origin(_without_none(annotation)) is list


def section_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The section that stands at a path of a document; None where there is none."""
    here: type[BaseModel] | None = root
    own_name = False
    for part in path:
        if own_name or isinstance(part, int):  # a key of a mapping: the same section
            own_name = False
            continue
        if here is None or part not in here.model_fields:
            return None
        annotation = here.model_fields[part].annotation
        own_name = is_mapping(annotation)
        here = section_in(annotation)
    return here


def leaves(
    root: type[BaseModel], prefix: str = ""
) -> Iterator[tuple[str, FieldInfo, type[BaseModel] | None]]:
    """Every key with its dotted path, its field and the section under it, in the file's order."""
    for name, info in root.model_fields.items():
        path = f"{prefix}{name}"
        section = section_in(info.annotation)
        yield path, info, section
        if section is not None:
            below = ".<name>" if is_mapping(info.annotation) else ""
            index = "[]" if is_list(info.annotation) else ""
            yield from leaves(section, f"{path}{below}{index}.")


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        rest = [one for one in typing.get_args(annotation) if one is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation

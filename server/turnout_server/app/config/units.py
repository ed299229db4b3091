"""Durations, sizes and shares as people write them; a number without a unit is refused.

Each type is a plain number in the unit of its name, and prints as it would be written.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z%]*)")


class Quantity:
    """A number with a unit, to be mixed into the number's type."""

    units: ClassVar[Mapping[str, float]]
    example: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a quantity; raises ValueError with what it should look like."""
        match = _AMOUNT.fullmatch(text.strip())
        unit = cls.units.get(match[2]) if match else None
        if match is None or unit is None:
            units = ", ".join(cls.units)
            raise ValueError(f"must be a number with a unit ({units}), such as {cls.example}")
        return cls(float(match[1]) * unit)  # type: ignore[call-arg]  # the number's own constructor

    def __str__(self) -> str:
        amount = float(self)  # type: ignore[arg-type]  # mixed into a number
        fitting = [(unit, size) for unit, size in self.units.items() if amount >= size]
        unit, size = fitting[-1] if fitting else next(iter(self.units.items()))
        return f"{amount / size:g}{unit}"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        units = "|".join(map(re.escape, cls.units))
        pattern = rf"^\d+(\.\d+)?\s*({units})$"
        return {"type": "string", "pattern": pattern, "examples": [cls.example]}

    @classmethod
    def _read(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        try:
            return cls.parse(str(value))
        except ValueError as error:
            raise PydanticCustomError("quantity", "{message}", {"message": str(error)}) from None


class Seconds(Quantity, float):
    """A duration."""

    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}  # noqa: RUF012
    example = "30s"


class Bytes(Quantity, int):
    """A size."""

    units = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}  # noqa: RUF012
    example = "256MiB"


class Share(Quantity, float):
    """A part of a whole, from 0 to 1."""

    units = {"%": 0.01}  # noqa: RUF012
    example = "5%"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a percentage up to 100; raises ValueError with what it should look like."""
        share = super().parse(text)
        if share > 1:
            raise ValueError("must be 100% or less")
        return share

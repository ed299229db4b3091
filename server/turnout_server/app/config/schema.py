"""The configuration's JSON schema, for editors and for checks outside this program."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from turnout_server.app.config.tree import Config


class _Untitled(GenerateJsonSchema):
    """Leaves out titles that only repeat the key."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False


def json_schema() -> str:
    """The schema as text that ends with a line break."""
    schema = Config.model_json_schema(schema_generator=_Untitled)
    schema = {"$schema": GenerateJsonSchema.schema_dialect, "title": "turnout.yaml"} | schema
    schema["title"] = "turnout.yaml"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"

"""The reference page and the schema for editors, both made from `schema`.

``python -m posthouse.config.reference > docs/reference/configuration.md`` writes the page anew,
with ``--schema`` the schema; tests/config/test_reference.py says when that is due.
"""

import json
import sys
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from posthouse.config.anatomy import SECTIONS
from posthouse.config.catalogue import EXPLANATIONS
from posthouse.config.schema import Configuration
from posthouse.config.units import format_duration, format_rate, format_size
from posthouse.policy.rules import Budget

_HEAD: Final = """\
# Configuration reference

Generated from `posthouse.config.schema`; do not edit.

One TOML file, in the order of a message's life. A section that is absent has its defaults, and
the defaults alone make a complete, safe server. Rules are sets: their order never matters. Unknown
keys are errors. `posthouse check FILE` shows everything that is wrong, and `posthouse explain CODE`
tells more about each finding.

| Kind of value | Written |
|---|---|
| duration | `"30 min"`: a whole number and `s`, `min`, `h`, `days` or `weeks` |
| size | `"25 MB"`: a whole number and `B`, `KB`, `MB`, `GB` (thousands), `KiB`, `MiB`, `GiB` |
| rate | `"500 per hour"`, `"10 per 10 min"` |
| network | `"192.0.2.0/24"`, `"192.0.2.7"`, `"192.0.2.7-192.0.2.20"`; IPv6 alike |
| date | `2026-06-30` is that whole day in UTC; `2026-06-30T18:00:00+09:00` is a moment; no quotes |
| domain | `"example.com"`; international names in their own script or as `xn--` |
| secret | never in this file: `password_file = "/run/secrets/name"` |
"""


class _Generator(GenerateJsonSchema):
    """Writes defaults as an operator would."""

    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        if isinstance(dft, Budget):
            return format_rate(dft)
        if isinstance(dft, timedelta):
            return format_duration(dft)
        return str(dft) if isinstance(dft, Struct) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors that complete and underline."""
    schema = Configuration.model_json_schema(by_alias=True, schema_generator=_Generator)
    cleaned: dict[str, Any] = _without_null(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "posthouse.toml",
        **cleaned,
    }


def json_schema_text() -> str:
    """Return `json_schema` as text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def reference() -> str:
    """Return the reference page: every section, every key, every code."""
    parts = [_HEAD]
    parts += [_section(heading, section) for heading, section in SECTIONS.items()]
    parts.append("## Codes\n\n| Code | Meaning |\n|---|---|")
    parts += [f"| {code} | {_cell(text)} |" for code, text in sorted(EXPLANATIONS.items())]
    return "\n".join(parts) + "\n"


def _without_null(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """TOML has no null: a key that may be absent is left out instead."""
    if isinstance(schema, list):
        return [_without_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: value
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and not value)
    }
    if kept.get("type") == "string" and isinstance(kept.get("default"), int):
        kept["default"] = format_size(kept["default"])  # the one number written as text
    options = [each for each in kept.get("anyOf", ()) if each != {"type": "null"}]
    if len(options) == 1:
        del kept["anyOf"]
        kept = {**options[0], **kept}
    return {key: _without_null(value) for key, value in kept.items()}


def _section(heading: str, section: type[BaseModel]) -> str:
    name, _, who = heading.partition(" ")
    title = "Top of the file"
    if heading:
        title = f"`[[{name}]]`" if _is_list(name) else f"`[{name}]`"
        title += f' with `who = "{who}"`' if who else ""
    schema = _without_null(section.model_json_schema(by_alias=True, schema_generator=_Generator))
    definitions = schema.get("$defs", {})
    required = schema.get("required", [])
    rows = [
        f"| `{key}` | {_cell(_kind(entry, definitions))} |"
        f" {_cell('required' if key in required else _default(entry))} |"
        f" {_cell(_meaning(entry, definitions))} |"
        for key, entry in schema["properties"].items()
    ]
    means = " ".join((section.__doc__ or "").split())
    head = [
        f"\n## {title}\n\n{means}\n",
        "| Key | Value | Default | Meaning |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows])


def _is_list(name: str) -> bool:
    return name in ("may_relay", "outbound.route", "screening", "test")


def _kind(entry: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What may stand there, in few words."""
    entry = {**_definition(entry, definitions), **entry}
    if "enum" in entry or "const" in entry:
        return ", ".join(f'`"{each}"`' for each in entry.get("enum", [entry.get("const")]))
    if entry.get("type") == "array":
        of = _kind(entry["items"], definitions)
        return "list of tables" if of == "table" else f"list of {of}"
    if entry.get("type") == "object" or "oneOf" in entry:
        return "table"
    if examples := entry.get("examples"):
        shown = examples[0]
        dated = shown[:4].isdigit() and shown[4:5] == "-"
        return "text" if shown == "text" else f"`{shown}`" if dated else f'`"{shown}"`'
    if options := entry.get("anyOf"):
        return " or ".join(_kind(each, definitions) for each in options)
    return {"integer": "number", "boolean": "`true`, `false`"}.get(entry.get("type", ""), "text")


def _definition(entry: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definitions.get(entry.get("$ref", "").rpartition("/")[2], {})
    return found


def _meaning(entry: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A meaning that is word for word that of the table is given once by pydantic."""
    return str(entry.get("description") or _definition(entry, definitions)["description"])


def _default(entry: dict[str, Any]) -> str:
    value = entry.get("default")
    if value in (None, "", [], {}) or isinstance(value, dict):
        return ""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(json_schema_text() if "--schema" in sys.argv else reference())

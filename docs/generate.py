"""Make the generated pages again: `make docs`. Tests check that they are in step with the code."""

from pathlib import Path

from posthouse.config.reference import json_schema_text
from posthouse.config.reference import reference as configuration
from posthouse.policy.reference import reference as reasons
from posthouse.telemetry.reference import events_page as events

REFERENCE = Path(__file__).parent / "reference"
PAGES = {
    "configuration.md": configuration,
    "posthouse.schema.json": json_schema_text,
    "events.md": events,
    "reasons.md": reasons,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""From the text of a configuration file to its values, or to everything that is wrong with it."""

from msgspec import Struct
from pydantic import ValidationError

from posthouse.config.diagnostic import ConfigurationError
from posthouse.config.duplicates import duplicates
from posthouse.config.schema import Configuration
from posthouse.config.spans import Spans
from posthouse.config.syntax import decode, parse
from posthouse.config.wrong_values import diagnose

__all__ = ["Loaded", "decode", "load"]


class Loaded(Struct, frozen=True):
    """A configuration that may be used, and where each part of it stands.

    Attributes:
        configuration: All values, defaults filled in.
        spans: Where they stand in the text.
        name: Of the file, for traces.
    """

    configuration: Configuration
    spans: Spans
    name: str


def load(text: str, name: str = "posthouse.toml") -> Loaded:
    """Return the configuration that `text` is.

    Raises:
        ConfigurationError: With every error there is, in the order of the lines. A text that is
            no TOML gives one only: what follows it cannot be read.
    """
    text = text.removeprefix("\ufeff")
    raw = parse(text)
    spans = Spans(text)
    found = duplicates(raw, spans)
    configuration = None
    try:
        configuration = Configuration.model_validate(raw)
    except ValidationError as problem:
        found += diagnose(problem.errors(include_url=False), spans)
    if found or configuration is None:
        raise ConfigurationError(tuple(sorted(found, key=lambda each: (each.line, each.column))))
    return Loaded(configuration, spans, name)

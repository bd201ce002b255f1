"""Posthouse: the mail relay that knows its people and explains itself."""

__version__ = "0.1.0"

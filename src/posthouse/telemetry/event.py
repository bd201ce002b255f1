"""What all log events have in common."""

from enum import StrEnum
from typing import ClassVar

from msgspec import Struct


class Level(StrEnum):
    """How much an event matters."""

    DEBUG = "debug"  # for looking closely
    INFO = "info"  # the ordinary course
    WARNING = "warning"  # somebody may want to look
    ERROR = "error"  # something of ours failed


class LogEvent(Struct, frozen=True):
    """Something that happened. The moment is added by the log."""

    name: ClassVar[str]
    level: ClassVar[Level] = Level.INFO

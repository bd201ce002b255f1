"""Values with units, as an operator writes them: ``30 min``, ``25 MB``, ``500 per hour``."""

import re
from datetime import timedelta
from typing import Final

from posthouse.config.words import quoted
from posthouse.policy.rules import Budget

DURATION_MAX: Final = timedelta(days=36_500)
COUNT_MAX: Final = 10**15

_DURATIONS: Final = {
    "s": 1, "sec": 1, "second": 1, "seconds": 1,
    "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600,
    "day": 86_400, "days": 86_400,
    "week": 604_800, "weeks": 604_800,
}  # fmt: skip
_SIZES: Final = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_NUMBER_AND_UNIT: Final = re.compile(r"([0-9]{1,15}) ?([A-Za-z]+)")
_RATE: Final = re.compile(r"([0-9]{1,15}) +per +(?:([0-9]{1,15}) ?)?([A-Za-z]+)")
_SLIPS: Final = {"m": "min", "mins": "min", "hr": "h", "hrs": "h", "d": "days", "w": "weeks"}
_WRITTEN: Final = ((604_800, "weeks"), (86_400, "days"), (3600, "h"), (60, "min"), (1, "s"))


class UnitError(ValueError):
    """Not such a value; `help` says what to write instead."""

    def __init__(self, message: str, help: str) -> None:  # noqa: A002 - as in `Diagnostic`
        super().__init__(message)
        self.help = help


def parse_duration(value: object) -> timedelta:
    """Return the duration that `value` (``30 min``, ``5 days``) means; seconds are the finest.

    Raises:
        UnitError: If it is no text of this form, nothing, or over 100 years.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        raise UnitError(
            "a duration needs a unit", f'write "{value} min", "{value} s" or "{value} h"'
        )
    if not isinstance(value, str):
        raise UnitError("this is no duration", 'write it as text with a unit, such as "30 min"')
    found = _NUMBER_AND_UNIT.fullmatch(value.strip())
    if not found or found[2].lower() not in _DURATIONS:
        raise UnitError(f"{quoted(value)} is no duration", _duration_help(value))
    seconds = int(found[1]) * _DURATIONS[found[2].lower()]
    if not 0 < seconds <= DURATION_MAX.total_seconds():
        raise UnitError(f"{quoted(value)} is out of range", "a duration is from 1 s to 36500 days")
    return timedelta(seconds=seconds)


def _duration_help(value: str) -> str:
    found = _NUMBER_AND_UNIT.fullmatch(value.strip())
    if found and found[2].lower() in _SLIPS:
        return f'did you mean "{found[1]} {_SLIPS[found[2].lower()]}"?'
    if value.strip().isascii() and value.strip().isdigit():
        return f'a duration needs a unit: "{value.strip()} min"'
    return 'units are s, min, h, days and weeks, such as "30 min"'


def format_duration(value: timedelta) -> str:
    """Return the duration in its largest whole unit; `parse_duration` reads it back."""
    seconds = int(value.total_seconds())
    for size, unit in _WRITTEN:
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit.removesuffix('s') if count == 1 and size > 60**2 else unit}"
    raise AssertionError("every whole number is a multiple of one")


def parse_size(value: object) -> int:
    """Return the octets that `value` (``25 MB`` is 25,000,000; ``1 MiB`` is 1,048,576) means.

    Raises:
        UnitError: If it is no text of this form, nothing, or too large to be meant.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        raise UnitError("a size needs a unit", f'write "{value} MB" or "{value} B"')
    if not isinstance(value, str):
        raise UnitError("this is no size", 'write it as text with a unit, such as "25 MB"')
    found = _NUMBER_AND_UNIT.fullmatch(value.strip())
    unit = _size_unit(found[2]) if found else ""
    if not found or not unit:
        raise UnitError(f"{quoted(value)} is no size", _size_help(value))
    octets = int(found[1]) * _SIZES[unit]
    if not 0 < octets <= COUNT_MAX:
        raise UnitError(f"{quoted(value)} is out of range", "a size is from 1 B to 1000 TB")
    return octets


def _size_unit(written: str) -> str:
    for unit in _SIZES:
        if unit.lower() == written.lower():
            return unit
    return ""


def _size_help(value: str) -> str:
    found = _NUMBER_AND_UNIT.fullmatch(value.strip())
    if found and (unit := _size_unit(found[2] + "B")):
        return f'did you mean "{found[1]} {unit}"?'
    return 'units are B, KB, MB, GB (and KiB, MiB, GiB), such as "25 MB"'


def format_size(octets: int) -> str:
    """Return the size in its largest whole unit; `parse_size` reads it back."""
    for unit, size in sorted(_SIZES.items(), key=lambda entry: -entry[1]):
        if octets % size == 0:
            return f"{octets // size} {unit}"
    raise AssertionError("every whole number is a multiple of one")


def parse_rate(value: object) -> Budget:
    """Return the budget that `value` (``500 per hour``, ``10 per 10 min``) means.

    Raises:
        UnitError: If it is no text of this form, or its period is nothing.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        raise UnitError("a rate needs its period", f'write "{value} per hour" or "{value} per day"')
    if not isinstance(value, str):
        raise UnitError("this is no rate", 'write it as text, such as "500 per hour"')
    found = _RATE.fullmatch(value.strip())
    if not found or found[3].lower() not in _DURATIONS:
        raise UnitError(f"{quoted(value)} is no rate", _rate_help(value))
    period = parse_duration(f"{found[2] or 1} {found[3]}")
    if int(found[1]) < 1:
        raise UnitError(
            f"{quoted(value)} allows nothing", 'write a number from 1, such as "1 per hour"'
        )
    return Budget(int(found[1]), period)


def _rate_help(value: str) -> str:
    found = re.fullmatch(r"([0-9]{1,15}) */ *([A-Za-z]+)", value.strip())
    if found:
        unit = _SLIPS.get(found[2].lower(), found[2].lower())
        if unit in _DURATIONS:
            one = unit.removesuffix("s") if unit in ("days", "weeks") else unit
            return f'did you mean "{found[1]} per {one}"?'
    return 'write a number, "per" and a time, such as "500 per hour" or "10 per 10 min"'


def format_rate(value: Budget) -> str:
    """Return the budget as it is written; `parse_rate` reads it back."""
    period = format_duration(value.period)
    return f"{value.count} per {period.removeprefix('1 ')}"

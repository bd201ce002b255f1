"""Records as lines of a zone file (RFC 1035 §5.1)."""

from typing import Final

STRING_OCTETS_MAX: Final = 255  # RFC 1035 §3.3: of one string in a text record


def zone_line(name: str, kind: str, value: str) -> str:
    """Return one line, or several in brackets where a text is long."""
    if kind != "TXT":
        return f"{name}. {kind} {value}"
    strings = [f'"{part}"' for part in text_strings(value)]
    if len(strings) == 1:
        return f"{name}. TXT {strings[0]}"
    return f"{name}. TXT (" + "".join(f"\n    {each}" for each in strings) + " )"


def text_strings(value: str) -> list[str]:
    """Return a text in pieces that fit into a record; readers join them again."""
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    step = STRING_OCTETS_MAX
    return [quoted[place : place + step] for place in range(0, len(quoted), step)] or [""]

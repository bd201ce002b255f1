"""The doctor's languages: gettext catalogues, read straight from their .po sources.

A .mo file would be a second, binary copy to build and to keep in step; the doctor has a few hundred
messages, and reading the .po takes milliseconds.
"""

import ast
import gettext
import re
from functools import cache
from importlib.resources import files
from typing import Final

LANGUAGES: Final = ("en", "zh_Hans")
_CHINESE: Final = re.compile(r"zh(?:$|[_-](?:hans|cn|sg))", re.IGNORECASE)
_STRING: Final = re.compile(r'^(msgid |msgstr )?("(?:[^"\\]|\\.)*")$')


class PoTranslations(gettext.NullTranslations):
    """Translations out of the text of a .po file; unknown messages stay as they are."""

    def __init__(self, po: str) -> None:
        super().__init__()
        self._messages = read_po(po)

    def gettext(self, message: str) -> str:
        """Return the translation of `message`, or `message`."""
        return self._messages.get(message) or message


def read_po(po: str) -> dict[str, str]:
    """Read message ids and their translations; the header entry is left out."""
    messages: dict[str, str] = {}
    texts, current = {"msgid": "", "msgstr": ""}, ""
    for line in [*po.splitlines(), ""]:
        match = _STRING.match(line.strip())
        if match is None:
            if texts["msgid"]:
                messages[texts["msgid"]] = texts["msgstr"]
            texts, current = {"msgid": "", "msgstr": ""}, ""
            continue
        current = (match[1] or current).strip()
        if current:
            texts[current] += ast.literal_eval(match[2])
    return messages


def language_of(wanted: str) -> str:
    """Return the language to use for a wish such as ``zh_CN.UTF-8``; English if there is none."""
    return "zh_Hans" if _CHINESE.match(wanted.split(".", maxsplit=1)[0]) else "en"


@cache
def translations(language: str) -> gettext.NullTranslations:
    """Return the translations for a language of `LANGUAGES`."""
    if language == "en":
        return gettext.NullTranslations()
    source = files("posthouse.doctor") / "locale" / f"{language}.po"
    return PoTranslations(source.read_text(encoding="utf-8"))

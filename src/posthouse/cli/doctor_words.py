"""The doctor's words on the command line: in the language that is wanted, with fields filled in."""

import os

from posthouse.cli.installation import current_options
from posthouse.doctor.catalogue import shipped
from posthouse.doctor.translation import language_of, translations


def wanted_language(lang: str) -> str:
    """Return the language: as said, or as the environment says."""
    environment = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return language_of(lang or current_options().lang or environment)


class Words:
    """Says the doctor's words.

    Args:
        language: One of `translation.LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._words = shipped().wordings.words
        self._translated = translations(language)

    def __call__(self, key: str, **fields: str) -> str:
        """Return the words for a key."""
        return self._translated.gettext(self._words[key]) % fields

    def text(self, message: str) -> str:
        """Return a translated text."""
        return self._translated.gettext(message)

"""What the doctor says, as read from data/advice.toml; every text is an English message id."""

from msgspec import Struct

from posthouse.doctor.causes import Cause
from posthouse.policy.reasons import Fixer


class CauseWording(Struct, frozen=True, forbid_unknown_fields=True):
    """How a cause is told.

    Attributes:
        remedies: Keys of the remedies, the best one first.
    """

    title: str
    sentence: str
    fixer: Fixer
    remedies: tuple[str, ...]


class Remedy(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What helps; `steps` names the steps that carry it out, "" if there is nothing to click."""

    text: str
    steps: str = ""


class Wordings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that is said.

    Attributes:
        steps: Action -> program -> numbered steps; each action has steps for "any" program.
    """

    cause: dict[Cause, CauseWording]
    remedy: dict[str, Remedy]
    steps: dict[str, dict[str, tuple[str, ...]]]
    words: dict[str, str]

    def all_texts(self) -> tuple[str, ...]:
        """Return every message id once, in the order of the file."""
        texts = [
            text for wording in self.cause.values() for text in (wording.title, wording.sentence)
        ]
        texts += [remedy.text for remedy in self.remedy.values()]
        texts += [
            step
            for programs in self.steps.values()
            for steps in programs.values()
            for step in steps
        ]
        return tuple(dict.fromkeys([*texts, *self.words.values()]))

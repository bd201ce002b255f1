"""The page of reasons, made from the catalogue: docs/reference/reasons.md."""

from typing import Final

from posthouse.policy.reasons import WORD_SETS, WORDINGS

_HEAD: Final = """\
# Reasons

Made from `posthouse/policy/reasons.py` by `make docs`. A reason is public: its name stands in
replies, logs and JSON, is never changed and never used again. A site may give any reason its own
words with `[refusals.wording]`.

| Reason | Codes | Who can fix it | Said as | Meaning |
|---|---|---|---|---|
"""


def reference() -> str:
    """Return the page."""
    rows = [
        f"| `{reason.value}` | {it.code} {it.status} | {it.fixer.value} "
        f"| {it.text} | {it.meaning} |"
        for reason, it in WORDINGS.items()
    ]
    sets = [
        f'* `words = "{name}"`: `{words.code} {f"{words.status} " if words.status else ""}'
        f"{words.text}` for {', '.join(f'`{reason.value}`' for reason in sorted(those))}"
        for name, those in WORD_SETS.items()
        if those
        for words in [next(iter(those.values()))]
    ]
    return _HEAD + "\n".join(rows) + "\n\n## Ready-made words\n\n" + "\n".join(sets) + "\n"

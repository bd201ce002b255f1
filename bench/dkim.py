"""How many messages are signed in a second, by us and by dkimpy, one core each, in turns.

Run with ``python -m bench.dkim``; figures are medians of several rounds.
"""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import dkim
from cryptography.hazmat.primitives import serialization

from posthouse.authentication.signatures.body_hash import BodyKind, body_digest
from posthouse.authentication.signatures.canonical import Form
from posthouse.authentication.signatures.keys import Kind, generate
from posthouse.authentication.signatures.signing import Signer, sign_message

ROUNDS = 5
HEADER = (
    b"From: Ann <ann@example.com>\r\nTo: bob@adatum.example\r\nSubject: The post coach\r\n"
    b"Date: Mon, 4 May 2026 12:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n\r\n"
)
LINE = b"The quick brown fox jumps over the lazy dog, again and again and again.\r\n"
MESSAGE = HEADER + LINE * (4096 // len(LINE))


def per_second(function: Callable[[], object], seconds: float = 0.5) -> float:
    """Return how often a function can be called in a second."""
    started, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < seconds:
        function()
        calls += 1
    return calls / passed


def main() -> None:
    """Print the figures."""
    now = datetime.now(UTC)
    rsa = Signer("example.com", "r", generate(Kind.RSA))
    ed25519 = Signer("example.com", "e", generate(Kind.ED25519))
    pem = rsa.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    relaxed = (b"relaxed", b"relaxed")
    candidates: dict[str, Callable[[], object]] = {
        "RSA-2048": lambda: sign_message(MESSAGE, [rsa], now),
        "RSA-2048, dkimpy": lambda: dkim.sign(
            MESSAGE, b"r", b"example.com", pem, canonicalize=relaxed
        ),
        "Ed25519": lambda: sign_message(MESSAGE, [ed25519], now),
        "both": lambda: sign_message(MESSAGE, [rsa, ed25519], now),
    }
    figures: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, function in candidates.items():
            figures[name].append(per_second(function))
    print(f"signatures of {len(MESSAGE)} octets, each second")
    for name, found in figures.items():
        print(f"  {name:<18} {statistics.median(found):8,.0f}")
    body = LINE * 100_000
    for form in Form:
        rate = per_second(lambda form=form: body_digest(body, BodyKind(form)), 1.0)  # type: ignore[misc]
        print(f"  {form.value} body hash {rate * len(body) / 1e6:6,.0f} MB/s")


if __name__ == "__main__":
    main()

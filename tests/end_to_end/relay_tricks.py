"""What open-relay testers and spammers have tried, as addresses; numbers follow their lists.

`R` is the server's name, `I` its address, `L` a domain it serves, `X` one it does not. Each trick
is what stands behind ``MAIL FROM:`` and ``RCPT TO:``.
"""

from collections.abc import Iterator

R, I, L, X = "mail.proseware.com", "[127.0.0.1]", "proseware.com", "canary.adatum.com"  # noqa: E741 - as the lists name it
CATCHING, PASSED = "woodgrove.com", "fabrikam.com"  # with a catch-all; passed on to another server
F, T = "antispam", "relaytest"

# Recipients that name T at X in every way that some server once understood.
ROUTED = (
    f"{T}%{X}@{I}", f"{T}%{X}@{R}", f"{T}%{X}@{L}", f'"{T}@{X}"', f'"{T}%{X}"', f"{T}@{X}@{I}",
    f'"{T}@{X}"@{I}', f'"{T}@{X}"@{R}', f'"{T}@{X}"@{L}', f"{T}@{X}@{R}", f"{T}@{X}@{L}",
    f"@{I}:{T}@{X}", f"@{R}:{T}@{X}", f"@{L}:{T}@{X}", f"@a.example,@{R}:{T}@{X}",
    f"@{R},@a.example:{T}@{X}", f"{X}!{T}", f"{X}!{T}@{I}", f"{X}!{T}@{R}", f"{X}!{T}@{L}",
    f"{X}!{T}%{L}", f"{L}!{X}!{T}", f"a%b%{X}@{R}", f"{T}%{X}%{L}@{R}", f"{X}!{T}%{X}@{R}",
    f"{T}@{X}@", f"{T}@{X}.", f"{T}%{X}", f"{T}@[203.0.113.9]", f"{T}@[IPv6:2001:db8::9]",
    f"{T}@[IPv6:::ffff:203.0.113.9]", f"{T} @ {X}", f"{T}@{X}(c)", f"({L}){T}@{X}",
    f"{T}@{L}.{X}", f"{T}@not{L}", f"{T}@{L}.", f"{T}@x.{L}", f"{T}@{L}@{X}", f"{T}@{X},ann@{L}",
    f"ann@{L},{T}@{X}", f"{T}@{X}> <ann@{L}", f"{T}@{X}\\@{L}", f"{T}\\@{X}@{L}",
    f"{T}%40{X}@{L}", f"{T}+{T}={X}@{L}", f"{T}={X}@{L}", f"bounce-{T}={X}@{L}",
    f"SRS0=HHH=TT={X}={T}@{L}", f"SRS1=HHH={R}==HHH=TT={X}={T}@{L}", f"SRS0+HHH=TT={X}={T}@{L}",
    f"prvs=1234abcdef={T}@{L}", f"prvs={T}/1234abcdef@{L}", f"=?utf-8?q?{T}=40{X}?=@{L}",
    f"{T}@=?utf-8?q?{X}?=", f"{T}@xn--{L}", f"{T}@\u0440roseware.com", f"{T}@proseware。com.{X}",
    f'"{T}@{X}\\"@{L}', f'"{T}"@{X}', f'"{T}@{X}" <ann@{L}>', f"{T}@{X} ORCPT=rfc822;ann@{L}",
    f"{T}@0x7f.1", f"{T}@2130706433", f"{T}@127.0.0.1", f"{T}@[127.0.0.1]", f"{T}@[0.0.0.0]",
    f"{T}@[IPv6:::1]", f"{T}@[IPv6:fe80::1%lo]", f"{T}@localhost", f"{T}@{'a' * 300}.{L}",
    f"{T}%{X}@{CATCHING}", f'"{T}@{X}"@{CATCHING}', f"{X}!{T}@{CATCHING}", f"@{CATCHING}:{T}@{X}",
    f"{T}%{X}@{PASSED}", f'"{T}@{X}"@{PASSED}', f"{X}!{T}@{PASSED}", f"@{PASSED}:{T}@{X}",
    f"{T}@{X}@{PASSED}", f"{T}@sub.{PASSED}", f"{T}@{PASSED}.{X}",
    f"{'ann' + 'x' * 70}@{L}", f"|/bin/cat@{L}", f"/etc/passwd@{L}", f":include:/etc/passwd@{L}",
    f"{T}\x01@{X}", f"{T}ä@{X}",
)  # fmt: skip
# Senders who might be trusted for their name.
SENDERS = (
    "", f"{F}@{X}", f"{T}@{X}", f"{F}@{R}", f"{F}@{I}", F, f"{F}@localhost", f"ann@{L}", f"ANN@{L}",
    f"nosuch@{L}", f"postmaster@{L}", "postmaster", f"{L}!{F}", f"{X}!{F}", f"ann@{L}.",
    f"SRS0=HHH=TT={L}=ann@{X}", f"prvs=1234abcdef=ann@{L}", f"ann%{L}@{X}", f"@{R}:ann@{L}",
    "ann@[IPv6:::1]", f"ann@sub.{L}", f"ann+tag@{L}", f"ann@{PASSED}", f'"ann@{L}"',
    f"scanner@{L}",
)  # fmt: skip
# Commands that are odd by themselves: what stands behind MAIL and RCPT, brackets included.
ODD = (
    (f"FROM:<{F}@{X}>", f"TO:{T}@{X}"),
    (f"FROM:{F}@{X}", f"TO:{T}@{X}"),
    (f"FROM:<{F}@{X}>", f"TO: <{T}@{X}>"),
    (f"FROM: <ann@{L}>", f"TO: <{T}@{X}>"),
    (f"FROM:<ann@{L}> AUTH=ann@{L}", f"TO:<{T}@{X}>"),
    (f"FROM:<ann@{L}> AUTH=<>", f"TO:<{T}@{X}>"),
    (f"FROM:<ann@{L}> SIZE=1 BODY=8BITMIME", f"TO:<{T}@{X}> NOTIFY=NEVER"),
    (f"FROM:<{F}@{X}>", f"TO:<ann@{L}> ORCPT=rfc822;{T}@{X} RCPT TO:<{T}@{X}>"),
    (f"FROM:<{F}@{X}>", f"TO:<ann@{L}><{T}@{X}>"),
    (f"FROM:<{F}@{X}>", f"TO:<<{T}@{X}>>"),
    (f"FROM:<{F}@{X}>", f"TO:<{T}@{X}"),
    (f"FROM:<{F}@{X}>", f"TO:{T}@{X}>"),
    (f"FROM:<{F}@{X}>", f"TO:\t<{T}@{X}>"),
    (f"from:<{F}@{X}>", f"to:<{T}@{X}>"),
)


def tricks() -> Iterator[tuple[str, str]]:
    """Yield what follows MAIL and RCPT."""
    plain = f"TO:<{T}@{X}>"
    for sender in SENDERS:
        yield f"FROM:<{sender}>", plain
    for recipient in ROUTED:
        yield f"FROM:<{F}@{I}>", f"TO:<{recipient}>"
        yield f"FROM:<ann@{L}>", f"TO:<{recipient}>"
    yield from ODD

"""REQUIRETLS on sessions (RFC 8689): offered under TLS, kept with the message."""

import smtplib
from pathlib import Path

from tests.sessions.post import SIGNED_IN, post, rules_with, trusting

CONTENT = b"Subject: x\r\n\r\nx\r\n"


async def test_it_is_offered_under_tls_and_unknown_without(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        said = await server.talk("mx", "EHLO c", "MAIL FROM:<x@adatum.com> REQUIRETLS")
        assert "REQUIRETLS" not in said[1]
        assert said[2].startswith("555")
        offered = await server.client("submissions", lambda it: (it.ehlo(), it.esmtp_features)[1])
        assert "requiretls" in offered


async def test_it_stays_with_the_message(tmp_path: Path) -> None:
    def send(client: smtplib.SMTP) -> None:
        client.ehlo()
        client.starttls(context=trusting())
        for options in ((), ("REQUIRETLS",)):
            client.sendmail("x@adatum.com", "ann@proseware.com", CONTENT, mail_options=options)

    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")
        await server.client("mx", send)
        assert sorted(it.envelope.requiretls for it in server.spool.list_messages()) == [
            False,
            True,
        ]

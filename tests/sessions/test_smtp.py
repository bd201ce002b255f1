"""Whole sessions over real sockets: from the first octet to the spool."""

import smtplib
from pathlib import Path

from tests.sessions.post import PASSWORD, SIGNED_IN, post, rules_with

MESSAGE = b"From: ann@proseware.com\r\nTo: bob@adatum.com\r\nSubject: hello\r\n\r\nHi Bob.\r\n"


async def test_mail_of_a_signed_in_client_is_accepted_and_spooled(tmp_path: Path) -> None:
    async with post(tmp_path, rules_with(SIGNED_IN)) as server:
        server.add_account("ann@proseware.com")

        def send(client: smtplib.SMTP) -> object:
            client.login("ann@proseware.com", PASSWORD)
            return client.sendmail("ann@proseware.com", ["bob@adatum.com"], MESSAGE)

        assert await server.client("submissions", send) == {}
        assert server.queue() == [("<ann@proseware.com>", ["bob@adatum.com"])]
        content = server.only_content()
        assert content.endswith(MESSAGE)
        assert b"with ESMTPSA id" in content
        assert b"Message-ID: <" in content
        assert b"\r\nDate: " in content

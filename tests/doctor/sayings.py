"""Catalogue entries as a person would paste them: placeholders filled, code in front."""

import re

from posthouse.doctor.catalogue import Entry, shipped

FILLINGS = {
    "rcpt": "bob@example.net",
    "sender": "ann@example.com",
    "user": "ann",
    "addr": "ann@example.com",
    "ip": "198.51.100.7",
    "host": "mx.example.net",
    "client": "pc.example.com",
    "server": "smtp.example.com",
    "domain": "example.com",
    "helo": "pc",
    "port": "25",
    "code": "550",
    "response": "",
    "reason": "",
    "dnsbl": "zen.spamhaus.org",
    "url": "https://example.com/help",
    "mech": "LOGIN",
    "id": "abc123",
    "n": "500",
    "range": "x",
    "region": "EU",
    "ids": "a",
    "subject": "Test",
    "account": "Test",
    "yesno": "No",
    "command": "RCPT TO:<bob@example.net>",
    "stage": "Recipient address",
    "verb": "EHLO",
    "hint": "",
}


def said(entry: Entry) -> str:
    """Return the entry's text as it is met in the world."""

    def filling(match: re.Match[str]) -> str:
        return typical_reply(entry.cause) if match[1] == "response" else FILLINGS[match[1]]

    text = re.sub(r"\{([a-z]+)\}", filling, entry.pattern)
    status = entry.status.split("-")[0]
    if status and status not in text:
        text = f"{status} {text}"
    if entry.code.startswith("0x"):
        return text if entry.code in text else f"{text} {entry.code}"
    if entry.needs.startswith("text:"):
        return f"{entry.needs.removeprefix('text:')} said: {entry.code} {text}"
    return f"{entry.code} {text}" if entry.code else text


def typical_reply(cause: str) -> str:
    """Return a server's reply with this cause, to stand in a wrapper."""
    for entry in shipped().entries:
        plain = entry.where == "server" and entry.language == "en" and not entry.wraps
        if plain and entry.cause == cause and entry.code and len(entry.pattern) > 14:
            return said(entry)
    return ""

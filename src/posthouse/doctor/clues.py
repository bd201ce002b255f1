"""What a paste tells beside the refusal itself: program, command, server, port, addresses."""

import re
from typing import Final

from msgspec import Struct

from posthouse.doctor.catalogue import Knowledge, Program
from posthouse.doctor.reading import Paste
from posthouse.doctor.replies import Clause
from posthouse.doctor.weighing import numbers_in
from posthouse.doctor.words import Folded

_QUOTE: Final = r"\s?:?\s?['\"(<\[]{0,2}\s?"
_PORT: Final = re.compile(
    r"(?:\bport|端口|連接埠|ポート|anschluss|puerto|porta|порт|poort|포트|portti|πορτα|portul)"
    r"(?:\s?(?:number|番号|号)?)" + _QUOTE + r"(\d{2,5})\b"
    r"|\b[a-z0-9.-]{1,100}\.[a-z]{2,24}:(25|465|587|2525|110|995|143|993)\b"
)
_SERVER: Final = re.compile(
    r"(?:\bserver|服务器|伺服器|サーバー|servidor|serveur|сервер|서버|servern|palvelin|kiszolgalo"
    r"|sunucu|generating server|remote-mta: dns;|host|\(smtp\))"
    + _QUOTE
    + r"((?:[a-z0-9-]{1,63}\.){1,12}[a-z]{2,})"
)
_TLS: Final = re.compile(
    r"\(ssl\)\s?:?\s?(yes|no|oui|non|ja|nein|si|no|sim|nao|да|нет|是|否|はい|いいえ|tak|nie|ano|ne)"
)
_ACCOUNT: Final = re.compile(
    r"(?:\baccount|帐户|账户|帳戶|アカウント|konto|cuenta|compte|conta|учетная запись)"
    r"\s?:\s?['\"<]{0,2}([^'\"<>,;]{1,80})"
)
_ADDRESS: Final = r"<?([^\s<>()\"',;:]{1,64}@[^\s<>()\"',;:]{1,255}[^\s<>()\"',;:.])>?"
_RECIPIENT: Final = re.compile(
    r"(?:rcpt to:\s?|\bto=|final-recipient: rfc822;\s?|recipient\s"
    r"|rejected e-?mail address was\s?['\"]?"
    r"|电子邮件地址(?:是|为)\s?['\"]?|アドレス\s?:\s?|adresse ist\s?|rechazada era\s?\"?|^)"
    + _ADDRESS
)
_SENDER: Final = re.compile(r"(?:mail from:\s?|\bfrom=|from:\s(?:[^<\n]{0,40}))" + _ADDRESS)
_IN_REPLY_TO: Final = re.compile(
    r"(?:in reply to|after|in response to|response to)\s(?:the\s)?"
    r"(rcpt to|mail from|end of data|data|ehlo|helo|starttls|auth|pipelined \w+)"
)
_LOG_LINE: Final = re.compile(
    r"(?:^|\s)(?:postfix|sendmail|exim|dovecot|opensmtpd|smtpd|postfix/\w+)\[\d+\]: "
    r"|noqueue: reject|\brejected rcpt\b|status=(?:bounced|deferred)"
)
_COMMANDS: Final = {
    "rcpt to": "RCPT", "mail from": "MAIL", "end of data": "DATA", "data": "DATA", "ehlo": "EHLO",
    "helo": "EHLO", "starttls": "STARTTLS", "auth": "AUTH",
}  # fmt: skip
_YES: Final = frozenset({"yes", "oui", "ja", "si", "sim", "да", "是", "はい", "tak", "ano"})


class Clues(Struct, frozen=True):
    """Facts read from the paste; "" and None where it is silent.

    Attributes:
        program: Id of the mail program or report recognised.
        kind: What `program` is: "client", "webmail", "report", "library", "device".
        where: "dialog" (at once, in a program), "bounce" (came back) or "log".
        command: The SMTP command that failed: MAIL, RCPT, DATA, AUTH, EHLO, STARTTLS.
        number: Number a Windows program gave.
        reply: The server's own reply, as pasted.
    """

    program: str = ""
    kind: str = ""
    where: str = ""
    command: str = ""
    number: str = ""
    code: str = ""
    status: str = ""
    reply: str = ""
    server: str = ""
    port: int | None = None
    tls: bool | None = None
    account: str = ""
    recipient: str = ""
    sender: str = ""


def gather(folded: Folded, paste: Paste, first: Clause | None, knowledge: Knowledge) -> Clues:
    """Collect the clues of a paste whose first reply is `first`."""
    text = folded.text
    program = _program(text, knowledge)
    numbers = numbers_in(text)
    port = _PORT.search(text)
    tls = _TLS.search(text)
    reply = first if first is not None and first.kind == "reply" else None
    return Clues(
        program=program.id if program else "",
        kind=program.kind if program else "",
        where=_where(text, paste, program, numbers),
        command=_command(text, numbers, knowledge),
        number=numbers[0] if numbers else "",
        code=reply.code if reply else "",
        status=reply.status if reply else "",
        reply=folded.excerpt(reply.start, reply.end) if reply else "",
        server=_first(_SERVER, text),
        port=int(port[1] or port[2]) if port else None,
        tls=tls[1] in _YES if tls else None,
        account=_first(_ACCOUNT, text).strip(),
        recipient=_first(_RECIPIENT, text),
        sender=_first(_SENDER, text),
    )


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _program(text: str, knowledge: Knowledge) -> Program | None:
    best, most = None, 0
    for program in knowledge.rules.program:
        count = sum(len(word) for word in program.words if word in text)
        if count > most:
            best, most = program, count
    return best


def _where(text: str, paste: Paste, program: Program | None, numbers: tuple[str, ...]) -> str:
    if paste.report or "final-recipient:" in text or "diagnostic-code:" in text:
        return "bounce"
    if _LOG_LINE.search(text):
        return "log"
    if numbers:
        return "dialog"
    if program is None:
        return ""
    return "bounce" if program.kind == "report" else "dialog"


def _command(text: str, numbers: tuple[str, ...], knowledge: Knowledge) -> str:
    for number in numbers:
        if number in knowledge.rules.commands:
            return knowledge.rules.commands[number]
    match = _IN_REPLY_TO.search(text)
    return _COMMANDS.get(match[1], "") if match else ""

"""Replies of POP3, and all that the protocol itself answers (RFC 1939 section 3, RFC 2449).

Their words are there in every language that LANG offers (RFC 6856 section 3); until a client asks
for another one they are ASCII.
"""

import re
from binascii import b2a_base64
from enum import Enum
from typing import Final

from msgspec import Struct

LINE_OCTETS_MAX: Final = 512  # RFC 2449 section 4, CRLF included
_UNSENDABLE: Final = re.compile(r"[^\x20-\x7e]")
_UNSENDABLE_IN_UTF8: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Language(Enum):
    """What replies can be said in, by language tag (RFC 5646)."""

    ENGLISH = "en"
    CHINESE = "zh"


LANGUAGE_NAMES: Final = {Language.ENGLISH: "English", Language.CHINESE: "中文"}
"""Each in its own words, as LANG lists them."""


class Reply(Struct, frozen=True):
    """The status line of an answer.

    Attributes:
        is_positive: ``+OK`` or ``-ERR``.
        text: Printable ASCII on one line.
        code: Response code without brackets: ``IN-USE`` (RFC 2449 section 8), ``AUTH``,
            ``SYS/TEMP`` (RFC 3206); "" for none.
        chinese: The same text in Chinese; "" where it is for programs, and the same for all.
    """

    is_positive: bool
    text: str
    code: str = ""
    chinese: str = ""

    def encode(self, language: Language = Language.ENGLISH) -> bytes:
        """Return the status line with CRLF.

        Raises:
            ValueError: If it holds a control character or is too long: a bug of ours.
        """
        foreign = self.chinese if language is Language.CHINESE else ""
        code = f"[{self.code}] " if self.code else ""
        line = f"{'+OK' if self.is_positive else '-ERR'} {code}{foreign or self.text}".rstrip()
        unsendable = _UNSENDABLE_IN_UTF8 if foreign else _UNSENDABLE
        octets = line.encode("utf-8", "surrogatepass")
        if unsendable.search(line) or len(octets) > LINE_OCTETS_MAX - 2:
            raise ValueError(f"unsendable reply line: {line!r}")
        return octets + b"\r\n"


class Challenge(Struct, frozen=True):
    """The server's turn in a SASL exchange (RFC 5034 section 4).

    Attributes:
        octets: Not yet base64; often empty.
    """

    octets: bytes = b""

    def encode(self) -> bytes:
        """Return the continuation line with CRLF."""
        return b"+ " + b2a_base64(self.octets, newline=False) + b"\r\n"


def ok(text: str = "", chinese: str = "") -> Reply:
    """Return a positive reply."""
    return Reply(is_positive=True, text=text, chinese=chinese)


def error(text: str, code: str = "", chinese: str = "") -> Reply:
    """Return a negative reply."""
    return Reply(is_positive=False, text=text, code=code, chinese=chinese)


UNKNOWN_COMMAND: Final = error("Unknown command", chinese="未知的命令")
OUT_OF_ORDER: Final = error("This command cannot come now", chinese="现在不能使用此命令")
SIGN_IN_FIRST: Final = error("Sign in first", chinese="请先登录")
USER_FIRST: Final = error("PASS comes right after USER", chinese="PASS 必须紧跟在 USER 之后")
BAD_ARGUMENTS: Final = error(
    "I do not understand the arguments of this command", chinese="无法理解此命令的参数"
)
BAD_CHARACTERS: Final = error(
    "A command is printable text in ASCII or UTF-8",
    chinese="命令必须是 ASCII 或 UTF-8 的可打印文本",
)
BARE_NEWLINE: Final = error("A command line ends with CR LF", chinese="命令行必须以 CR LF 结束")
LINE_TOO_LONG: Final = error("The command line is too long", chinese="命令行太长")
TOO_MANY_ERRORS: Final = error("Too many errors, closing", chinese="错误太多, 连接即将关闭")
TOO_MANY_COMMANDS: Final = error(
    "Too many commands and no sign-in, closing", chinese="命令太多而没有登录, 连接即将关闭"
)
TLS_FIRST: Final = error(
    "Say STLS first: signing in needs an encrypted connection",
    "AUTH",
    "登录需要加密的连接: 请先使用 STLS",
)
TLS_ACTIVE: Final = error("The connection is encrypted already", chinese="连接已经加密")
TLS_NOT_OFFERED: Final = error("TLS is not offered here", chinese="此处不提供 TLS")
SIGN_IN_NOT_OFFERED: Final = error(
    "This way to sign in is not offered here", "AUTH", "此处不提供这种登录方式"
)
UNKNOWN_MECHANISM: Final = error(
    "This mechanism is not offered; CAPA lists those that are",
    chinese="不提供此登录机制; CAPA 会列出可用的机制",
)

BEGIN_TLS: Final = ok("Begin TLS", "开始 TLS")
UTF8_ON: Final = ok("UTF-8 it is", "已启用 UTF-8")
LANGUAGES: Final = ok("Languages of our replies", "可用的回复语言")
LANGUAGE_TAKEN: Final = {
    Language.ENGLISH: ok("en Our replies are in English"),
    Language.CHINESE: ok("zh", "zh 回复使用中文"),
}
NO_SUCH_LANGUAGE: Final = error(
    "Our replies are not there in this language; LANG lists those that are",
    chinese="没有这种语言的回复; LANG 会列出可用的语言",
)
CAPABILITIES: Final = ok("What this server can do now", "此服务器现在提供的功能")
MECHANISMS: Final = ok("Mechanisms", "登录机制")
SIGNED_IN_LATELY: Final = error(
    "You were here a moment ago: wait before the next time", "LOGIN-DELAY", "刚刚登录过: 请稍后再来"
)
NAME_TAKEN: Final = ok("Send PASS", "请发送 PASS")
NOTHING_DONE: Final = ok()
MARKED: Final = ok("Marked; it is removed at QUIT", "已标记; QUIT 时删除")
BYE: Final = ok("Bye", "再见")

SIGN_IN_FAILED: Final = error("Name or password is wrong", "AUTH", "用户名或密码错误")
SIGN_IN_NOT_BASE64: Final = error("This is not base64", chinese="这不是 base64")
SIGN_IN_CANCELLED: Final = error("Cancelled", chinese="已取消")
TOO_MANY_FAILURES: Final = error(
    "Too many failed sign-ins, closing", "AUTH", "登录失败次数太多, 连接即将关闭"
)
SIGN_IN_UNAVAILABLE: Final = error(
    "Passwords cannot be checked now; try later", "SYS/TEMP", "现在无法验证密码; 请稍后再试"
)
MAILDROP_IN_USE: Final = error(
    "Another session is fetching this mail; try later",
    "IN-USE",
    "另一个会话正在收取此邮箱; 请稍后再试",
)
MAILDROP_UNREADABLE: Final = error(
    "The mailbox cannot be read now; try later", "SYS/TEMP", "现在无法读取邮箱; 请稍后再试"
)
MESSAGE_UNREADABLE: Final = error(
    "This message cannot be read now; try later", "SYS/TEMP", "现在无法读取此邮件; 请稍后再试"
)
MESSAGE_GONE: Final = error(
    "This message was removed by another program", chinese="此邮件已被其他程序删除"
)
NO_SUCH_MESSAGE: Final = error("No such message", chinese="没有此邮件")
MESSAGE_DELETED: Final = error("This message is marked as deleted", chinese="此邮件已标记为删除")
NOT_ALL_REMOVED: Final = error(
    "Some deleted messages could not be removed", "SYS/TEMP", "有些已标记的邮件未能删除"
)
TOO_BUSY: Final = error("Too many sessions; try later", "SYS/TEMP", "会话太多; 请稍后再试")
SHUTTING_DOWN: Final = error(
    "The server is being restarted; connect again soon",
    "SYS/TEMP",
    "服务器正在重启; 请稍后重新连接",
)


def locked_out(minutes: int) -> Reply:
    """Return the reply after too many failed sign-ins for one account from one address."""
    return error(
        f"Too many failed sign-ins: try again in {minutes} min",
        "LOGIN-DELAY",
        f"登录失败次数太多: 请在 {minutes} 分钟后再试",
    )


def sign_in_broken(why: str) -> Reply:
    """Return the reply to a response that a mechanism cannot understand."""
    return error(f"Sign-in failed: {why}", chinese=f"登录失败: {why}")


def summary(count: int, octets: int) -> Reply:
    """Return how much mail there is."""
    return ok(f"{count} messages ({octets} octets)", f"{count} 封邮件 ({octets} 字节)")


def content_follows(octets: int) -> Reply:
    """Return what comes before a message."""
    return ok(f"{octets} octets", f"{octets} 字节")


def language_for(wanted: str) -> Language | None:
    """Return the language that a client's tag asks for: ``*`` is ours (RFC 4647 section 3.4)."""
    if wanted == "*" or wanted.lower() == "i-default":
        return Language.ENGLISH
    primary = wanted.lower().partition("-")[0]
    return next((language for language in Language if language.value == primary), None)

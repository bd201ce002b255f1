"""A version of a paste that is safe to post: the same words, nobody's addresses or secrets."""

import re
from typing import Final

_ADDRESS: Final = re.compile(
    r"[^\s<>()\[\]\"',;:=@]{1,64}@[^\s<>()\[\]\"',;:@]{1,255}[^\s<>()\[\]\"',;:.]"
)
_SECRET: Final = re.compile(
    r"(?i)\b(auth\s+(?:plain|login|xoauth2|cram-md5)\s+|pass(?:word|wd|code)?\s*[=:]\s*|pwd\s*[=:]\s*"
    r"|密码\s*[:\uff1a]\s*|授权码\s*[:\uff1a]\s*|passwort\s*:\s*|mot de passe\s*:\s*"
    r"|contraseña\s*:\s*|senha\s*:\s*"
    r"|bearer\s+|[?&;](?:token|key|secret|sig|code)="
    r"|パスワード\s*[:\uff1a]\s*|пароль\s*:\s*|^pass\s+)(\S+)",
    re.MULTILINE,
)
_BASE64: Final = re.compile(
    r"(?<![A-Za-z0-9+/])(?=[A-Za-z0-9+/]{0,80}[0-9])[A-Za-z0-9+/]{16,400}={1,2}(?![A-Za-z0-9+/=])"
)
# A telephone number with its country code.
_TELEPHONE: Final = re.compile(
    r"(?<![\w.])\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}(?![\w.])"
)
_IPV4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")
_IPV6: Final = re.compile(
    r"(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{0,4}(?::[0-9a-f]{1,4})*(?![\w:])", re.IGNORECASE
)
_SUBJECT: Final = re.compile(
    r"(?im)^((?:subject|betreff|objet|asunto|assunto|oggetto|主题|件名|тема)\s*[:\uff1a]).*$"
)
_QUOTED_SUBJECT: Final = re.compile(
    r"(?i)((?:subject|betreff|objet|asunto|assunto|oggetto|主题|件名)\s*[:\uff1a]?\s*)(['\"\u201c\u2018])(.*?)(['\"\u201d\u2019])"
)


def redact(text: str) -> str:
    """Replace addresses, network addresses, subjects and secrets; equal ones stay equal."""
    people: dict[str, str] = {}
    networks: dict[str, str] = {}

    def person(match: re.Match[str]) -> str:
        number = len(people) + 1
        return people.setdefault(match.group().lower(), f"person{number}@example.com")

    def network(match: re.Match[str]) -> str:
        number = len(networks) + 1
        return networks.setdefault(match.group().lower(), f"192.0.2.{min(number, 254)}")

    text = _SECRET.sub(lambda match: f"{match[1]}***", text)
    text = _BASE64.sub("***", text)
    text = _TELEPHONE.sub("***", text)
    text = _QUOTED_SUBJECT.sub(lambda match: f"{match[1]}{match[2]}***{match[4]}", text)
    text = _SUBJECT.sub(lambda match: f"{match[1]} ***", text)
    text = _ADDRESS.sub(person, text)
    return _IPV6.sub(network, _IPV4.sub(network, text))

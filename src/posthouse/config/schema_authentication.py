"""Being believed, and whom to believe."""

from typing import Annotated, Literal

from posthouse.config.section import Section, meaning
from posthouse.config.values import DomainName


class Authentication(Section):
    """SPF, DKIM, DMARC and ARC. Keys are not named here: `posthouse dkim key add DOMAIN`."""

    incoming: Annotated[
        Literal["check", "ignore"],
        meaning(
            "What strangers bring to smtp listeners: check tells SPF, DKIM, DMARC and ARC in an"
            " Authentication-Results field and in the case. Nothing is refused because of it."
        ),
    ] = "check"
    outgoing: Annotated[
        Literal["sign", "plain"],
        meaning("sign: mail of our people goes out with DKIM signatures of their domain's keys."),
    ] = "sign"
    forwarded: Annotated[
        Literal["rewrite", "as-it-is"],
        meaning(
            "What aliases send on. rewrite: with a reverse-path of ours (SRS), because other"
            " servers refuse foreign ones by SPF, and sealed (ARC)."
        ),
    ] = "rewrite"
    forwards_as: Annotated[
        DomainName | None,
        meaning(
            "Domain of rewritten reverse-paths and of seals; one of ours. Default: the first of"
            " domains."
        ),
    ] = None

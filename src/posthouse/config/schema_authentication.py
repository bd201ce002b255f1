"""Being believed, and whom to believe."""

from typing import Annotated, Literal

from pydantic import model_validator

from posthouse.config.section import Section, meaning
from posthouse.config.values import DomainName, fault


class Authentication(Section):
    """SPF, DKIM, DMARC and ARC. Keys are not named here: `posthouse dkim key add DOMAIN`."""

    incoming: Annotated[
        Literal["check", "ignore"],
        meaning(
            "What strangers bring to smtp listeners: check tells SPF, DKIM, DMARC and ARC in an"
            " Authentication-Results field and in the case."
        ),
    ] = "check"
    dmarc: Annotated[
        Literal["mark", "enforce"],
        meaning(
            "Mail whose author's domain does not confirm it. mark: accepted, and told in the field."
            " enforce: refused where that domain asks for it (p=reject); p=quarantine is only"
            " told. Mailing lists and forwarders break what DMARC looks at: name those you trust."
        ),
    ] = "mark"
    trusted_forwarders: Annotated[
        tuple[DomainName, ...],
        meaning(
            "With dmarc = enforce: domains whose forwarded mail is taken all the same, if they"
            " sealed it last (ARC) or SPF confirms that they bring it; and what is below them."
        ),
    ] = ()
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

    @model_validator(mode="after")
    def _enforces_what_is_checked(self) -> "Authentication":
        if self.dmarc == "enforce" and self.incoming == "ignore":
            raise fault(
                "together",
                "what is not checked cannot be enforced",
                'write incoming = "check", or leave dmarc out',
                key="dmarc",
            )
        if self.trusted_forwarders and self.dmarc == "mark":
            raise fault(
                "together",
                "forwarders need no trust where nothing is refused",
                'write dmarc = "enforce", or leave trusted_forwarders out',
                key="trusted_forwarders",
            )
        return self

"""What one can tell from where a listener listens."""

from ipaddress import ip_address

from posthouse.config.schema import Configuration, Listener, ServiceName, SignedIn, TlsRule
from posthouse.policy.private_networks import is_private_address


def takes_mail(listener: Listener) -> bool:
    """Whether mail comes in by it: only there a door can stand open."""
    return listener.service in (ServiceName.SMTP, ServiceName.SUBMISSION)


def serves_private_only(listener: Listener) -> bool:
    """Whether it can be reached from private or loopback networks only."""
    hosts = [ip_address(endpoint.host) for endpoint in listener.on]
    return all(is_private_address(host) for host in hosts)


def is_loopback_only(configuration: Configuration) -> bool:
    """Whether the whole server can be reached from this machine only: a trial."""
    hosts = [ip_address(each.host) for entry in configuration.listen.values() for each in entry.on]
    return all(host.is_loopback for host in hosts)


def listens_on(configuration: Configuration, host: str, port: int) -> bool:
    """Whether a host and port are one of our own; a host name only if it is our own name."""
    ours = [each for entry in configuration.listen.values() for each in entry.on]
    return any(host in (each.host, configuration.hostname) and each.port == port for each in ours)


def takes_sign_ins(door: SignedIn, name: str, listener: Listener) -> bool:
    """Whether AUTH is offered there because of the door: on smtp only where it is named."""
    if door.listeners is not None:
        return name in door.listeners and takes_mail(listener)
    return listener.service is ServiceName.SUBMISSION


def takes_passwords_in_clear(configuration: Configuration, name: str, listener: Listener) -> bool:
    """Whether a password may cross somebody else's network unencrypted."""
    if listener.tls_rule is not TlsRule.OFFERED or serves_private_only(listener):
        return False
    doors = [door for door in configuration.may_relay if isinstance(door, SignedIn)]
    return listener.service is ServiceName.POP3 or any(
        takes_sign_ins(door, name, listener) for door in doors
    )

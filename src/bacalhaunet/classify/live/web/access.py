"""Who may see the page: this machine alone, or whoever has the token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from bacalhaunet.errors import ConfigError

COOKIE = "bacalhaunet"
_SHORTEST_TOKEN = 16


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """The rule.

    Attributes:
        token: What one must know; None where only this machine can connect.
    """

    token: str | None

    @classmethod
    def of(cls, host: str, token: str | None) -> Access:
        """Return the rule for an address: beyond loopback a token is made unless one is given.

        Raises:
            ConfigError: If the token is short.
        """
        if token is not None and (len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isalnum()):
            raise ConfigError("the token is too easy", allowed=f"{_SHORTEST_TOKEN} letters and digits or more")
        if token is None and not is_loopback(host):
            token = secrets.token_hex(16)
        return cls(token)

    def knows(self, given: str | None) -> bool:
        """Return whether ``given`` is the token, in a time that tells nothing."""
        return self.token is None or hmac.compare_digest(self.token.encode(), (given or "").encode())

    def admits(self, host: str | None, cookies: str | None) -> bool:
        """Return whether a request may be answered.

        Without a token its Host must name this machine: a page from elsewhere whose name is made to point here (DNS
        rebinding) is refused.

        Args:
            host: The Host header.
            cookies: The Cookie header.
        """
        if self.token is not None:
            return self.knows(_cookie(cookies))
        return is_loopback(_name(host or ""))


def _name(host: str) -> str:
    """Return a Host header without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _cookie(header: str | None) -> str | None:
    try:
        found = SimpleCookie(header or "").get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None

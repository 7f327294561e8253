"""Connections to the world outside: through the proxy of HTTPS_PROXY, but for the addresses of NO_PROXY."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp


def outbound_session(seconds: float | None = None) -> aiohttp.ClientSession:
    """Return a session whose requests go through the environment's proxy.

    `seconds` limits each request; sockets have limits of their own.
    """
    timeout = aiohttp.ClientTimeout(total=seconds) if seconds is not None else aiohttp.ClientTimeout()
    return aiohttp.ClientSession(timeout=timeout, trust_env=True)


def socket_proxy(url: str) -> str | None:
    """Return the proxy for a WebSocket at `url`, None for a direct connection.

    aiohttp looks for a variable of the scheme's own (WSS_PROXY), which nobody sets; a secure socket goes the way that
    HTTPS goes, and an open one that of HTTP.
    """
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get({"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme))

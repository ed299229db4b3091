"""Names to addresses, so that no name can be turned against our own network.

An operator names hosts, and whoever runs their DNS says where these lead: a public provider's name
must not come to mean a machine of ours ("DNS rebinding", fault 13). An address written as such in
the configuration is the operator's own word and is not looked at here.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

_NAT64 = IPv6Network("64:ff9b::/96")


class GuardedResolver(AbstractResolver):
    """Resolves by the system, and leaves out addresses that a name must not lead to.

    Link-local ones never: clouds hand out the machine's credentials there. Other private ones are
    fine for a name that always led to such, and not for one that ever led to a public address.
    """

    def __init__(self) -> None:
        self._system = aiohttp.ThreadedResolver()
        self._public: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See AbstractResolver.resolve; raises OSError when every address is left out."""
        found = await self._system.resolve(host, port, family)
        addresses = [_reached(result["host"]) for result in found]
        if any(address.is_global for address in addresses):
            self._public.add(host)
        allowed = [
            result
            for result, address in zip(found, addresses, strict=True)
            if address.is_global or not (address.is_link_local or host in self._public)
        ]
        if not allowed:
            raise OSError(None, "the name leads to an address that it must not lead to")
        return allowed

    async def close(self) -> None:
        """See AbstractResolver.close."""
        await self._system.close()


def _reached(text: str) -> IPv4Address | IPv6Address:
    """The address that packets end at: the IPv4 one inside, where an IPv6 one only carries it."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address

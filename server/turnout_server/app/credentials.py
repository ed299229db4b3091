"""The certificates of the port: checked as a whole, swapped under live connections, watched."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from turnout_server.app.config.document import Document
from turnout_server.app.config.problem import ConfigError, Problem
from turnout_server.app.config.server import Tls
from turnout_server.core.clock import SYSTEM_CLOCK, Clock

ALARM_BEFORE_S = 7 * 86_400.0
ALARM_EVERY_S = 86_400.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What the files of `server.tls` hold: a key, its certificates, and whose clients may come.

    `expires` is the earliest end among the certificates, in seconds since the epoch.
    """

    chain_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)
    client_ca_pem: bytes | None = field(repr=False)
    expires: float


def read_tls(tls: Tls | None, document: Document) -> TlsFiles | None:
    """Read the files and check that they belong together; raises ConfigError."""
    if tls is None:
        return None
    problems: list[Problem] = []

    def read(key: str, name: str) -> bytes:
        try:
            return Path(name).read_bytes()
        except OSError as error:
            message = f"cannot read {name}: {error.strerror}"
            problems.append(document.problem(("server", "tls", key), message))
            return b""

    chain_pem, key_pem = read("cert_file", tls.cert_file), read("key_file", tls.key_file)
    client_ca_pem = read("client_ca_file", tls.client_ca_file) if tls.client_ca_file else None
    if problems:
        raise ConfigError(problems)

    def refuse(key: str, message: str) -> ConfigError:
        return ConfigError([document.problem(("server", "tls", key), message)])

    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
    except ValueError:
        raise refuse("cert_file", f"{tls.cert_file} holds no certificates in PEM") from None
    try:
        private = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = f"{tls.key_file} holds no private key in PEM, or one behind a password"
        raise refuse("key_file", message) from None
    if _raw(private.public_key()) != _raw(chain[0].public_key()):
        raise refuse("key_file", f"is not the key of the certificate in {tls.cert_file}")
    if client_ca_pem is not None:
        try:
            x509.load_pem_x509_certificates(client_ca_pem)
        except ValueError:
            message = f"{tls.client_ca_file} holds no certificates in PEM"
            raise refuse("client_ca_file", message) from None
    expires = min(certificate.not_valid_after_utc.timestamp() for certificate in chain)
    return TlsFiles(chain_pem, key_pem, client_ca_pem, expires)


class ServerTls:
    """TLS 1.2 and 1.3 on a port; every new connection sees the certificates in force by then.

    With a client authority every client must show a certificate of it; whether one is demanded is
    settled by the first files.
    """

    def __init__(self, files: TlsFiles, clock: Clock = SYSTEM_CLOCK) -> None:
        self._files = files
        self._clock = clock
        self._swapped: grpc.ServerCertificateConfiguration | None = None
        self.credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(files),
            self._take_swapped,  # type: ignore[arg-type]  # None is grpc's own word for no change
            require_client_authentication=files.client_ca_pem is not None,
        )

    def use(self, files: TlsFiles) -> None:
        """Show other certificates from the next connection on."""
        if files != self._files:
            self._files = files
            self._swapped = _configuration(files)
            self.alarm()

    def alarm(self) -> None:
        """Log that the certificate ends within a week, or has ended."""
        left_s = self._files.expires - self._clock.wall()
        if left_s <= 0:
            _log.error("the certificate has expired; new callers will refuse it")
        elif left_s <= ALARM_BEFORE_S:
            _log.warning("the certificate expires soon; renew it", expires_in_s=round(left_s))

    async def watch(self) -> None:
        """Alarm once a day until cancelled."""
        while True:
            self.alarm()
            await asyncio.sleep(ALARM_EVERY_S)

    def _take_swapped(self) -> grpc.ServerCertificateConfiguration | None:
        """What is new since the last connection; grpc asks from threads of its own."""
        swapped, self._swapped = self._swapped, None
        return swapped


def _configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(files.key_pem, files.chain_pem)], files.client_ca_pem
    )


def _raw(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

"""Certificates as a mesh gives them out: a server's, and clients' with a SPIFFE ID."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and its certificate, PEM."""

    key_pem: bytes
    cert_pem: bytes


def server_pair(authority: trustme.CA, **options: dt.datetime) -> Pair:
    leaf = authority.issue_cert("localhost", "127.0.0.1", **options)
    return Pair(leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes())


def client_pair(
    authority: trustme.CA, *, uris: tuple[str, ...] = (), dns: tuple[str, ...] = ()
) -> Pair:
    """A client's certificate with these names; trustme itself knows no URIs."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(name) for name in dns]
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signer, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Pair(key_pem, certificate.public_bytes(serialization.Encoding.PEM))


def channel_credentials(
    authority: trustme.CA, client: Pair | None = None
) -> grpc.ChannelCredentials:
    """What a caller brings who trusts this authority."""
    key_pem, cert_pem = (client.key_pem, client.cert_pem) if client else (None, None)
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes(), key_pem, cert_pem)


def write_tls(
    folder: Path, server: Pair, client_authority: trustme.CA | None = None
) -> dict[str, str]:
    """Write the files of `server.tls`; returns that section."""
    folder.mkdir(exist_ok=True)
    (folder / "cert.pem").write_bytes(server.cert_pem)
    (folder / "key.pem").write_bytes(server.key_pem)
    section = {"cert_file": f"{folder}/cert.pem", "key_file": f"{folder}/key.pem"}
    if client_authority is not None:
        (folder / "ca.pem").write_bytes(client_authority.cert_pem.bytes())
        section["client_ca_file"] = f"{folder}/ca.pem"
    return section

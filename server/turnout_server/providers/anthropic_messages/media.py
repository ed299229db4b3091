"""Images and documents as content blocks."""

from base64 import b64encode
from typing import Any

from turnout.v1.content_pb2 import Media

from turnout_server.core.failure import FailureKind, ProviderFailure

Block = dict[str, Any]

_PDF = "application/pdf"
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def encode_media(media: Media, field: str) -> Block:
    """An image or document block; other media are a failure, since nothing can stand for them.

    Addresses and file ids are passed on: the gateway fetches nothing that a caller names.
    """
    declared = media.mime_type.partition(";")[0].strip().lower()
    match media.WhichOneof("source"):
        case "data":
            return _inline(media, declared, field)
        case "url":
            source = {"type": "url", "url": media.url}
            # The address may end in a query; only its path tells what it leads to.
            is_pdf = declared == _PDF or media.url.partition("?")[0].lower().endswith(".pdf")
        case _:
            source = {"type": "file", "file_id": media.file_id}
            is_pdf = not declared.startswith("image/")
    if is_pdf:
        return _document(source, media.filename)
    if declared and not declared.startswith("image/"):
        raise _unsupported(declared, field)
    return {"type": "image", "source": source}


def _inline(media: Media, declared: str, field: str) -> Block:
    # The bytes decide: a type that does not fit them is refused upstream with a 400.
    found = _sniff(media.data) or declared
    if found == _PDF:
        return _document(_base64(media.data, _PDF), media.filename)
    if found in _IMAGES:
        return {"type": "image", "source": _base64(media.data, found)}
    if found.startswith("text/"):
        try:
            text = media.data.decode()
        except UnicodeDecodeError:
            raise ProviderFailure(
                FailureKind.REJECTED, f"{field}: a text document is UTF-8", field=field
            ) from None
        return _document({"type": "text", "media_type": "text/plain", "data": text}, media.filename)
    raise _unsupported(found, field)


def _document(source: Block, filename: str) -> Block:
    block: Block = {"type": "document", "source": source}
    if filename:
        block["title"] = filename
    return block


def _base64(data: bytes, media_type: str) -> Block:
    return {"type": "base64", "media_type": media_type, "data": b64encode(data).decode("ascii")}


def _sniff(data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return _PDF if data.startswith(b"%PDF-") else ""


def _unsupported(media_type: str, field: str) -> ProviderFailure:
    return ProviderFailure(
        FailureKind.CAPABILITY, f"{field}: {media_type or 'the medium'} is not taken", field=field
    )

"""Swaps the configuration when its files change: whole or not at all."""

import asyncio
import hashlib
import signal
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from turnout_server.app.config.problem import ConfigError
from turnout_server.app.settings import Settings
from turnout_server.rpc.admin import Reloaded

POLL_INTERVAL_S = 2.0
"""A rotated key is in use within ten seconds, and nobody is woken often."""

AT_THE_START = ("server", "cache", "limits", "batching", "usage", "telemetry")
"""Sections that are read once: what changes in them waits for a restart, but for `limits.tenants`.
"""

_Stamp = tuple[int, int, int]
_log = structlog.get_logger(__name__)


class Reloader:
    """Watches the files of the settings in use, and SIGHUP.

    `read` makes new settings, off the event loop, and raises ConfigError for bad ones; `swap` takes
    them into use, or raises and has changed nothing. After bad ones nothing changes until a file
    changes again.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        swap: Callable[[Settings], Awaitable[None]],
        *,
        poll_interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self.stale = False
        """Whether the files say something that could not be taken into use."""
        self._settings = settings
        self._read = read
        self._swap = swap
        self._poll_interval_s = poll_interval_s
        self._asked = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._stamps = _stamps(settings.files)
        self._fingerprint = _fingerprint(settings)

    async def run(self) -> None:
        """Watch until cancelled; install it as a task of its own."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        try:
            while True:
                await self._wait()
                asked = self._asked.is_set()
                self._asked.clear()
                stamps = await asyncio.to_thread(_stamps, self._settings.files)
                if asked or stamps != self._stamps:
                    self._stamps = stamps  # bad settings are complained of once, not at every look
                    await self.reload()
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def reload(self, *, validate_only: bool = False) -> Reloaded:
        """Read everything anew and take it into use, or say why not in `error`."""
        async with self._reloading:
            before = await asyncio.to_thread(_stamps, self._settings.files)
            try:
                settings = await asyncio.to_thread(self._read)
                fingerprint = await asyncio.to_thread(_fingerprint, settings)
                reloaded = self._judge(settings, changed=fingerprint != self._fingerprint)
                if validate_only:
                    return reloaded
                await self._swap(settings)
            except ConfigError as error:
                problems = [str(problem) for problem in error.problems]
                return self._refused(problems, validate_only=validate_only)
            except Exception as error:  # noqa: BLE001  what a client's constructor may raise
                _log.error("config_refused", kept="the configuration before", exc_info=error)
                problems = [f"a bug of ours: {type(error).__name__}"]
                return self._refused(problems, validate_only=validate_only)
            # A file that changed while it was read is newer than its stamp, so it is read again.
            self._stamps = await asyncio.to_thread(_stamps, settings.files - before.keys())
            self._stamps |= {file: before[file] for file in settings.files & before.keys()}
            self._settings = settings
            self._fingerprint = fingerprint
            self.stale = False
        for warning in reloaded.warnings:
            _log.warning("config_waits", hint=warning)
        _log.info("config_reloaded", files=sorted(map(str, settings.files)))
        return reloaded

    def _judge(self, settings: Settings, *, changed: bool) -> Reloaded:
        """What these settings would change."""
        old, new = self._settings.config, settings.config
        # Tenants' limits are taken into use like routes and keys.
        limits = old.limits.model_copy(update={"tenants": new.limits.tenants})
        old = old.model_copy(update={"limits": limits})
        waiting = [name for name in AT_THE_START if getattr(old, name) != getattr(new, name)]
        return Reloaded(
            version=hashlib.sha256(new.model_dump_json().encode()).hexdigest()[:16],
            changed=changed,
            warnings=tuple(f"{name}: is read at the start; restart to use it" for name in waiting),
        )

    def _refused(self, problems: list[str], *, validate_only: bool) -> Reloaded:
        if not validate_only:
            self.stale = True
            _log.error("config_refused", problems=problems, kept="the configuration before")
        return Reloaded(error="\n".join(problems))

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll_interval_s):
                await self._asked.wait()
        except TimeoutError:
            return


def _stamps(files: Iterable[Path]) -> dict[Path, _Stamp | None]:
    """What tells a file from its successor, through links: they swap a mounted secret."""
    return {file: _stamp(file) for file in files}


def _stamp(file: Path) -> _Stamp | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _fingerprint(settings: Settings) -> bytes:
    """A digest of the configuration and of every secret and file that it refers to; never shown.

    Blocks.
    """
    digest = hashlib.sha256(settings.config.model_dump_json().encode())
    for endpoint in settings.routes.endpoints.values():
        for key in endpoint.keys:
            digest.update(f"{endpoint.name} {key.id} {key.secret.reveal()}\n".encode())
    for file in sorted(settings.files):
        with suppress(OSError):
            digest.update(file.read_bytes())
    return digest.digest()

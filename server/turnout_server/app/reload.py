"""Swaps the configuration when its files change: whole or not at all."""

import asyncio
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from turnout_server.app.config.problem import ConfigError
from turnout_server.app.settings import Settings

POLL_INTERVAL_S = 2.0
"""A rotated key is in use within ten seconds, and nobody is woken often."""

_Stamp = tuple[int, int, int]
_log = structlog.get_logger(__name__)


class Reloader:
    """Watches the files of the settings in use, and SIGHUP.

    `read` makes new settings, off the event loop, and raises ConfigError for bad ones; `swap` takes
    them into use, on the loop. After bad ones nothing changes until a file changes again.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        swap: Callable[[Settings], None],
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
        self._stamps = _stamps(settings.files)

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

    async def reload(self) -> bool:
        """Read everything anew and take it into use; returns False when it is not usable."""
        before = await asyncio.to_thread(_stamps, self._settings.files)
        try:
            settings = await asyncio.to_thread(self._read)
        except ConfigError as error:
            self.stale = True
            problems = [str(problem) for problem in error.problems]
            _log.error("config_refused", problems=problems, kept="the configuration before")
            return False
        # A file that changed while it was read is newer than its stamp, so it is read again.
        self._stamps = await asyncio.to_thread(_stamps, settings.files - before.keys())
        self._stamps |= {file: before[file] for file in settings.files & before.keys()}
        self._settings = settings
        self.stale = False
        self._swap(settings)
        _log.info("config_reloaded", files=sorted(map(str, settings.files)))
        return True

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

"""The viewer: keeps a session with the server alive, and knows at any moment what to tell the user.

    start decoder process ─┬─▶ offer, POST, connect ─▶ watch ─▶ (server gone) ─▶ wait, longer each time ─▶ again
                           └── loads while the connection is made

It runs on an event loop; pictures go to a presenter through a callback, which may pass them to another thread.
"""

import asyncio
import ipaddress
import logging
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from client.audio import AudioPlayer, player_for
from client.decoder_worker import BUFFER_BYTES, DecoderSetup
from client.explain import (
    Explanation,
    again,
    capitalised,
    connected,
    connecting,
    failed,
    refused,
    restarting,
    source,
)
from client.measurement import Measurement, Session
from client.picture import Picture
from client.receiver import Receiver
from client.seen import last_second
from client.standing import Standing
from client.status import ViewStatus
from client.whep import Refusal, Retry, WhepClient, endpoint_of
from codec.arithmetic import Arithmetic, AskArithmetic
from codec.profiles import Profile
from latentcast.config import ViewSettings
from latentcast.control import ClientMessage, Clipboard, Config, Cursor, Notice, RemoteMessage, SourceState
from latentcast.errors import UserError
from latentcast.net import addresses_for
from latentcast.shared_buffer import SharedBuffer
from latentcast.vitals import LoopLag, resident_mb
from latentcast.worker import Worker
from transport.webrtc import use_host_addresses

log = logging.getLogger(__name__)

# Back-off between attempts: doubled each time, with up to a fifth of jitter so that viewers do not come back in step.
FIRST_DELAY_S, MAX_DELAY_S = 0.2, 5.0
# Restarts of a dying decoder process in a row before the viewer gives up.
MAX_DECODER_DEATHS = 5
SAMPLE_INTERVAL_S = 1.0


class Viewer:
    """Use: `await run()` on an event loop; `status()` and `presented()` may be called from any thread.

    on_picture(picture) is called on the loop for every decoded picture. on_notice(text) gets one line for the terminal
    whenever the state changes.
    """

    def __init__(
        self,
        settings: ViewSettings,
        *,
        measurement: Measurement,
        on_picture: Callable[[Picture], None],
        on_notice: Callable[[str], None],
        on_told: Callable[[str], None] | None = None,
        on_sound: Callable[[NDArray[np.int16], int], None] | None = None,
        patient: bool = False,
    ) -> None:
        """on_told(text): a sentence of the server for the user; by default as `on_notice`. on_sound(samples,
        captured_us): decoded sound for recordings, as in `AudioPlayer`; called on the loop.

        patient: a refusal is no end but a state, and the server is asked again; so is an error of the decoder.

        Raises UserError when the URL is not one, or the profile cannot be used.
        """
        self._settings = settings
        self._profile = Profile.of(settings)
        self._measurement = measurement
        self._on_picture = on_picture
        self._on_notice = on_notice
        self._on_told = on_told or on_notice
        self.on_remote: Callable[[Cursor | Clipboard], None] = lambda _: None
        """Called on the event loop for what a driven desktop sends."""
        self._patient = patient
        self.failure: UserError | None = None
        """Why a patient viewer has shown nothing, as far as it knows."""
        self.audio = player_for(settings, on_problem=on_notice, on_samples=on_sound)
        self.endpoint = endpoint_of(settings.url, settings.stream)
        self.config: Config | None = None
        self.source: SourceState | None = None
        """What the source is doing, as the server said last."""
        self.lag = LoopLag()
        self._buffer = SharedBuffer.create(BUFFER_BYTES)
        self._worker = self._make_worker()
        self._receiver: Receiver | None = None
        self._arithmetic: Arithmetic | None = None
        self._ended: asyncio.Future[tuple[str, bool]] | None = None
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._standing = Standing(settings.stream, measurement=measurement, on_notice=on_notice)
        self._decoder_deaths = 0
        self._fatal: str | None = None
        """Why no session can work any more."""
        self._weights_sha256 = self._profile.weights_sha256()

    async def run(self) -> None:
        """Watch until `stop`. Raises UserError when watching can never work."""
        self._loop = asyncio.get_running_loop()
        host = urlsplit(self.endpoint).hostname or ""
        addresses = addresses_for(host)
        # Another host is reached from whichever interface leads there; loopback stays on loopback.
        loopback = addresses is not None and ipaddress.ip_address(addresses[0]).is_loopback
        use_host_addresses(addresses if loopback else None)
        self._worker.start()
        if self.audio is not None:
            self.audio.start()
        background = [
            asyncio.create_task(self.lag.run(), name="loop lag"),
            asyncio.create_task(self._sample(), name="sample"),
        ]
        token = self._settings.token
        whep = WhepClient(self.endpoint, token=None if token is None else token.get_secret_value())
        try:
            await self._watch(whep)
        except UserError as error:
            if not self._patient:
                raise
            self.failure = error
            self._standing.say(failed(str(error)))
            await self._stop.wait()
        finally:
            for task in background:
                task.cancel()
            await asyncio.wait(background)
            await whep.close()
            if self.audio is not None:
                await self.audio.stop()
            await self._worker.stop()
            self._buffer.close()

    def stop(self) -> None:
        """End `run`. Any thread."""
        if self._loop is None:
            self._stop.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def send(self, message: ClientMessage) -> bool:
        """Tell the server something, on the event loop's thread; False while there is no session to say it in."""
        return self._receiver is not None and self._receiver.send(message)

    @property
    def may_drive(self) -> bool:
        """Whether the server lets this viewer drive what it shows now. Any thread."""
        return self._receiver is not None and self.source is not None and self.source.drive

    @property
    def control_backlog(self) -> int:
        """Bytes of control messages that wait to be sent. Any thread."""
        receiver = self._receiver
        return 0 if receiver is None else receiver.control_backlog

    def send_remote(self, message: RemoteMessage) -> None:
        """Send what drives a desktop; dropped where there is no session. Any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.send, message)

    def passed(self, picture: Picture, now_us: int) -> None:
        """A picture came and is not shown: its tab is hidden, or paused. Any thread."""
        self._standing.passed(now_us)
        self.failure = None

    def presented(self, picture: Picture, now_us: int) -> None:
        """The presenter shows a picture since `now_us` (monotonic). Any thread."""
        receiver = self._receiver
        if receiver is None:
            return
        record = self._standing.presented(picture, now_us, receiver.clock)
        self.failure = None
        if record is not None and self.audio is not None:
            self.audio.on_presented(record.total_ms)

    def sound(self) -> AudioPlayer | None:
        """What plays the stream's sound, once the stream is known to have some. Any thread."""
        return self.audio if self.source is not None and self.source.audio else None

    def status(self) -> ViewStatus:
        """What the user should know now. Any thread."""
        ready = self._arithmetic is not None
        return self._standing.status(self._receiver, config=self.config, source=self.source, decoder_ready=ready)

    # -- connections

    async def _watch(self, whep: WhepClient) -> None:
        delay = FIRST_DELAY_S
        attempt = 0
        while not self._stop.is_set():
            attempt += 1
            why = self._standing.explanation
            if why is None or why.situation not in ("refused", "missing"):
                self._standing.say(connecting(self.endpoint, attempt))
            refusal: Refusal | None = None
            try:
                message, lived = await self._session(whep)
                asked_s = None
            except Retry as error:
                message, lived, asked_s = str(error), False, error.after_s
            except Refusal as error:
                if not (self._measurement.presented or self._patient):
                    raise
                # Where it worked before the server may just be starting again with another stream.
                message, lived, asked_s, refusal = str(error), False, None, error
                if not self._measurement.presented:
                    self.failure = error
            if self._stop.is_set():
                return
            if lived:
                delay, attempt = FIRST_DELAY_S, 0
                self._measurement.reconnects += 1
            # What the server asks for holds for this once; a server that says nothing is left alone ever longer.
            pause = asked_s if asked_s is not None else delay * random.uniform(1.0, 1.2)
            delay = min(MAX_DELAY_S, 2 * delay)
            now = time.monotonic()
            if refusal is None:
                self._standing.say(again(message, pause_s=pause, now=now))
            else:
                given = self._settings.token is not None
                self._standing.say(refused(refusal, token_given=given, pause_s=pause, now=now))
            await self._wait_stop(pause)

    async def _session(self, whep: WhepClient) -> tuple[str, bool]:
        """One connection. Returns why it ended, and whether it had come up. Raises Retry, UserError."""
        if self._fatal is not None:
            raise UserError(self._fatal)
        loop = asyncio.get_running_loop()
        ended = self._ended = loop.create_future()
        receiver = self._receiver = Receiver(
            self._worker,
            self._buffer,
            profile=self._profile.name,
            weights_sha256=self._weights_sha256,
            arithmetic=self._arithmetic,
            ice_servers=self._settings.ice_servers,
            audio=self.audio,
            on_picture=self._on_picture,
            on_config=self._on_config,
            on_source=self._on_source,
            on_message=self._on_message,
            on_trouble=lambda reason: self._standing.say(failed(reason)),
            on_end=lambda message, fatal: _set(ended, (message, fatal)),
        )
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        connecting = asyncio.create_task(self._connect(whep, receiver), name="connect")
        try:
            # A server that takes its time must not keep the user from leaving.
            await asyncio.wait([connecting, ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                connecting.result()
                await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await receiver.leave()
                return "stopped", True
            message, fatal = ended.result()
            self._standing.say(Explanation("gone", capitalised(message.rstrip("."))))
            if fatal:
                raise UserError(message)
            return message, receiver.config is not None
        finally:
            connecting.cancel()
            stopping.cancel()
            await asyncio.wait([connecting, stopping])
            if receiver.stats is not None:
                session = Session(receiver.stats, receiver.counts, receiver.loss, receiver.packets_expected)
                self._measurement.add_session(session)
            self._receiver = None
            await receiver.close()
            if not connecting.cancelled() and connecting.exception() is None:
                await whep.delete(connecting.result())

    @staticmethod
    async def _connect(whep: WhepClient, receiver: Receiver) -> str:
        """Signalling; returns the URL of the session. Raises Retry or Refusal."""
        answer = await whep.post(await receiver.offer())
        try:
            await receiver.accept(answer.sdp)
        except ValueError as error:
            raise Retry(f"the server's answer makes no sense: {error}") from error
        return answer.session_url

    def _on_config(self, config: Config) -> None:
        self.config = config
        self._standing.say(connected(config.stream, (config.width, config.height)))

    def _on_source(self, state: SourceState) -> None:
        self.source = state
        if state.state != "live":
            self._standing.say(source(state))

    def _on_message(self, message: Cursor | Clipboard | Notice) -> None:
        if isinstance(message, Notice):
            self._on_told(capitalised(message.message))
        else:
            self.on_remote(message)

    async def _wait_stop(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    # -- the decoder process

    def _make_worker(self) -> Worker:
        setup = DecoderSetup(profile=self._profile, fd=self._buffer.fd, threads=self._settings.decoder_threads)
        return Worker(
            module="client.decoder_worker",
            arguments=setup,
            fds=(self._buffer.fd,),
            on_ready=self._on_worker_ready,
            on_result=self._on_worker_result,
            on_death=self._on_worker_death,
        )

    def _on_worker_ready(self) -> None:
        self._worker.submit(AskArithmetic())

    def _on_worker_result(self, result: object) -> None:
        self._decoder_deaths = 0
        if isinstance(result, Arithmetic):
            self._arithmetic = result
            if self._receiver is not None:
                self._receiver.on_decoder(result)
        elif self._receiver is not None:
            self._receiver.on_result(result)  # type: ignore[arg-type]  # whatever our own child sends

    def _on_worker_death(self, reason: str) -> None:
        self._decoder_deaths += 1
        self._arithmetic = None
        if self._worker.refused or self._decoder_deaths > MAX_DECODER_DEATHS:
            self._give_up(reason if self._worker.refused else f"the decoder keeps failing: {reason}")
            return
        self._standing.say(restarting(reason))
        try:
            self._worker.start()
        except OSError as error:
            self._give_up(f"the decoder cannot be started again ({error}); free some memory or processes.")

    def _give_up(self, why: str) -> None:
        """End the present session, and every later one at once."""
        self._fatal = why
        if self._ended is not None:
            _set(self._ended, (why, True))

    async def _sample(self) -> None:
        """Memory, and a word to the server, once a second."""
        while True:
            await asyncio.sleep(SAMPLE_INTERVAL_S)
            receiver = self._receiver
            stats = None if receiver is None else receiver.stats
            self._measurement.add_memory(
                client_mb=resident_mb((os.getpid(), self._worker.pid)),
                server_mb=None if stats is None else stats.memory_mb,
            )
            if receiver is not None:
                presented = self._measurement.presented
                receiver.send(last_second(self._standing.recent, receiver, presented=presented, now=time.monotonic()))


def _set(future: asyncio.Future[tuple[str, bool]], value: tuple[str, bool]) -> None:
    if not future.done():
        future.set_result(value)

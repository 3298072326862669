"""Every private name of Pipecat's output transport that this package touches.

Pipecat pushes ``BotStoppedSpeakingFrame`` when the last chunk has been *sent*, and gives no hook in
between. Here the sender waits first until the audio has been *played*, as the transport knows from
Twilio's marks.
``tests/processors/test_media_sender.py`` fails if a name used here goes away.
"""

from collections.abc import Awaitable, Callable

from pipecat.frames.frames import Frame, InterruptionFrame, StartFrame, TTSStoppedFrame
from pipecat.transports.base_output import BaseOutputTransport


class PlayoutSender(BaseOutputTransport.MediaSender):
    """Pipecat's sender of queued audio, which lets an utterance end when it has been heard."""

    wait_until_played: Callable[[], Awaitable[None]]

    async def _handle_frame(self, frame: Frame):
        if isinstance(frame, TTSStoppedFrame) and self._tts_audio_received:
            await self.wait_until_played()
        await super()._handle_frame(frame)

    async def handle_interruptions(self, _: InterruptionFrame):
        """Drops what is queued, and with it what the resampler still holds of it."""
        await self._resampler.reset()
        await super().handle_interruptions(_)


async def install_sender(
    transport: BaseOutputTransport,
    frame: StartFrame,
    wait_until_played: Callable[[], Awaitable[None]],
) -> None:
    """Makes a :class:`PlayoutSender` the sender of a transport's default destination.

    Args:
        transport: The transport.
        frame: The frame that starts it.
        wait_until_played: Returns when the audio sent so far has been heard.
    """
    sender = PlayoutSender(
        transport,
        destination=None,
        sample_rate=transport.sample_rate,
        audio_chunk_size=transport.audio_chunk_size,
        params=transport._params,  # pyright: ignore[reportPrivateUsage]
    )
    sender.wait_until_played = wait_until_played
    transport._media_senders[None] = sender  # pyright: ignore[reportPrivateUsage]
    await sender.start(frame)

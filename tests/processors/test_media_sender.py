# pyright: reportPrivateUsage=false
"""The private names of Pipecat that this package relies on are still there."""

import inspect

from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams


def test_private_names_exist():
    params = TransportParams(audio_out_enabled=True)
    transport = BaseOutputTransport(params)
    sender = BaseOutputTransport.MediaSender(
        transport, destination=None, sample_rate=8000, audio_chunk_size=1600, params=params
    )

    assert transport._params is params
    assert transport._media_senders == {}
    assert sender._tts_audio_received is False
    assert inspect.iscoroutinefunction(sender._handle_frame)
    assert inspect.iscoroutinefunction(sender._resampler.reset)

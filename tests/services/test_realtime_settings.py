"""A realtime session's audio is the phone line's."""

from pipecat.frames.frames import (
    InputAudioRawFrame,
    LLMUpdateSettingsFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.services.openai.realtime import events

from tests.services.realtime_rig import running
from tests.transport.bots import tone
from tests.waiting import others_run, time_passes
from twilio_frames.services.realtime import PhoneOpenAIRealtimeLLMService
from twilio_frames.services.realtime.settings import phone_session
from twilio_frames.testing.vendors import RealtimeServer


def test_session_is_mulaw_whatever_is_asked_for():
    asked = events.SessionProperties(
        audio=events.AudioConfiguration(
            input=events.AudioInput(
                format=events.PCMAudioFormat(), turn_detection=events.SemanticTurnDetection()
            ),
            output=events.AudioOutput(voice="cedar"),
        )
    )
    session = phone_session(asked)

    assert session.audio is not None
    assert session.audio.input is not None
    assert session.audio.output is not None
    assert session.audio.input.format == session.audio.output.format == events.PCMUAudioFormat()
    assert session.audio.output.voice == "cedar"
    assert session.audio.input.turn_detection == events.SemanticTurnDetection()
    assert asked.audio is not None
    assert asked.audio.input is not None
    assert asked.audio.input.format == events.PCMAudioFormat()


async def test_new_settings_leave_the_line_mulaw():
    async with RealtimeServer() as server:
        async with running(server) as (worker, _, _behind):
            await server.asked_for("session.update")
            properties = events.SessionProperties(instructions="Be brief.")
            delta = PhoneOpenAIRealtimeLLMService.Settings(session_properties=properties)
            await worker.queue_frame(LLMUpdateSettingsFrame(delta=delta))
            await server.asked_for("session.update", 2)
            await others_run()

    assert server.session.settings.values["instructions"] == "Be brief."
    assert server.session.settings.input_format.name == "audio/pcmu"
    assert server.session.settings.turn_detection is None


async def test_pcm_of_other_transports_is_encoded():
    async with RealtimeServer() as server:
        async with running(server) as (worker, _, _behind):
            await server.asked_for("session.update")
            # What comes before the answer is sent in one piece, behind it.
            await time_passes(0.1)
            await worker.queue_frame(UserStartedSpeakingFrame())
            pcm = tone(1.0, rate=16000)
            await worker.queue_frame(
                InputAudioRawFrame(audio=pcm, sample_rate=16000, num_channels=1)
            )
            await server.asked_for("input_audio_buffer.append", 10)
            await worker.queue_frame(UserStoppedSpeakingFrame())
            await server.asked_for("input_audio_buffer.commit")

    assert 7200 <= len(server.session.heard) <= 8000

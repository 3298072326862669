"""Recorded calls that become callers."""

import base64
import json
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.testing.bots import AUTH_TOKEN, TinyBot, serving, tone
from twilio_frames.audio import decode_mulaw, encode_mulaw, mulaw_silence
from twilio_frames.errors import ConfigurationError
from twilio_frames.testing import SimulatedTwilio
from twilio_frames.testing.logs.capture import read_capture
from twilio_frames.testing.replay import read_replay

SILENT = "/" * 213 + "w=="
AUDIO = mulaw_silence(0.1) + tone(0.3) + mulaw_silence(0.9) + tone(0.2, 700) + mulaw_silence(0.1)


def messages(audio: bytes = AUDIO, first: int = 135) -> list[dict]:
    """A call as Twilio tells it."""
    start = {
        "accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1", "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"table": "7"},
    }  # fmt: skip
    told = [
        {"event": "connected", "protocol": "Call", "version": "0.2.0"},
        {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": "MZ1"},
    ]
    for number in range(len(audio) // 160):
        payload = base64.b64encode(audio[number * 160 : number * 160 + 160]).decode()
        media = {
            "track": "inbound", "chunk": str(number + 1), "timestamp": str(first + 20 * number),
            "payload": payload,
        }  # fmt: skip
        told.append({
            "event": "media", "sequenceNumber": str(number + 2), "media": media,
            "streamSid": "MZ1",
        })  # fmt: skip
    told.append({"event": "stop", "sequenceNumber": "99", "streamSid": "MZ1", "stop": {}})
    return told


SHARDS = (
    '{"event": "media", "media": {"payload": "fn5+", "timestamp": "1"}, "sequenceNumber": "1"}',
    '{"event": "media", "media": {"payload": "fn5+", "timestamp": 99999999999999}}',
    '{"event": "media", "media": {"payload": 7}}',
    '{"event": "start", "start": {"mediaFormat": 5, "customParameters": [1]}}',
    '{"event": "start", "start": {"mediaFormat": {"sampleRate": []}}}',
    '{"event": ["media"], "message": {"message": {"message": {"message": {}}}}}',
    '{"format": "twilio-frames call log"}',
    '{"t": "x", "kind": "transcript", "text": "hi"}',
    '{"source": "call", "event": "ended", "seconds": null}',
    "{'event': 'dtmf', 'dtmf': {'digit': 5}}",
    '[{"event": "stop"}, 5, "{"]',
    "[[[[",
    "{" * 2000,
)


@pytest.fixture
def write(tmp_path):
    def write_lines(*lines: object, name: str = "call.jsonl"):
        path = tmp_path / name
        texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        path.write_text("\n".join(texts) + "\n")
        return path

    return write_lines


def test_posted_messages_are_a_caller(write):
    capture = read_capture(write(*messages()))

    assert bytes(capture.audio) == AUDIO
    assert (capture.parameters, capture.has_stop) == ({"table": "7"}, True)
    assert (capture.malformed, capture.missing_secs) == ([], 0)


def test_start_may_lack_parameters(write):
    told = messages()
    del told[1]["start"]["customParameters"]

    assert read_replay(write(*told)).parameters == {}


@given(st.lists(st.one_of(st.text(max_size=30), st.sampled_from(SHARDS)), max_size=6))
def test_no_text_breaks_the_reader(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("capture") / "call.jsonl"
    path.write_text("\n".join(lines), "utf-8", "replace")

    try:
        replay = read_replay(path, skip_malformed=True)
    except ConfigurationError:
        return
    assert replay.said


def as_array(told: list[dict]) -> list[str]:
    return [json.dumps(told, indent=1)]


def in_a_log(told: list[dict]) -> list[str]:
    return [f"2024-05-01 12:00:00 INFO received: {json.dumps(message)}" for message in told]


def printed(told: list[dict]) -> list[str]:
    return [repr(message) for message in told]


def wrapped(told: list[dict]) -> list[str]:
    return [json.dumps({"direction": "in", "time": 1.5, "message": message}) for message in told]


def wrapped_as_text(told: list[dict]) -> list[str]:
    return [json.dumps({"ts": 1, "data": json.dumps(message)}) for message in told]


@pytest.mark.parametrize("form", [as_array, in_a_log, printed, wrapped, wrapped_as_text])
def test_posts_may_have_something_around_them(write, form):
    capture = read_capture(write(*form(messages())))

    assert bytes(capture.audio) == AUDIO
    assert not capture.malformed


def test_bots_messages_are_passed_over(write):
    told = messages()
    bots = {"event": "media", "streamSid": "MZ1", "media": {"payload": SILENT}}
    said = {"direction": "outbound", "message": told[5]}
    other = {**told[6], "streamSid": "MZ2"}
    capture = read_capture(
        write(*told[:9], bots, said, other, {"event": "clear", "streamSid": "MZ1"}, *told[9:])
    )

    assert bytes(capture.audio) == AUDIO
    assert (capture.from_bot, capture.other_streams) == (3, 1)


def test_missing_frames_are_silence(write):
    told = messages()
    replay = read_replay(write(*told[:10], *told[13:]))

    assert replay.seconds == pytest.approx(len(AUDIO) / 8000)
    assert replay.lost == ("0.06 s of audio that are missing: silence instead",)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"event": "media", "media"', "expected a message in JSON, got a broken one"),
        ("what now?", "expected a message in JSON, got none"),
        ('{"event": "hello"}', "expected one of the events clear, connected"),
        ('{"event": "media", "streamSid": "MZ1", "sequenceNumber": "9"}', "a `media` object"),
        (
            '{"event": "media", "media": {"track": "inbound", "payload": "f39/.."}}',
            "in base64",
        ),
        ('{"event": "dtmf", "dtmf": {}}', "a `digit`"),
    ],
)
def test_malformed_lines_are_named(write, line, problem):
    told = messages()
    path = write(*told[:10], line, "...", *told[11:])

    with pytest.raises(ConfigurationError) as error:
        read_replay(path)

    assert problem in str(error.value)
    assert f"{path}:11 (and in 1 more): mend the line or skip such lines; 0.02 s" in str(
        error.value
    )
    replay = read_replay(path, skip_malformed=True)
    assert replay.lost[:2] == (
        "2 lines that are no messages (11, 12)",
        "0.02 s of audio that are missing: silence instead",
    )


def test_file_without_audio_is_refused(write):
    with pytest.raises(ConfigurationError, match="got none"):
        read_replay(write({"event": "connected"}))


def test_other_formats_are_refused(write):
    told = messages()
    told[1]["start"]["mediaFormat"] = {"encoding": "audio/l16", "sampleRate": 16000}

    with pytest.raises(ConfigurationError, match="got audio/l16 at 16000 Hz"):
        read_replay(write(*told))


async def test_bot_gets_the_recorded_call_again(write):
    told = messages()
    digit = {"event": "dtmf", "streamSid": "MZ1", "dtmf": {"track": "inbound_track", "digit": "5"}}
    replay = read_replay(write(*told[:40], digit, *told[40:]))
    bot = TinyBot()
    async with SimulatedTwilio(auth_token=AUTH_TOKEN) as twilio, serving(bot) as host:
        async with twilio.call(f"ws://{host}/stream", parameters=replay.parameters) as caller:
            await replay.perform(caller)
        await bot.wait_for("stop")

    sent = b"".join(base64.b64decode(each["media"]["payload"]) for each in bot.said("media"))
    assert AUDIO.strip(b"\xff") in sent
    assert bot.said("start")[0]["start"]["customParameters"] == {"table": "7"}
    at = next(n for n, each in enumerate(bot.messages) if each["event"] == "dtmf")
    pressed_at = int(bot.messages[at - 1]["media"]["timestamp"])
    spoke_at = next(
        int(each["media"]["timestamp"])
        for each in bot.said("media")
        if each["media"]["payload"] != SILENT
    )
    assert pressed_at - spoke_at == pytest.approx(660, abs=100)
    assert [round(turn.began_at - caller.result.turns[0].began_at, 1) for turn in
            caller.result.turns] == [0.0, 1.2]  # fmt: skip


def write_recording(path, caller: bytes):
    left = np.frombuffer(decode_mulaw(caller), dtype=np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.stack([left, left[::-1]], axis=1).tobytes())


LOG = (
    {"t": 0.0, "kind": "log", "format": "twilio-frames call log", "version": 1, "words": True},
    {"t": 2.4, "kind": "vad_started", "after": 0.2},
    {"t": 3.9, "kind": "transcript", "words": 2, "text": "Hello there."},
    {"t": 5.0, "kind": "digit", "digit": "4"},
    {"t": 6.0, "kind": "digit"},
    {"t": 9.5, "kind": "ended", "reason": "caller hung up"},
    {"t": 9.6, "kind": "closed"},
)


def test_words_of_a_log_are_spoken(write):
    replay = read_replay(write(*LOG))

    ((at, text),) = [(said.at, said.speech) for said in replay.said]
    assert (at, text) == (pytest.approx(2.2), "Hello there.")
    assert (replay.digits, replay.seconds) == (((5.0, "4"),), 9.5)
    assert replay.lost == (
        "1 keys that the log does not name",
        "the caller's voice: the words are spoken instead",
    )


def test_recording_beside_a_log_is_heard(write, tmp_path):
    path = write(*LOG)
    write_recording(tmp_path / "call.wav", AUDIO)
    replay = read_replay(path)

    assert b"".join(said.speech.mulaw for said in replay.said) == AUDIO  # pyright: ignore
    assert (replay.name, replay.digits, replay.seconds) == ("call.wav", ((5.0, "4"),), 9.5)


def test_log_without_words_or_recording_is_explained(write):
    silent = [{**line, "text": None} for line in LOG]

    with pytest.raises(ConfigurationError, match=r"keep the recording as call\.wav"):
        read_replay(write(*silent))


def test_log_of_the_simulation_needs_its_recording(write, tmp_path):
    path = write(
        {"time": 0.0, "source": "call", "event": "ringing"},
        {"time": 2.0, "source": "to_bot", "event": "dtmf"},
        {"time": 4.0, "source": "call", "event": "ended", "seconds": 3.5},
    )
    with pytest.raises(ConfigurationError, match="got neither"):
        read_replay(path)

    write_recording(tmp_path / "call.wav", AUDIO)
    assert read_replay(path).seconds == 3.5
    assert read_replay(tmp_path / "call.wav").seconds == pytest.approx(len(AUDIO) / 8000, abs=0.02)


def test_noise_of_the_line_is_not_taken_for_speech(write):
    noise = np.random.default_rng(1).normal(0, 80, len(AUDIO))
    pcm = np.frombuffer(decode_mulaw(AUDIO), dtype=np.int16) + noise
    noisy = encode_mulaw(pcm.clip(-32768, 32767).astype(np.int16).tobytes())

    replay = read_replay(write([json.dumps(each) for each in messages(noisy)]))

    assert len(replay.said) == 2

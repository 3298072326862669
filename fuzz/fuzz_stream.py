"""Lets libFuzzer look for a message that a stream, at either end, cannot stand.

    pip install atheris
    python fuzz/fuzz_stream.py -max_total_time=300 -max_len=1500

Without a crash nothing was found; with one, the message is in a file ``crash-...``.
"""

# atheris is not among the dependencies, and has no types.
# pyright: reportAttributeAccessIssue=false, reportMissingModuleSource=false

import sys

import atheris

with atheris.instrument_imports(include=["twilio_frames.protocol"]):
    from twilio_frames.protocol import (
        Clear,
        Connected,
        Dtmf,
        Mark,
        Media,
        Message,
        Role,
        SendMark,
        SendMedia,
        Start,
        Stop,
        Stream,
        encode,
    )

from sanity import require_sanity

_SID = "MZ1"
_MESSAGES: dict[Role, list[Message]] = {
    Role.TWILIO: [
        Connected(),
        Start(stream_sid=_SID, custom_parameters={"a": "b"}, sequence_number=1),
        Media(payload=b"\xff" * 8, timestamp=99, chunk=1, sequence_number=2, stream_sid=_SID),
        Dtmf(digit="5", sequence_number=3, stream_sid=_SID),
        Mark(name="m", sequence_number=4, stream_sid=_SID),
        Stop(sequence_number=5, stream_sid=_SID),
    ],
    Role.BOT: [
        SendMedia(payload=b"\xff" * 8, stream_sid=_SID),
        SendMark(name="m", stream_sid=_SID),
        Clear(stream_sid=_SID),
    ],
}
_TEXTS = {role: [encode(message) for message in own] for role, own in _MESSAGES.items()}
_START = Start(stream_sid=_SID)


def one_input(data: bytes) -> None:
    """Some messages for one stream: raw text, valid ones, and valid ones with a piece replaced."""
    provider = atheris.FuzzedDataProvider(data)
    stream = Stream(provider.PickValueInList(list(Role)))
    texts = _TEXTS[stream.our_role.other]
    if provider.ConsumeBool():
        stream.adopt(_START)
    while provider.remaining_bytes():
        message = _message(provider, texts)
        before = stream.state
        require_sanity(stream, before, stream.receive(message))


def _message(provider: "atheris.FuzzedDataProvider", texts: list[str]) -> str | bytes:
    match provider.ConsumeIntInRange(0, 4):
        case 0:
            return provider.ConsumeUnicode(200)
        case 1:
            return provider.ConsumeBytes(20)
        case 2:
            return provider.PickValueInList(texts)
        case _:
            text = provider.PickValueInList(texts)
            begin = provider.ConsumeIntInRange(0, len(text))
            length = provider.ConsumeIntInRange(0, 40)
            return text[:begin] + provider.ConsumeUnicode(40) + text[begin + length :]


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

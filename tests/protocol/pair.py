"""Both ends of a stream, wired together without a network."""

from dataclasses import dataclass, field

from twilio_frames.protocol import Connected, Event, Message, Role, Start, Stream

START = Start(
    stream_sid="MZ1",
    call_sid="CA1",
    account_sid="AC1",
    custom_parameters={"FirstName": "Jane"},
)


@dataclass
class Pair:
    bot: Stream = field(default_factory=lambda: Stream(Role.BOT))
    twilio: Stream = field(default_factory=lambda: Stream(Role.TWILIO))

    def from_twilio(self, message: Message) -> list[Event]:
        return self.bot.receive(self.twilio.send(message))

    def from_bot(self, message: Message) -> list[Event]:
        return self.twilio.receive(self.bot.send(message))


def started_pair() -> Pair:
    pair = Pair()
    pair.from_twilio(Connected())
    pair.from_twilio(START)
    return pair

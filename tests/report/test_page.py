import base64
import gzip
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.report.logs import HEADER, closed, line, log_of, reply, report_of, texts, turn
from twilio_frames.audio import decode_mulaw
from twilio_frames.errors import ConfigurationError
from twilio_frames.report import make_report, page
from twilio_frames.report.content import subtitle, tiles
from twilio_frames.report.picture import WIDTH, picture
from twilio_frames.report.reading import parse_log
from twilio_frames.report.waves import Recording, logged_peaks, read_recording
from twilio_frames.transport.recorder.wav import StereoWav


class Parts(HTMLParser):
    """The page's scripts by their id, and every address that would be fetched."""

    def __init__(self, text: str):
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.addresses: list[str] = []
        self._open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.addresses += [given[name] or "" for name in ("src", "href") if name in given]
        self._open = given.get("id") or "code" if tag == "script" else None

    def handle_data(self, data):
        if self._open:
            self.scripts[self._open] = self.scripts.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = None


def content_of(text: str) -> dict:
    return json.loads(Parts(text).scripts["content"])


CALL = [*reply(0.6, "Hello."), *turn(3.0, 4.0), *reply(4.8, "Hi.", context=1), closed(7.0)]


def recorded(path, seconds: float = 2.0) -> Recording:
    wav = StereoWav(path)
    wav.write(0, 0, bytes([0x80]) * round(8000 * seconds))
    wav.write(1, 8000, bytes([0x00]) * 4000)
    wav.end(round(8000 * seconds))
    return read_recording(path)


def test_page_needs_nothing_else():
    parts = Parts(page(report_of(*CALL)))

    # Without an icon of its own a browser asks for one.
    assert "data:," in parts.addresses
    assert all(address.startswith(("#", "data:")) for address in parts.addresses)
    assert not re.findall(r"https?://", parts.scripts["code"])
    assert "fetch(" not in parts.scripts["code"]


def test_page_holds_what_was_said():
    content = content_of(page(report_of(*CALL)))

    assert [each[2] for each in content["utterances"]] == ["hello there"]
    assert [each["text"] for each in content["replies"]] == ["Hello.", "Hi."]
    assert content["title"] == "CA1"


@pytest.mark.parametrize(
    "words", ["</script><script>alert(1)</script>", "<!--<script>", "{{audio}}"]
)
def test_words_cannot_leave_their_place(words: str):
    """What a caller says comes from a stranger."""
    text = page(report_of(line(1.0, "said", context=0, words=1, text=words), closed(2.0)))

    assert content_of(text)["replies"][0]["text"] == words
    assert set(Parts(text).scripts) == {"content", "code"}


def test_title_is_escaped():
    report = make_report(log_of(line(0.1, "call", call_sid="<b>CA1</b>"), closed(2.0)))

    assert "<title>Call &lt;b&gt;CA1&lt;/b&gt;</title>" in page(report)


def test_recording_is_in_the_page(tmp_path):
    recording = recorded(tmp_path / "call.wav")
    text = page(make_report(log_of(closed(2.0)), recording))

    mulaw = gzip.decompress(base64.b64decode(Parts(text).scripts["packed"]))
    samples = np.frombuffer(decode_mulaw(mulaw), np.int16)
    assert np.array_equal(samples, np.concatenate([recording.caller, recording.bot]))
    assert content_of(text)["hasPacked"]


def test_long_recording_is_linked(tmp_path):
    (tmp_path / "out").mkdir()
    report = make_report(log_of(closed(2.0)), recorded(tmp_path / "a call.wav"))
    text = page(report, beside=tmp_path / "out" / "call.html", embed=False)

    assert content_of(text)["audioLink"] == "../a%20call.wav"
    assert "packed" not in Parts(text).scripts


def test_peaks_come_at_several_zooms(tmp_path):
    report = make_report(log_of(closed(20.0)), recorded(tmp_path / "call.wav", 20.0))
    zooms = content_of(page(report))["peaks"]

    assert [round(zoom["step"], 3) for zoom in zooms] == [0.01, 0.04, 0.16]
    loud = base64.b64decode(zooms[0]["bot"])
    assert loud[99:101] == bytes([0, 255])


def test_logged_levels_draw_the_waves():
    levels = line(6.0, "levels", begin=0.2, step=0.1, caller="00ff", bot="8000")
    peaks = logged_peaks(log_of(levels, line(6.1, "levels", begin=0.4, caller="zz", bot="01")))

    assert peaks.caller.tolist() == [0, 0, 0, 255, 0]
    assert peaks.bot.tolist() == [0, 0, 128, 0, 1]


def test_other_recordings_are_refused(tmp_path):
    path = tmp_path / "call.wav"
    path.write_bytes(b"no wav")

    with pytest.raises(ConfigurationError, match="expected a WAV file at"):
        read_recording(path)


@pytest.mark.parametrize("dark", [False, True])
def test_picture_shows_both_sides(tmp_path, dark: bool):
    report = make_report(log_of(*CALL), recorded(tmp_path / "call.wav"))
    image = Image.open(io.BytesIO(picture(report, dark=dark))).convert("RGB")

    pixels = np.asarray(image, np.int16)
    caller, bot = ((76, 195, 234), (245, 160, 76)) if dark else ((10, 116, 153), (174, 87, 9))
    assert image.width == WIDTH
    assert all((np.abs(pixels - one).max(axis=-1) < 6).any() for one in (caller, bot))


def test_picture_of_a_long_call_is_no_longer():
    short, long = (
        Image.open(io.BytesIO(picture(report_of(closed(seconds))))).height
        for seconds in (170.0, 3600.0)
    )

    assert long <= short


def test_subtitle_says_when_and_how_it_ended():
    log = {"began": "2026-03-01T10:00:05.5+01:00"}
    report = make_report(
        log_of(line(-1.0, "log", **log), line(9.0, "ended", reason="bot hung up"), closed(9.0))
    )

    assert subtitle(report) == "2026-03-01 09:00:05 UTC \N{MIDDLE DOT} bot hung up"
    assert subtitle(report_of(closed(9.0))) == ""


def drawn_texts(report, monkeypatch) -> list[str]:
    drawn: list[str] = []
    write = ImageDraw.ImageDraw.text

    def noted(pen, at, text, *args, **kwargs):
        drawn.append(text)
        return write(pen, at, text, *args, **kwargs)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noted)
    picture(report)
    return drawn


def test_picture_says_whose_and_when_and_what_is_what(monkeypatch):
    header = HEADER | {"began": "2026-11-30T02:28:48+02:00"}
    cut = [line(2.1, "held", left=1.0), line(2.2, "interrupted"), line(2.2, "cut", flushed=0.4)]
    call = [header, *reply(0.6, "one two three four", heard=2), *turn(2.0, 3.0), *cut]
    call += [line(4.0, "ended", reason="bot hung up"), closed(4.0)]
    drawn = drawn_texts(make_report(parse_log(texts(call))), monkeypatch)

    assert {"caller", "bot", "2026-11-30 00:28:48 UTC · bot hung up"} <= set(drawn)
    legend = {"caller speaks", "bot is heard", "bot is held", "sound thrown away"}
    assert legend | {"words never heard"} <= set(drawn)


def test_picture_explains_only_what_it_shows(monkeypatch):
    drawn = drawn_texts(report_of(closed(4.0)), monkeypatch)

    assert not [text for text in drawn if text.startswith(("wait: ", "bot is", "caller speaks"))]


def test_rows_of_a_picture_are_full(monkeypatch):
    """A call of 37 s is two rows of 18.5 s, not one of 30 s and a rest."""
    drawn = drawn_texts(report_of(closed(37.0)), monkeypatch)

    assert {"0:18", "0:36"} <= set(drawn)
    assert not [text for text in drawn if text > "0:37" and text.startswith("0:")]


def test_round_trip_is_never_less_than_nothing():
    report = report_of(line(1.0, "line", round_trip=-0.0001), closed(4.0))

    assert ("Line, there and back", "0 ms", "at its slowest") in tiles(report)

"""Writes ``docs/settings.md`` from the docstrings of what can be set: run it after a change."""

import dataclasses
import inspect
import re
import typing
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from twilio_frames.call import SilencePolicy, TimeLimit
from twilio_frames.call.answering import AnswerPolicy
from twilio_frames.campaign import CallingHours, CampaignPolicy
from twilio_frames.local.tts import EspeakTTSSettings
from twilio_frames.processors.endpointing import TurnEndTimes
from twilio_frames.processors.fallback import FallbackOptions
from twilio_frames.processors.turns.learned_pause import PauseRange
from twilio_frames.rest import CallOptions
from twilio_frames.server import CallerRules, FleetSettings, ServerSettings
from twilio_frames.services import RetryPolicy
from twilio_frames.services.openai import ReplyPolicy
from twilio_frames.testing import AccountRules, CallerOptions, LineConditions, StartDelays
from twilio_frames.testing.load import LoadPlan, QualityLimits
from twilio_frames.transport import TwilioParams

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
WHERE: dict[type, str] = {
    TwilioParams: "A call's line: `TwilioTransport(websocket, params=TwilioParams(...))`, or "
    "`ServerSettings(transport=...)` for every call of a server.",
    ServerSettings: "A server: `create_app(bot, ServerSettings(...))` and `serve()`. "
    "`ServerSettings.from_environment()` reads the variables that are named.",
    CallerRules: "`ServerSettings(callers=CallerRules(...))`; see [who calls](who-calls.md).",
    FleetSettings: "`ServerSettings(fleet=FleetSettings(...))`; see [fleet](fleet.md).",
    CallOptions: "A call that is placed: the JSON or form of `POST /call` beside `to`, and the "
    "options of `twilio-frames dial` (`--ring-seconds` is `ring_secs`).",
    AnswerPolicy: "`call.run(pipeline, answering=AnswerPolicy(...))`; see "
    "[who answers](answering.md).",
    CampaignPolicy: "`Campaign(contacts, line, CampaignPolicy(...))`; see "
    "[campaigns](campaigns.md).",
    CallingHours: "`CampaignPolicy(hours=...)`; see [campaigns](campaigns.md).",
    SilencePolicy: "`call.run(pipeline, silence=SilencePolicy(...))`; see [limits](limits.md).",
    TimeLimit: "`call.run(pipeline, time_limit=TimeLimit(...))`; see [limits](limits.md).",
    TurnEndTimes: "`PhoneVAD(turn_end_times=...)`; [turns](turns.md) says what it is for.",
    PauseRange: "`PhoneVAD(learned_pause=LearnedPause(PauseRange(...)))`; see [turns](turns.md).",
    FallbackOptions: "Keywords of `STTFallback`, `LLMFallback` and `TTSFallback`; see "
    "[fallbacks](fallbacks.md).",
    ReplyPolicy: "`policy=` of `PhoneOpenAILLMService` and `PhoneLangchainProcessor`; see "
    "[OpenAI](vendors/openai.md). What is not here is as in `RetryPolicy`.",
    RetryPolicy: "`policy=` of Deepgram's, Cartesia's and Google's services, from "
    "`twilio_frames.services`; see [vendors](vendors/README.md).",
    EspeakTTSSettings: "`EspeakTTSService(settings=EspeakTTSService.Settings(...))`.",
    CallerOptions: "A caller of the test kit: `SimulatedTwilio.call(url, options=...)`; see "
    "[callers](callers.md).",
    LineConditions: "A caller's line, `CallerOptions(line=...)`; see [line](line.md).",
    StartDelays: "`SimulatedTwilio(delays=...)`.",
    AccountRules: "`SimulatedTwilio(rules=...)`.",
    LoadPlan: "`run_load(LoadPlan(...))`; see [load](load.md).",
    QualityLimits: "What `twilio-frames load` takes for good enough; see [load](load.md).",
}

# What is read elsewhere than in a settings class.
VARIABLES = {
    "DEEPGRAM_API_KEY": "The example bots hear with Deepgram.",
    "DEEPGRAM_BASE_URL": "Another server that speaks as Deepgram does.",
    "OPENAI_API_KEY": "The example bots think with OpenAI.",
    "OPENAI_BASE_URL": "Another server that speaks as OpenAI does.",
    "OPENAI_MODEL": "The model that `OPENAI_BASE_URL` is asked for, in the example `local_models`.",
    "WHISPER_MODEL": "The Whisper model of `local_models`: a folder or a size, by default `base`.",
    "PIPER_VOICE": "The Piper voice of `local_models`: an `.onnx` file or a name.",
    "OPENAI_REALTIME_URL": "Another server that speaks as OpenAI Realtime does, in `realtime`.",
    "CARTESIA_API_KEY": "The example bots speak with Cartesia.",
    "CARTESIA_BASE_URL": "Another server that speaks as Cartesia does.",
    "GOOGLE_APPLICATION_CREDENTIALS": "The file of a service account, for Google's own client.",
    "GOOGLE_SPEECH_TARGET": "`host:port` of another server than Google's, in `google_speech`.",
    "SALES_NUMBER": "Whom the examples `put_through` and `warm_transfer` call.",
    "TWILIO_FRAMES_CLIPS": "The folder of recorded greetings, by default "
    "`twilio-frames/clips` in `XDG_CACHE_HOME` or `~/.cache`.",
    "PROMETHEUS_MULTIPROC_DIR": "A folder in which processes that share a port keep what "
    "[they measure](metrics.md), where something else than `serve --workers` starts them.",
    "HTTPS_PROXY": "With `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`: see "
    "[vendors](vendors/README.md#behind-a-proxy).",
    "ORT_DISABLE_TELEMETRY": "Set by the commands, so that onnxruntime keeps and sends nothing. "
    "Set it to 1 in a program of your own: after the import it is too late.",
}


def variables() -> dict[str, str]:
    """What each environment variable is for."""
    found: dict[str, str] = {}
    for kind in (ServerSettings, FleetSettings):
        for name, about in described(kind).items():
            for variable in re.findall(r"``(TWILIO_\w+)``", about):
                anchor = f"[`{kind.__name__}.{name}`](#{kind.__name__.lower()})"
                found.setdefault(variable, f"{anchor}: {_first_sentence(about)}")
    return found | VARIABLES


def _first_sentence(about: str) -> str:
    plain = re.sub(r" \(``TWILIO_\w+``[^)]*\)", "", _plain(about))
    return re.split(r"(?<=[.;:]) ", plain)[0].rstrip(";:.") + "."


def _plain(about: str) -> str:
    about = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", about)
    return about.replace("|", "\\|")


def described(kind: type) -> dict[str, str]:
    """What the class says of each setting."""
    found: dict[str, str] = {}
    name = ""
    section = re.split(r"^(?:Parameters|Args):$", inspect.getdoc(kind) or "", flags=re.M)[-1]
    for line in section.split("\n\n")[0].splitlines():
        if begun := re.match(r" {4}(\w+): (.*)", line):
            name, found[name] = begun[1], begun[2]
        elif name and line.strip():
            found[name] += " " + line.strip()
    return found


def defaults(kind: type) -> dict[str, Any]:
    """What each setting is where it is left out; ``...`` if it cannot be."""
    own = kind.__annotations__
    if typing.is_typeddict(kind):
        return dict.fromkeys(own, None)
    if dataclasses.is_dataclass(kind):
        fields = [field for field in dataclasses.fields(kind) if field.name in own]
        return {field.name: _default(field) for field in fields}
    models: dict[str, Any] = kind.model_fields
    return {
        name: ... if models[name].default is PydanticUndefined else models[name].default
        for name in own
        if name in models
    }


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return ... if field.default is dataclasses.MISSING else field.default


def _shown(default: Any) -> str:
    if default is ...:
        return "required"
    if dataclasses.is_dataclass(default):
        return f"`{type(default).__name__}()`"
    if repr(default) == "NOT_GIVEN":
        return "the service's"
    if isinstance(default, Enum):
        return f"`{type(default).__name__}.{default.name}`"
    text = repr(default).replace("|", "\\|")
    return f"`{text}`"


def page() -> str:
    """The page as it should be."""
    lines = [
        "# Settings",
        "",
        "Everything that can be set, by class, with its default. Times are in seconds unless it is",
        "said otherwise. `python -m tests.settings_page` writes this page from the docstrings, and",
        "a test compares.",
        "",
        "## Environment variables",
        "",
        "| variable | what it is |",
        "|---|---|",
        *(
            f"| `{name}` | {about.replace('``', '`')} |"
            for name, about in sorted(variables().items())
        ),
    ]
    for kind, where in WHERE.items():
        told = described(kind)
        lines += ["", f"## {kind.__name__}", "", where, ""]
        lines += ["| setting | default | what it is |", "|---|---|---|"]
        for name, default in defaults(kind).items():
            about = _plain(told.get(name, "")).replace("``", "`")
            if about:
                lines.append(f"| `{name}` | {_shown(default)} | {about} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

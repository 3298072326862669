"""A telephone for tests: rings a bot, wherever it is, and gives what came of the call.

The bot may be a URL, a bot for this package's server, or a web application (aiohttp or ASGI, such
as FastAPI); what is no URL yet is served on a free port of this machine while the call lasts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twilio_frames.errors import ConfigurationError
from twilio_frames.testing.callers.caller import Caller
from twilio_frames.testing.callers.hearing import Hearing
from twilio_frames.testing.callers.performance import Performance
from twilio_frames.testing.calls.account import AccountRules
from twilio_frames.testing.calls.facts import Numbers, StatusCallback
from twilio_frames.testing.calls.ringing import CallerOptions
from twilio_frames.testing.exchange import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN
from twilio_frames.testing.phone.call import PhoneCall, UnexpectedCallError
from twilio_frames.testing.replay import Replay
from twilio_frames.testing.scripts.checks import judge
from twilio_frames.testing.scripts.script import Event, Expectation, Limits, Script, ScriptTurn
from twilio_frames.testing.scripts.script_file import read_scripts
from twilio_frames.testing.serving import Kind, import_beside, kind_of, serving
from twilio_frames.testing.simulated_twilio import SimulatedTwilio

if TYPE_CHECKING:
    from twilio_frames.call import Call
    from twilio_frames.server import ServerSettings
    from twilio_frames.testing.phone.witness import Witness
    from twilio_frames.testing.text import TextConversation

WEBHOOK_PATH = "/twiml"
"""Where this package's server has its TwiML webhook."""

STREAM = "ws:"
"""In front of a path: it is a stream's."""

_SPEAKS = Expectation(event=Event.BOT_STOPPED_SPEAKING)
_NO_LIMITS = Limits(warnings=None, errors=None)

Behaviour = Callable[[Caller], Awaitable[object]]
"""A caller in Python: a coroutine function that is given the telephone."""

TalksAs = Behaviour | Script | Replay | Path | str | Sequence[str] | None
"""Who calls: a coroutine function, a script, a YAML file with one, a recorded caller, or what is
said turn by turn; None for somebody who only listens to what the bot says first."""


class Desk:
    """A bot that can be rung, and the Twilio that rings it.

    Args:
        twilio: Who rings.
        url: What is rung: a TwiML webhook or a stream.
        base_url: Where the bot is served.
        witness: Attends to the bots in this process.
        keep_errors: Whether what a bot raises is kept, not raised in the test.
    """

    def __init__(
        self,
        twilio: SimulatedTwilio,
        url: str,
        base_url: str,
        *,
        witness: "Witness",
        keep_errors: bool = False,
    ):
        self.twilio = twilio
        self.url = url
        self.base_url = base_url
        self._witness = witness
        self._keep_errors = keep_errors
        self._call_sids: set[str] = set()

    @asynccontextmanager
    async def call(
        self,
        *,
        options: CallerOptions | None = None,
        parameters: Mapping[str, str] | None = None,
        numbers: Numbers | None = None,
        status_callback: StatusCallback | None = None,
    ) -> AsyncIterator[Caller]:
        """Rings the bot; gives the caller once it is connected. Leaving it hangs up.

        Args:
            options: How the caller sounds, and what is kept of the call.
            parameters: Custom parameters of a stream that is opened without TwiML.
            numbers: Who calls whom.
            status_callback: Where the call's progress is told.

        Raises:
            Exception: What the bot raised, in the place of what the test made of it.
        """
        call_sid = ""
        try:
            async with self.twilio.call(
                self.url,
                options=options,
                parameters=parameters,
                numbers=numbers,
                status_callback=status_callback,
            ) as caller:
                call_sid = caller.call_sid
                self._call_sids.add(call_sid)
                self._witness.inform(call_sid, caller.hearing)
                yield caller
        except Exception:
            await self._conclude(call_sid)
            raise
        await self._conclude(call_sid)

    async def _conclude(self, call_sid: str) -> None:
        """Raises what the bot raised."""
        await self._witness.settle(call_sid)
        if not self._keep_errors:
            self._witness.raise_first(call_sid)

    def bot_errors(self, call_sid: str) -> list[BaseException]:
        """What the bot has raised on a call, and the application it lives in."""
        return self._witness.mistakes_of(call_sid)

    async def close(self) -> None:
        """Ends what still carries a call of this desk."""
        await self._witness.dismiss(self._call_sids)

    async def ring(
        self,
        caller: TalksAs = None,
        *,
        limits: Limits | None = None,
        options: CallerOptions | None = None,
        parameters: Mapping[str, str] | None = None,
        numbers: Numbers | None = None,
    ) -> PhoneCall:
        """Rings the bot, has the caller talk, and hangs up unless the bot has.

        Args:
            caller: Who calls.
            limits: What the whole call is judged by; those of a script count as well.
            options: How the caller sounds, and what is kept of the call; a script's own line,
                voice and noise come before them.
            parameters: Custom parameters of a stream that is opened without TwiML.
            numbers: Who calls whom.

        Raises:
            UnexpectedCallError: If something a script or the limits expect did not come about. It
                is an AssertionError too.
            CallFailedError: If no call comes about, or a caller in Python waits in vain.
            ConfigurationError: If the caller is none that can talk.
            Exception: What the bot raised.
        """
        script = _script(caller)
        performance = Performance(script, Hearing()) if script else None
        if performance is not None:
            await performance.prepare()
            options = performance.script.options(options or CallerOptions())
            numbers = numbers or performance.script.numbers()
            parameters = {**performance.script.parameters, **(parameters or {})}
        if isinstance(caller, Replay):
            parameters = {**caller.parameters, **(parameters or {})}
        async with self.call(options=options, parameters=parameters, numbers=numbers) as telephone:
            if performance is not None:
                performance.hearing = telephone.hearing
                await performance.perform(telephone)
            elif isinstance(caller, Replay):
                await caller.perform(telephone)
            elif callable(caller):
                await caller(telephone)
        return _finished(telephone, performance, limits, tuple(self.bot_errors(telephone.call_sid)))


class Phone:
    """Rings bots. Each is rung by a simulated Twilio of its own, so calls may run side by side.

    Args:
        auth_token: Signs webhooks and streams; a server under test must have the same.
        account_sid: The account it plays.
        seed: Makes sids the same each time.
        rules: What the account may do.
    """

    def __init__(
        self,
        *,
        auth_token: str = DEFAULT_AUTH_TOKEN,
        account_sid: str = DEFAULT_ACCOUNT_SID,
        seed: int | None = None,
        rules: AccountRules | None = None,
    ):
        self.auth_token = auth_token
        self.account_sid = account_sid
        self.seed = seed
        self.rules = rules

    @asynccontextmanager
    async def desk(
        self,
        bot: Any,
        *,
        path: str = WEBHOOK_PATH,
        settings: "ServerSettings | None" = None,
        keep_errors: bool = False,
    ) -> AsyncIterator[Desk]:
        """Puts a bot on a desk, where it can be rung more than once.

        Args:
            bot: A bot, a web application (aiohttp or ASGI), or a function that makes one when it is
                given the simulated Twilio; or the URL of a webhook or stream.
            path: Where a web application has its TwiML webhook; with ``ws:`` in front, its stream,
                which is opened without TwiML: ``ws:/stream``.
            settings: Of the server that serves a bot; account and token are the phone's own.
            keep_errors: Whether what the bot raises is kept in ``bot_errors``. Else it is raised
                in the test, once the call is over.

        Raises:
            ConfigurationError: If the bot is none of these.
        """
        twilio = SimulatedTwilio(
            auth_token=self.auth_token,
            account_sid=self.account_sid,
            seed=self.seed,
            rules=self.rules,
        )
        async with twilio:
            if kind_of(bot) is Kind.FACTORY:
                bot = bot(twilio)
            module = await import_beside("twilio_frames.testing.phone.witness")
            witness: Witness = module.Witness()
            with witness.attending():
                async with serving(
                    bot, twilio, settings=settings, on_error=witness.application_failed
                ) as base_url:
                    url = base_url if isinstance(bot, str) else _url(base_url, path)
                    desk = Desk(twilio, url, base_url, witness=witness, keep_errors=keep_errors)
                    try:
                        yield desk
                    finally:
                        await desk.close()

    async def ring(
        self,
        bot: Any,
        caller: TalksAs = None,
        *,
        path: str = WEBHOOK_PATH,
        settings: "ServerSettings | None" = None,
        keep_errors: bool = False,
        **call: Any,
    ) -> PhoneCall:
        """Rings a bot once; see :meth:`desk` and :meth:`Desk.ring`.

        Args:
            bot: A URL, a bot, or a web application.
            caller: Who calls.
            path: Where a web application has its TwiML webhook, or its stream.
            settings: Of the server that serves a bot.
            keep_errors: Whether what the bot raises is kept, not raised.
            call: More arguments of :meth:`Desk.ring`.
        """
        async with self.desk(bot, path=path, settings=settings, keep_errors=keep_errors) as desk:
            return await desk.ring(caller, **call)

    def ring_sync(self, bot: Any, caller: TalksAs = None, **how: Any) -> PhoneCall:
        """The same as :meth:`ring` for a test that is no coroutine.

        Raises:
            ConfigurationError: If an event loop runs already.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.ring(bot, caller, **how))
        raise ConfigurationError(
            "expected a test without an event loop, got one with: `await phone.ring(...)` there"
        )

    @asynccontextmanager
    async def call(
        self,
        bot: Any,
        *,
        path: str = WEBHOOK_PATH,
        settings: "ServerSettings | None" = None,
        keep_errors: bool = False,
        **call: Any,
    ) -> AsyncIterator[Caller]:
        """Rings a bot once, to talk from the test; see :meth:`desk` and :meth:`Desk.call`.

        Args:
            bot: A URL, a bot, or a web application.
            path: Where a web application has its TwiML webhook, or its stream.
            settings: Of the server that serves a bot.
            keep_errors: Whether what the bot raises is kept, not raised.
            call: More arguments of :meth:`Desk.call`.
        """
        async with (
            self.desk(bot, path=path, settings=settings, keep_errors=keep_errors) as desk,
            desk.call(**call) as caller,
        ):
            yield caller

    def text(self, bot: "Callable[[Call], Awaitable[Any]]", **options: Any) -> "TextConversation":
        """Talks with a bot in writing, without any sound and at once; use it with ``async with``.

        Args:
            bot: The bot, ``async def bot(call)``.
            options: More arguments of :class:`twilio_frames.testing.text.TextConversation`.
        """
        from twilio_frames.testing.text import TextConversation

        return TextConversation(bot, **options)


def _url(base_url: str, path: str) -> str:
    stream = path.removeprefix(STREAM)
    if stream != path:
        return base_url.replace("http", "ws", 1) + stream
    return base_url + path


def _script(caller: TalksAs) -> Script | None:
    """The script of a caller; None for one in Python."""
    match caller:
        case Script():
            return caller
        case Replay():
            return None
        case None:
            return Script(
                name="listener", turns=(ScriptTurn(expect=(_SPEAKS,)),), limits=_NO_LIMITS
            )
        case Path():
            return _only(read_scripts(caller), caller)
        case str():
            return _said([caller])
        case _ if callable(caller):
            return None
        case _ if isinstance(caller, Sequence) and all(isinstance(each, str) for each in caller):
            return _said(caller)
    raise ConfigurationError(
        "expected a caller: a coroutine function, a Script, a Replay, the Path of a YAML file or "
        f"what is said, got {type(caller).__name__}: pass one of these"
    )


def _only(scripts: Sequence[Script], path: Path) -> Script:
    if len(scripts) != 1:
        raise ConfigurationError(
            f"expected one scenario, got {len(scripts)} at {path}: read them with read_scripts() "
            "and ring once for each"
        )
    return scripts[0]


def _said(texts: Sequence[str]) -> Script:
    """Waits for the greeting, and after each text for an answer."""
    heard = (_SPEAKS,)
    turns = (ScriptTurn(expect=heard), *(ScriptTurn(say=(text,), expect=heard) for text in texts))
    return Script(name="caller", turns=turns, limits=_NO_LIMITS)


def _finished(
    caller: Caller,
    performance: Performance | None,
    limits: Limits | None,
    bot_errors: tuple[BaseException, ...],
) -> PhoneCall:
    checks = list(performance.checks) if performance else []
    for wanted in (performance.script.limits if performance else None, limits):
        if wanted is not None:
            checks += judge(caller.result, wanted, caller.log.entries)
    call = PhoneCall(
        result=caller.result,
        log=caller.log,
        checks=tuple(checks),
        hearing=caller.hearing,
        bot_errors=bot_errors,
    )
    if call.failures:
        raise UnexpectedCallError(call.failures, call.result)
    return call

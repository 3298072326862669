"""``twilio-frames completion SHELL``: what lets a shell complete the command line.

Written out from the commands themselves: a Tab then costs nothing, as nothing is run at it.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from twilio_frames.cli.exit_status import ExitStatus
from twilio_frames.cli.options import Commands
from twilio_frames.cli.shown.console import Console

if TYPE_CHECKING:
    from collections.abc import Mapping

_EPILOG = """\
bash:  eval "$(twilio-frames completion bash)"             in ~/.bashrc
zsh:   eval "$(twilio-frames completion zsh)"              in ~/.zshrc, behind compinit
fish:  twilio-frames completion fish | source             in ~/.config/fish/config.fish

exit status: 0 written."""

_BASH = """\
_twilio_frames() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command= each
    for each in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [[ $each == -* ]] || {{ command=$each; break; }}
    done
    case "$command $before" in
{choices}
    esac
    case "$command" in
{options}
        *) COMPREPLY=($(compgen -W "{commands}" -- "$word")) ;;
    esac
}}
complete -o default -F _twilio_frames twilio-frames
"""


def add_to(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "completion",
        help="let your shell complete the command line",
        description="Writes a script by which a shell completes commands, options and choices.",
        epilog=_EPILOG,
    )
    parser.set_defaults(run=partial(run, commands.choices), log_level="WARNING")
    parser.add_argument("shell", choices=[*_SCRIPTS])


def run(parsers: "Mapping[str, argparse.ArgumentParser]", options: argparse.Namespace) -> int:
    """Writes the script; gives the exit status."""
    Console().say(_SCRIPTS[options.shell](parsers).rstrip())
    return ExitStatus.DONE


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a parser reads: options and arguments, in their order."""
    return parser._actions


def _bash(parsers: "Mapping[str, argparse.ArgumentParser]") -> str:
    choices: list[str] = []
    options: list[str] = []
    for name, parser in parsers.items():
        words: list[str] = []
        for action in actions_of(parser):
            words += action.option_strings
            offered = " ".join(map(str, action.choices or ()))
            if offered and not action.option_strings:
                words += [offered]
            for option in action.option_strings if offered else ():
                reply = f'COMPREPLY=($(compgen -W "{offered}" -- "$word")); return'
                choices.append(f'        "{name} {option}") {reply} ;;')
        # A word that is no option's beginning is a file's, or the command's own affair.
        options.append(
            f'        {name}) COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$word")) ;;'
        )
    return _BASH.format(
        choices="\n".join(choices), options="\n".join(options), commands=" ".join(parsers)
    )


def _zsh(parsers: "Mapping[str, argparse.ArgumentParser]") -> str:
    return "autoload -U +X bashcompinit && bashcompinit\n" + _bash(parsers)


def _fish(parsers: "Mapping[str, argparse.ArgumentParser]") -> str:
    lines: list[str] = []
    for name, parser in parsers.items():
        about = (parser.description or "").split(". ")[0].replace("\n", " ").replace("'", "\\'")
        lines.append(f"complete -c twilio-frames -n __fish_use_subcommand -a {name} -d '{about}'")
        under = f"complete -c twilio-frames -n '__fish_seen_subcommand_from {name}'"
        for action in actions_of(parser):
            offered = " ".join(map(str, action.choices or ()))
            given = f" -xa '{offered}'" if offered else ""
            for option in action.option_strings:
                if option.startswith("--"):
                    value = "" if action.nargs == 0 else given or " -r"
                    lines.append(f"{under} -l {option[2:]}{value}")
            if offered and not action.option_strings:
                lines.append(f"{under} -a '{offered}'")
    return "\n".join(lines)


_SCRIPTS: "Mapping[str, Callable[[Mapping[str, argparse.ArgumentParser]], str]]" = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}

"""Print a script that completes commands and options in a shell.

The script is whole: it starts no lockstitch when you press Tab. Print it again after an upgrade.

examples:
  # bash
  lockstitch self completion bash > ~/.local/share/bash-completion/completions/lockstitch
  # zsh, in .zshrc
  lockstitch self completion zsh > ~/.lockstitch.zsh && echo source ~/.lockstitch.zsh >> ~/.zshrc
  # fish
  lockstitch self completion fish > ~/.config/fish/completions/lockstitch.fish
  # PowerShell
  lockstitch self completion powershell >> $PROFILE
"""

import argparse
import sys

from lockstitch.cli.main import COMMANDS, GROUPS, module_of
from lockstitch.cli.options import COMMON_NAMES, JSON, operand, values_of
from lockstitch.cli.session import print_json

SHELLS = ("bash", "zsh", "fish", "powershell")
OPTIONS = (operand("shell", "SHELL", f"one of {', '.join(SHELLS)}", choices=SHELLS), JSON)

_BASH = """\
_lockstitch() {{
    local word path="" words="" current="${{COMP_WORDS[COMP_CWORD]}}"
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$path $word" in
{paths}) path="$path $word" ;;
        esac
    done
    case "$path" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _lockstitch lockstitch
"""
_ZSH = """\
#compdef lockstitch
_lockstitch() {{
    local each place="" listed=""
    for each in "${{(@)words[2,CURRENT-1]}}"; do
        case "$place $each" in
{paths}) place="$place $each" ;;
        esac
    done
    case "$place" in
{cases}
    esac
    compadd -- ${{=listed}} || _files
}}
(( $+functions[compdef] )) || {{ autoload -U compinit && compinit }}
compdef _lockstitch lockstitch
"""
_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName lockstitch -ScriptBlock {{
    param($word, $ast, $cursor)
    $known = @{{
{rows}
    }}
    $path = ''
    foreach ($each in $ast.CommandElements | Select-Object -Skip 1) {{
        if ($known.ContainsKey("$path $each")) {{ $path = "$path $each" }}
    }}
    $known[$path] | Where-Object {{ $_ -like "$word*" }} | ForEach-Object {{
        [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
    }}
}}
"""


def run(options: argparse.Namespace) -> int:
    if options.json:
        print_json(table())
    else:
        sys.stdout.write(script(options.shell))
    return 0


def table() -> dict[str, list[str]]:
    """Return the words that may come next, by the words of the command before them."""
    words = {"": sorted({name.split()[0] for name, _ in COMMANDS} | {"help"})}
    for group in GROUPS:
        words[group] = [n.split()[1] for n, _ in COMMANDS if n.startswith(f"{group} ")]
    for name, _ in COMMANDS:
        options = {*values_of(module_of(name).OPTIONS), *values_of(COMMON_NAMES), "--help"}
        words[name] = sorted(options)
    words["export"] += ["requirements", "pylock", "sbom", "dockerfile"]
    return words


def script(shell: str) -> str:
    """Return the script that completes in a shell."""
    rows = {f" {path}" if path else "": words for path, words in sorted(table().items())}
    if shell == "fish":
        return _fish(rows)
    if shell == "powershell":
        lines = [
            "        '{}' = @({})".format(path, ", ".join(f"'{word}'" for word in words))
            for path, words in rows.items()
        ]
        return _POWERSHELL.format(rows="\n".join(lines))
    paths = " | \\\n".join(f'            "{path}"' for path in rows if path)
    name, text = ("listed", _ZSH) if shell == "zsh" else ("words", _BASH)
    cases = "\n".join(
        f'        "{path}") {name}="{" ".join(words)}" ;;' for path, words in rows.items()
    )
    return text.format(paths=paths, cases=cases)


def _fish(rows: dict[str, list[str]]) -> str:
    lines = ["complete -c lockstitch -e"]
    for path, words in rows.items():
        parts = path.split()
        seen = [f"__fish_seen_subcommand_from {part}" for part in parts]
        when = "; and ".join(seen) if seen else "__fish_use_subcommand"
        if len(parts) == 1 and parts[0] in GROUPS:
            when += f"; and not __fish_seen_subcommand_from {' '.join(words)}"
        plain = [word for word in words if not word.startswith("-")]
        if plain:
            lines.append(f"complete -c lockstitch -n '{when}' -a '{' '.join(plain)}'")
        longs = [word for word in words if word.startswith("--")]
        lines += [f"complete -c lockstitch -n '{when}' -l {word[2:]}" for word in longs]
    return "\n".join(lines) + "\n"

"Which options there are, read off the parser, and which ones a text names."
import re

from ltseg.cli import build_parser

COMMANDS = build_parser()._subparsers._group_actions[0].choices
NAMED = re.compile(r'(?:ltseg (\w+)[^;:,()]*? )?(?<![\w./-])(--?[a-zA-Z][\w-]*)(?![\w-]|\.\w)')


def strange(command: str, text: str) -> list:
    "The options in `text`, which `command` prints, that it does not have; behind `ltseg OTHER` those are meant that the other command has."
    def known(name): return COMMANDS[name]._option_string_actions if name in COMMANDS else ('--help', '--version')
    return [option for other, option in NAMED.findall(text) if option not in known(other if other in COMMANDS else command)]

"""What messages advise can be done where they are printed: an option that is named exists in the command that prints it, and no function of
Python is named to who uses the program.

Messages are read off the code. Which command can print one is decided by who calls whom, by name, which finds too much rather than too little;
what the program really prints is checked again in the rows of the table of hostile input (`hostile/table.py`)."""
import ast
from collections import defaultdict
from pathlib import Path

import pytest

from hostile.options import COMMANDS, strange

LTSEG = Path(__file__).resolve().parent.parent/'ltseg'
TREES = {p.stem: ast.parse(p.read_text(encoding='utf8')) for p in sorted(LTSEG.glob('*.py')) if not p.stem.startswith('_')}
SAYS = {'InputError', 'ImportError', 'ArgumentTypeError', 'ArgumentError', 'add', 'add_note', 'warn', 'warning', 'info', '_refuse', '_refusal'}


def is_patch(node) -> bool: return any(ast.unparse(d).startswith('patch') for d in getattr(node, 'decorator_list', ()))


def parts() -> dict:
    "(module, name) -> code of all that is defined at the top of modules. A method that is patched in belongs to its class."
    found = defaultdict(list)
    for module, tree in TREES.items():
        for node in tree.body:
            if is_patch(node): found[module, ast.unparse(node.args.args[0].annotation)].append(node)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)): found[module, node.name].append(node)
            elif isinstance(node, ast.Assign): found[module, ast.unparse(node.targets[0])].append(node)
    return found


PARTS = parts()
HOMES = {name: (module, name) for (module, name), nodes in PARTS.items() if not name.startswith('_')} # public names are there once


def imported(*nodes) -> set:
    "Names that `from … import` brings, anywhere in `nodes`."
    return {a.asname or a.name for node in nodes for n in ast.walk(node) if isinstance(n, ast.ImportFrom) for a in n.names}


def called(module: str, name: str) -> set:
    "The parts that the code of one names; a variable or parameter of the same name is none."
    nodes = [n for node in PARTS[module, name] for n in ast.walk(node)]
    own = {n.arg for n in nodes if isinstance(n, ast.arg)} | {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    used = {n.id for n in nodes if isinstance(n, ast.Name)} - own
    top = imported(*(n for n in TREES[module].body if isinstance(n, ast.ImportFrom))) | imported(*PARTS[module, name])
    return {(module, n) for n in used if (module, n) in PARTS} | {HOMES[n] for n in used & top if n in HOMES}


def reached(command: str) -> set:
    "All parts that a command can come to."
    todo, found = [('cli', f'_{command}')], set()
    while todo:
        part = todo.pop()
        if part not in found:
            found.add(part)
            todo += called(*part)
    return found


def said(part: tuple) -> list:
    "(line, text) of what a part tells the user: texts with their values left out."
    calls = [n for node in PARTS[part] for n in ast.walk(node) if isinstance(n, ast.Call) and ast.unparse(n.func).split('.')[-1] in SAYS]
    return [(c.lineno, ' '.join(s.value for a in c.args for s in ast.walk(a) if isinstance(s, ast.Constant) and isinstance(s.value, str))) for c in calls]


NEVER = { # what a command comes to by name only, and why
    'live': dict(result='it writes no result', link='likewise', flow='flow that is no number is taken as zero'),
    'app': dict(result='its folder is new', link='likewise'),
    'demo': dict(files='it always replaces an earlier result', result='likewise, and goes on with none', link='likewise', flow='its video is rendered: flow is finite'),
    'predict': dict(result='labels of a table are not written as those of a video'), 'evaluate': dict(result='likewise')}
MESSAGES = {command: {(*part[:1], line, text) for part in reached(command) for line, text in said(part)} for command in COMMANDS}


def test_messages_are_found():
    "The reading of the code sees what is known to be there."
    whole = sum(len(said(part)) for part in PARTS)
    assert whole > 200 and len(set.union(*MESSAGES.values())) > 150
    assert ('segmenter', '_load') not in reached('report') and HOMES['read_result'] in reached('report')
    assert any(m == 'result' and '--resume' in text for m, _, text in MESSAGES['segment'])
    assert strange('train', 'a (--bad-flo zero); ltseg evaluate --part val') == ['--bad-flo']


@pytest.mark.parametrize('command', COMMANDS)
def test_options_in_messages_exist(command):
    wrong = sorted(f'{module}.py:{line}: {option} in {text!r}' for module, line, text in MESSAGES[command]
                   for option in strange(command, text) if module not in NEVER.get(command, ()))
    assert not wrong, f'ltseg {command} has no such option:\n' + '\n'.join(wrong)


@pytest.mark.parametrize('command', COMMANDS)
def test_options_in_help_exist(command):
    parser = COMMANDS[command]
    texts = [parser.description or '', parser.epilog or '', *(a.help or '' for a in parser._actions)]
    assert [o for t in texts for o in strange(command, t)] == []


@pytest.mark.parametrize('command', COMMANDS)
def test_no_functions_in_messages(command):
    "Such as `see read_volume`; what an error is about, its first word, may be one: no command comes to these."
    functions = {name for (module, name), nodes in PARTS.items() if '_' in name.strip('_') and isinstance(nodes[0], ast.FunctionDef)}
    wrong = sorted(f'{module}.py:{line}: {text!r}' for module, line, text in MESSAGES[command] if functions & set(text.replace('(', ' ').replace(':', ' ').split()[1:]))
    assert not wrong, f'ltseg {command}:\n' + '\n'.join(wrong)

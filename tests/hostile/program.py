"The words of a command: numbers out of range, empty words, misspelt ones; each of every command, read off its parser."
import contextlib
import os

import numpy as np

from ltseg.files import InputError

from .made import FLOW, clip, put_pictures
from .options import COMMANDS
from .table import ltseg, row


def refusal(*words) -> str:
    "What the program says; an AssertionError if it takes the words."
    try: ltseg(*words)
    except InputError as e: return str(e)
    raise AssertionError(f'not refused: {words}')


def numbers(command) -> list:
    "(option, words that it refuses) of each of its options that is a number, or two."
    found = []
    for a in COMMANDS[command]._actions:
        kind = getattr(a.type, '__name__', type(a.type).__name__)
        if kind == 'Number':
            found.append((a, ['nan', 'inf', '-7', 'x', '1e', *([str(a.type.high*2 + 1)] if getattr(a.type, 'high', np.inf) < np.inf else [])]))
        elif kind == 'parse_segments': found.append((a, ['0', '-4', '1000', '2.5', 'some']))
        elif kind == 'parse_size': found.append((a, ['0x0', '16x-32', '8x64', '64', '16x16x16', 'bigxbig']))
    return found


assert {c for c in COMMANDS if not numbers(c)} == {'split', 'flow'} # which take no numbers
for command in COMMANDS:
    if not numbers(command): continue
    @row('Words of the program', f'`ltseg {command}`: every number out of its range', works=True)
    def _(d, command=command):
        told = [refusal(command, *a.option_strings[-1:], *[word]*(a.nargs or 1)) for a, words in numbers(command) for word in words]
        assert all('expected' in t and 'found' in t for t in told), told
        return f'{len(numbers(command))} options, {len(told)} refusals such as: {told[0].splitlines()[0]}'

for command in COMMANDS:
    @row('Words of the program', f'`ltseg {command}`: an empty word for each argument', works=True)
    def _(d, command=command):
        with contextlib.chdir(d): # where an empty path would lead to
            actions = [a for a in COMMANDS[command]._actions if a.nargs != 0]
            told = [refusal(command, *a.option_strings[-1:], *['']*(a.nargs if isinstance(a.nargs, int) else 1)) for a in actions]
        assert all('empty word' in t for t in told), told
        return f'{len(told)} arguments: {told[0].splitlines()[0]}'

@row('Words of the program', 'a variable that is not set, `ltseg segment "$CLIP" -o OUT`', 'INPUT', 'empty word')
def _(d):
    put_pictures(d/'f', clip())
    with contextlib.chdir(d/'f'): ltseg('segment', '', '-o', d/'OUT')

for words, says in {'segment f -o OUT -k 3': 'did you mean -K?', 'segment f -o OUT -x': 'unknown option -x',
                    'segment f -o OUT --windw=5': 'did you mean --window?', 'segment f -o OUT --frob 1 2': 'unknown option --frob',
                    'segment f -o OUT --method EM': 'did you mean em?', '--window 5 segment f': 'the command comes first',
                    'segment f -o OUT -cs 5': 'unknown option -cs', '--verion': 'did you mean --version?', 'Report OUT': 'did you mean report?',
                    'segment f -o OUT --resume=yes': '--resume'}.items():
    @row('Words of the program', f'`ltseg {words}`', says)
    def _(d, words=words):
        put_pictures(d/'f', clip())
        with contextlib.chdir(d): ltseg(*words.split())

@row('Words of the program', 'a file whose name looks like an option, `--clip_1.npy`', './--clip_1.npy')
def _(d):
    np.save(d/'--clip_1.npy', FLOW[:, None].numpy())
    with contextlib.chdir(d): ltseg('segment', '-o', 'OUT', '--clip_1.npy')

@row('Words of the program', 'the same behind `--`, and the way that the message tells', works=True)
def _(d):
    np.save(d/'--clip_1.npy', FLOW[:, None].numpy())
    with contextlib.chdir(d):
        for n, words in enumerate([('--', '--clip_1.npy'), ('./--clip_1.npy',)]):
            ltseg('segment', '--method', 'em', '-K', 2, '-o', f'OUT_{n}', *words) # nor is `_` of a value changed
        assert all(os.listdir(f'OUT_{n}/labels') for n in range(2))
    return 'taken as it is'

for device in ('mps', 'meta', 'cuda:99', 'gpu'):
    @row('Words of the program', f'`--device {device}`, which is not here', 'device', device, 'cpu')
    def _(d, device=device):
        put_pictures(d/'f', clip())
        try: ltseg('segment', d/'f', '-o', d/'OUT', '--device', device)
        except InputError as e:
            assert len(str(e)) < 300 and '\n' not in str(e)
            raise

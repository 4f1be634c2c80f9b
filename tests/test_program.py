"The program as the shell sees it: stopped, into a full disk, into nothing, without its streams, in a terminal of few letters."
import io
import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import ltseg.cli as cli
from hostile import clip, put_video
from hostile.options import COMMANDS

from ltseg.options import Number

MAIN = [sys.executable, '-m', 'ltseg']
LEAST = dict(segment=['clip.mp4', '-o', 'OUT'], demo=[], report=['OUT'], split=['DAVIS'], flow=['--data-file', 'D'], train=['-o', 'RUN'],
             predict=['--data-file', 'D'], evaluate=['--data-file', 'D'], export=['davis17', 'P', '-o', 'OUT'], live=[], app=[]) # words that each command needs


def stopped(monkeypatch, capsys, command, stop, *words) -> tuple:
    "(status, what is said) of a command in which `stop` is called."
    monkeypatch.setattr(cli, f'_{command}', lambda args: stop())
    if command == 'flow': monkeypatch.setattr(cli, '_way_on', lambda args, told=cli._way_on: told(args))
    status = cli.main([command, *LEAST[command], *words])
    return status, capsys.readouterr().err


def interrupted(): raise KeyboardInterrupt


@pytest.mark.parametrize('command', COMMANDS)
def test_ctrl_c(command, monkeypatch, capsys):
    status, said = stopped(monkeypatch, capsys, command, interrupted)
    assert status == 130 and said.startswith('ltseg: stopped') and said.count('\n') == 1
    assert ('--resume goes on' in said) == (command in ('segment', 'train'))


@pytest.mark.parametrize('words, way', [((), 'with --resume goes on'), (('--overwrite',), 'with --resume instead of --overwrite goes on'),
                                        (('--resume',), 'the same command goes on')])
def test_how_to_go_on_can_be_followed(words, way, monkeypatch, capsys):
    assert way in stopped(monkeypatch, capsys, 'segment', interrupted, *words)[1]


def test_what_stops_says_how_to_go_on(monkeypatch, capsys):
    def stop():
        e = KeyboardInterrupt()
        e.add_note('OUT: --resume goes on at frame 12')
        raise e
    assert stopped(monkeypatch, capsys, 'segment', stop) == (130, 'ltseg: stopped; OUT: --resume goes on at frame 12\n')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_clean_up_as_well(number, monkeypatch, capsys):
    "The exception passes through what is open; afterwards the signal means what it meant."
    closed, before = [], signal.getsignal(number)
    def stop():
        try: os.kill(os.getpid(), number)
        finally: closed.append(True)
    signal.signal(number, signal.SIG_DFL)
    try:
        status, said = stopped(monkeypatch, capsys, 'segment', stop)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally: signal.signal(number, before)
    assert status == 128 + number and closed and f'stopped by {number.name}' in said and said.count('\n') == 1


def test_handled_signals_are_left_alone(monkeypatch, capsys):
    "As nohup sets them."
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try: assert stopped(monkeypatch, capsys, 'report', lambda: os.kill(os.getpid(), signal.SIGHUP) or 'done')[0] == 0
    finally: signal.signal(signal.SIGHUP, before)


def test_stop_in_the_middle_of_a_video(tmp_path):
    "A video on standard input that does not go on: the program waits for more when the signal comes, and keeps what it has."
    whole = put_video(tmp_path/'a.mkv', clip(60, 96, 128)).read_bytes()
    out = tmp_path/'OUT'
    words = ['segment', '-', '-o', out, '--method', 'em', '-K', '2', '--window', '4', '--overlap', '1']
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) # who starts the tests in the background ignores it
    with subprocess.Popen([*MAIN, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heard) as run:
        run.stdin.write(whole[:len(whole)//2])
        run.stdin.flush()
        for _ in range(6000): # until a window or two are done
            if run.poll() is not None or len(list(out.glob('labels/*.png'))) >= 6: break
            time.sleep(.02)
        run.send_signal(signal.SIGINT)
        said, errors = (text.decode() for text in run.communicate())
    assert run.returncode == 130 and not said and errors.count('\n') == 1, errors
    assert errors.startswith('ltseg: stopped') and '--resume goes on' in errors
    assert not (out/'segments.json').exists() and len(list(out.glob('labels/*.png'))) > 3


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='no /dev/full here')
@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_a_full_disk_behind_standard_output(unbuffered):
    with open('/dev/full', 'w') as full:
        done = subprocess.run([*MAIN, '--help'], stdout=full, stderr=subprocess.PIPE, text=True, env=os.environ | dict(PYTHONUNBUFFERED=unbuffered))
    assert (done.returncode, done.stderr) == (2, 'ltseg: standard output: No space left on device\n')


@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_nobody_reads(unbuffered):
    "As behind `| head`: the program has done its work, and says nothing."
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*MAIN, 'train', '--help'], stdout=write, stderr=subprocess.PIPE, text=True, env=os.environ | dict(PYTHONUNBUFFERED=unbuffered))
    os.close(write)
    assert (done.returncode, done.stderr) == (0, '')


STREAMS = """
import os, sys
import ltseg.cli as cli
def report(args):
    with open(args.result, 'w') as file:
        for number in (1, 2): os.write(number, b'as a C library does') if number != file.fileno() else file.write('mixed')
        print('noise', file=sys.stderr)
        assert sys.stdin.read() == ''
        file.write('the result')
    return 'done'
cli._report = report
sys.exit(cli.main(['report', sys.argv[1]]))
"""


@pytest.mark.parametrize('closed', ['<&-', '>&-', '2>&-', '<&- >&- 2>&-'])
def test_closed_streams(closed, tmp_path):
    "No file that is opened gets the number, and so the words, of a stream."
    file = tmp_path/'result'
    done = subprocess.run(['sh', '-c', f'"$@" {closed}', 'sh', sys.executable, '-c', STREAMS, file], stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and file.read_text() == 'the result'


def test_warnings_that_nobody_can_read_stop_no_work(monkeypatch):
    class Full(io.StringIO):
        def write(self, text): raise OSError(28, 'No space left on device')
    def work():
        logging.getLogger('ltseg').warning('something')
        return 'done'
    monkeypatch.setattr(sys, 'stderr', Full())
    monkeypatch.setattr(cli, '_report', lambda args: work())
    assert cli.main(['report', 'OUT']) == 0


def test_letters_that_the_terminal_lacks(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(written, encoding='ascii'))
    monkeypatch.setattr(cli, '_report', lambda args: f'1 MB → {args.result}')
    assert cli.main(['report', os.fsdecode(b'gr\xfcn')]) == 0
    assert written.getvalue() == b'1 MB \\u2192 gr\\udcfcn\n'


def test_errors_of_the_system_in_words(monkeypatch, capsys):
    def stop(): open('/nowhere/file')
    assert stopped(monkeypatch, capsys, 'report', stop) == (2, 'ltseg: /nowhere/file: No such file or directory\n')
    def most(): raise MemoryError('Unable to allocate 9 TiB')
    assert stopped(monkeypatch, capsys, 'report', most) == (2, 'ltseg: not enough memory (Unable to allocate 9 TiB)\n')


def test_as_a_module():
    done = subprocess.run([*MAIN, '--version'], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f'ltseg {cli.__version__}\n', '')


def test_every_number_has_limits():
    "Each numeric option has a range, its default lies within, and so do the limits themselves."
    for command, parser in COMMANDS.items():
        for a in parser._actions:
            if not isinstance(a.type, Number): assert a.type not in (int, float), (command, a.dest); continue
            assert a.type.low > -np.inf, f'ltseg {command} {a.option_strings}: no range'
            default = getattr(parser.get_default('options'), a.dest)
            for n in {default, a.type.low, a.type.high} - {None, np.inf}: assert a.type(str(n)) == n

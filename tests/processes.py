"""Processes of their own for tests, each within a few hundredths of a second: forks of one that has imported the slow libraries, once for all.

Where the start itself is what is tested (`python -m ltseg`, closed streams, the seed of hashes), an interpreter starts anew instead.
"""
import ctypes
import multiprocessing
import os
import re
import runpy
import signal
import sys
import traceback
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

SLOW = ['notebook', 'torch', 'pytorch_lightning', 'matplotlib.pyplot', 'scipy.ndimage', 'pandas', 'cv2', 'av', 'pytest', # to import
        'ltseg.cli', 'ltseg.archive', 'ltseg.predict', 'ltseg.report', 'ltseg.train', 'processes']


@cache
def forks():
    "What makes such processes, as `multiprocessing` does; the seed of their hashes is 1."
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(SLOW)
    with patch.dict(os.environ, PYTHONHASHSEED='1'): forkserver.ensure_running()
    return context


def prepare(stdin, said):
    "In the new process: streams and signals as of a program in the foreground (who starts the tests in the background ignores Ctrl-C); one thread."
    import torch
    os.environ['OMP_NUM_THREADS'] = '1' # of what it starts, too
    for number, file in {0: open(stdin), 1: open(said, 'a'), 2: open(said, 'a')}.items(): os.dup2(file.fileno(), number)
    sys.stdin = open(0, closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    multiprocessing.set_start_method(None, force=True)
    torch.set_num_threads(1)


def run_program(words, stdin, said):
    from ltseg.cli import main
    prepare(stdin, said)
    sys.exit(main(words))


def run_file(words, stdin, said):
    prepare(stdin, said)
    sys.argv = words
    runpy.run_path(words[0], run_name='__main__')


def run_two(words, stdin, said):
    "As `run_file`; the process that Lightning starts beside it is a fork, too."
    with patch('pytorch_lightning.strategies.launchers.subprocess_script.subprocess', SimpleNamespace(Popen=popen)): run_file(words, stdin, said)


def popen(command, env, cwd):
    "Stands for `subprocess.Popen` of this interpreter with a file of Python."
    process = multiprocessing.get_context('fork').Process(target=run_second, args=(command[1:], env))
    process.start()
    process._popen.send_signal = lambda number: os.kill(process.pid, number)
    return process._popen


def run_second(words, env):
    from pytorch_lightning.utilities import rank_zero_only
    rank_zero_only.rank = int(env['LOCAL_RANK']) # as Lightning does when it is imported
    os.environ.update(env)
    sys.argv = words
    runpy.run_path(words[0], run_name='__main__')


@pytest.fixture
def program():
    """Starts `ltseg WORDS`, which reads the file `stdin` and says all into the file `said`: a process whose status is `exitcode`.
    With `run=run_file`, the first of the words is a file of Python, and further processes can be started by its name."""
    started = []
    def start(*words, stdin=os.devnull, said=os.devnull, run=run_program):
        started.append(forks().Process(target=run, args=([str(w) for w in words], stdin, said)))
        started[-1].start()
        return started[-1]
    yield start
    for process in started:
        process.kill()
        process.join()


def answer(sender, work, args):
    prepare(os.devnull, os.devnull)
    try: sender.send((work(*args), None))
    except BaseException: sender.send((None, traceback.format_exc()))


def alone(work, *args):
    "What the function `work` of a module returns in a process of its own."
    receiver, sender = forks().Pipe(duplex=False)
    process = forks().Process(target=answer, args=(sender, work, args))
    process.start()
    sender.close()
    found, trouble = receiver.recv()
    process.join()
    assert trouble is None, trouble
    return found


needs_proc = pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')


def told(key):
    "Bytes, of what the system knows of this process."
    return int(re.search(key + r':\s+(\d+)', Path('/proc/self/status').read_text())[1])*1024


def peak_of(work):
    "Bytes that `work` takes at most, beyond those that are taken already."
    large = -3, 1 << 16 # M_MMAP_THRESHOLD of glibc: freed arrays go back to the system, so that holes in the heap do not count
    getattr(ctypes.CDLL(None), 'mallopt', lambda *_: None)(*large)
    before = told('VmRSS')
    Path('/proc/self/clear_refs').write_text('5') # the peak begins anew
    work()
    return told('VmHWM') - before

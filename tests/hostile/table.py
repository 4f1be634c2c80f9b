"""A row of the table of hostile input.

It is a function of an empty folder. It makes the input and uses it; it ends in the `InputError` whose words the row states
(then the page shows the message), or checks what came out and returns it in words. What it leaves behind is found by comparing the folder
before and after: between making and using, the function says `yield` once, or it calls the program through `ltseg`, or a function of the library
that is `marked`; these two mark the moment by themselves.
What is refused must leave every file as it was: same names, bytes and times.
"""
import inspect
import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Callable, NamedTuple

from ltseg.cli import main
from ltseg.files import InputError

from .options import strange

ROWS = []


def snapshot(folder: Path) -> dict:
    "Name -> kind, bytes and time of everything below `folder`."
    def state(p):
        if p.is_symlink(): return 'link', p.readlink()
        if not p.is_file(): return p.is_dir() and 'folder' or 'other',
        return 'file', p.read_bytes(), p.stat().st_mtime_ns
    return {str(p.relative_to(folder)): state(p) for p in sorted(folder.rglob('*'))}


class Watch:
    "Compares a folder with what it was at the last mark."
    now = None # that of the row that runs

    def __init__(self, folder): self.folder, self.before = folder, None
    def mark(self): self.before = snapshot(self.folder)

    def changes(self) -> list:
        "What is new, gone or different: the topmost names."
        assert self.before is not None, 'the row says nowhere that its input is there'
        after = snapshot(self.folder)
        differ = [f'{"changed " if p in after else "lost "}{p}' for p, state in self.before.items() if after.get(p) != state]
        new = [p for p in after if p not in self.before]
        return differ + [p for p in new if not any(str(above) in new for above in Path(p).parents)]


def marked(use: Callable) -> Callable:
    "`use`, which is called when the input is there: its arguments are made before."
    @wraps(use)
    def call(*args, **options):
        Watch.now.mark()
        return use(*args, **options)
    return call


class Outcome(NamedTuple):
    words: str # refused: the message; else what the row says
    left: str # what it leaves behind


@dataclass(frozen=True)
class Row:
    section: str
    what: str # what is tried
    run: Callable # (empty folder) -> words; or an `InputError`
    refused: tuple|None # words of the error; None: it must work
    leaves: tuple = () # what a refusal leaves all the same, for a reason that the row gives

    def outcome(self, folder: Path) -> Outcome:
        "What it gets and leaves, as the page shows it; an AssertionError if that is not what the row states."
        watch = Watch.now = Watch(folder)
        try: words = self._finish(folder)
        except InputError as e:
            message = str(e)
            assert self.refused is not None, message
            for word in self.refused: assert word in message, message
            words = 'refused: ' + message.replace(f'{folder}/', '').replace(str(folder), 'DIR')
        else: assert self.refused is None, f'not refused: {words}'
        left = watch.changes()
        assert self.refused is None or tuple(left) == self.leaves, f'left behind: {left}'
        return Outcome(words, ', '.join(left) or 'nothing')

    def _finish(self, folder):
        if not inspect.isgeneratorfunction(self.run): return self.run(folder)
        made = self.run(folder)
        next(made) # the input is there
        Watch.now.mark()
        try: next(made)
        except StopIteration as end: return end.value


def row(section, what, *refused, works=False, leaves=()):
    "Adds the function below to the table."
    def add(run):
        ROWS.append(Row(section, what, run, None if works else refused, leaves))
        return run
    return add


class Refused(InputError):
    "What the program says when it ends with status 2."
    def __init__(self, message): ValueError.__init__(self, message)


def ltseg(*words):
    "The program; its error as an exception."
    if Watch.now is not None: Watch.now.mark()
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        try: status = main([str(w) for w in words])
        except SystemExit as e: status = e.code
    message = said.getvalue()
    assert status in (0, 2) and 'Traceback' not in message, message
    typed = {str(w).split('=')[0] for w in words}
    advised = set(strange(str(words[0]), message)) - typed if status else ()
    assert not advised, f'{advised} is no option of ltseg {words[0]}: {message}'
    if status: raise Refused(message.split('ltseg: ')[-1].split('ltseg segment: ')[-1].strip())

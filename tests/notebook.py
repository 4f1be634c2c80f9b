"""Runs a notebook, cell by cell, and compares what it prints with what is stored in it.

A cell that shows what no two runs share, such as times of a training, says `#| varies` in its first lines: it runs, and is not compared.
"""
import difflib
import os
import re
import sys
import tempfile
from pathlib import Path

from execnb.shell import CaptureShell
from nbdev.config import get_config
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor

NBS = Path(__file__).resolve().parent.parent/'nbs'
NUMBER = re.compile(r'(\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)')
MEASURED = re.compile(r'-?\d[\d.,]*(?: *[-–…] *\d[\d.,]*)? *(µs|ms|s|min|h|seconds?|minutes?|hours?|MB|GB)\b')
ELSEWHERE = re.compile(rf'{re.escape(tempfile.gettempdir())}/[^\s\'"`|)]*|\b0x[0-9a-f]{{6,}}|\x1b\[[\d;]*m')


def texts(outputs) -> str:
    "What a reader of these outputs sees of text: printed, shown as Markdown, or the value of the last line."
    found = []
    for o in outputs:
        data = o.get('data', {})
        if o.get('name') == 'stdout': found.append(o['text'])
        elif not any(kind.startswith('image/') for kind in data): found.append(data.get('text/markdown') or data.get('text/plain', ''))
    return '\n'.join(''.join(t) for t in found)


def words(text: str) -> list:
    "Its words, without what differs between two runs anyhow: times, sizes in memory, temporary names, places on this machine."
    return MEASURED.sub(r'· \1', ELSEWHERE.sub('', text).replace(str(NBS.parent), '')).split()


def alike(a: str, b: str) -> bool:
    "The same word; numbers in it may differ by 2 %, or by one in the last place behind the point: processors round differently."
    one, two = NUMBER.split(a), NUMBER.split(b)
    return one[::2] == two[::2] and all(map(close, one[1::2], two[1::2]))


def close(a: str, b: str) -> bool:
    "Two numbers."
    x, y = (float(n.replace(',', '')) for n in (a, b))
    places = min(len(n.partition('e')[0].partition('.')[2]) for n in (a, b))
    return abs(x - y) <= max(.02*max(x, y), places and 1.01*10**-places)


def differences(stored, now) -> str:
    "What changed from one to the other of two lists of outputs; empty if they tell a reader the same."
    one, two = words(texts(stored)), words(texts(now))
    if len(one) == len(two) and all(map(alike, one, two)): return ''
    return '\n'.join(difflib.unified_diff(*(texts(o).splitlines() for o in (stored, now)), 'stored', 'now', n=0, lineterm=''))


def runs(cell, skipped: set) -> bool:
    "Whether a test runs it: code that neither a directive nor nbdev exempts."
    if cell.cell_type != 'code' or 'nbdev_export' + '(' in cell.source: return False
    return not skipped & cell.directives_.keys() and cell.directives_.get('eval:', ['true'])[0].lower() != 'false'


def run(path: Path, flags=()) -> list:
    """Runs a notebook in this process; what went wrong, in words: the error that it stopped at, and every output that is not the stored one.
    None if the notebook says `skip_exec`."""
    nb = NBProcessor(path, procs=FrontmatterProc, process=True).nb
    if str(nb.frontmatter_.get('skip_exec', False)).lower() == 'true': return None
    os.environ['IN_TEST'] = '1' # of nbdev: the notebook is not looked at
    os.chdir(path.parent)
    shell, stale = CaptureShell(path, mpl_format='png'), []
    for cell in nb.cells:
        if not runs(cell, set(get_config().tst_flags.split()) - set(flags)): continue
        outputs = shell.run(cell.source)
        if shell.exc: return [*stale, f'cell {cell.id}\n{shell.prettytb(fname=path)}']
        if 'varies' in cell.directives_: continue
        if diff := differences(cell.outputs, outputs): stale.append(f'cell {cell.id} shows something else than what is stored:\n{diff}')
    return stale


if __name__ == '__main__':
    problems = run(Path(sys.argv[1]).resolve(), sys.argv[2:])
    print(*problems or [], sep='\n\n')
    sys.exit(bool(problems))

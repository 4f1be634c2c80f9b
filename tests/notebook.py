"""Runs a notebook, cell by cell, and compares what it prints with what is stored in it.
`python tests/notebook.py NOTEBOOK [FLAG …]` stores what it shows now, and runs cells marked with one of the flags, too.

A cell that shows what no two runs share, such as times of a training, says `#| varies` in its first lines: it runs, and is not compared.
"""
import base64
import difflib
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path

from execnb.shell import CaptureShell
from nbdev.config import get_config
from nbdev.frontmatter import FrontmatterProc
from nbdev.process import NBProcessor
from PIL import Image

NBS = Path(__file__).resolve().parent.parent/'nbs'
NUMBER = re.compile(r'(\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)')
MEASURED = re.compile(r'-?\d[\d.,]*(?: *[-–…] *\d[\d.,]*)? *(µs|ms|s|min|h|seconds?|minutes?|hours?|MB|GB)\b')
TAG = re.compile(r'<style.*?</style>|<[^>]*>', re.DOTALL)
ELSEWHERE = re.compile(rf'{re.escape(tempfile.gettempdir())}/[^\s\'"`|)]*|\b0x[0-9a-f]{{6,}}|\x1b\[[\d;]*m')


def texts(outputs) -> str:
    "What a reader of these outputs sees of text: printed, or the value of the last line (of a table its cells, whatever the width of the screen)."
    found = []
    for o in outputs:
        data = {kind: ''.join(d) for kind, d in o.get('data', {}).items()}
        if o.get('name') == 'stdout': found.append(''.join(o['text']))
        elif 'text/html' in data: found.append(TAG.sub(' ', data['text/html']))
        elif not any(kind.startswith('image/') for kind in data): found.append(data.get('text/markdown') or data.get('text/plain', ''))
    return '\n'.join(found)


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


def same(stored: str, now: str) -> bool:
    "Whether two texts tell a reader the same."
    one, two = words(stored), words(now)
    return len(one) == len(two) and all(map(alike, one, two))


def differences(stored, now) -> str:
    "What changed from one to the other of two lists of outputs; empty if they tell a reader the same."
    if same(texts(stored), texts(now)) or texts(now).startswith('skipped: '): return '' # for want of data, on a machine that has none
    return '\n'.join(difflib.unified_diff(*(texts(o).splitlines() for o in (stored, now)), 'stored', 'now', n=0, lineterm=''))


def runs(cell, skipped: set) -> bool:
    "Whether a test runs it: code that neither a directive nor nbdev exempts."
    if cell.cell_type != 'code' or 'nbdev_export' + '(' in cell.source: return False
    return not skipped & cell.directives_.keys() and cell.directives_.get('eval:', ['true'])[0].lower() != 'false'


def executed(path: Path, flags, form: str):
    """Runs the cells of a notebook in this process, those with one of `flags` too; yields each with its outputs, and at last
    the words of an error that stopped it. `form` is that of the figures."""
    nb = NBProcessor(path, procs=FrontmatterProc, process=True).nb
    os.chdir(path.parent)
    shell = CaptureShell(path, mpl_format=form)
    for cell in nb.cells:
        if not runs(cell, set(get_config().tst_flags.split()) - set(flags)): continue
        shell._cell_idx = cell.idx_ + 1 # for the words of an error
        # behind a semicolon execnb would leave out what was printed, too
        outputs = shell.run(cell.source + '\npass' if cell.source.rstrip().endswith(';') else cell.source)
        yield cell, outputs, shell.exc and shell.prettytb(fname=path)
        if shell.exc: return


def run(path: Path, flags=()) -> list:
    "What goes wrong in a notebook, in words: an error that it stops at, and every output that is not the stored one."
    os.environ['IN_TEST'] = '1' # of nbdev: nobody looks at this run
    found = []
    for cell, outputs, error in executed(path, flags, 'png'):
        if error: found.append(f'cell {cell.id}\n{error}')
        elif 'varies' in cell.directives_: continue
        elif diff := differences(cell.outputs, outputs): found.append(f'cell {cell.id} shows something else than what is stored:\n{diff}')
    return found


def light(outputs) -> list:
    "The outputs, their larger figures in 128 colours: half of the bytes, and nobody sees it."
    for data in (o.get('data', {}) for o in outputs):
        if len(png := data.get('image/png', '')) < 20_000: continue
        small = io.BytesIO()
        Image.open(io.BytesIO(base64.b64decode(png))).convert('RGB').quantize(128, dither=Image.Dither.NONE).save(small, 'png', optimize=True)
        data['image/png'] = base64.b64encode(small.getvalue()).decode()
    return outputs


def store(path: Path, flags=()):
    "Puts what a notebook shows now into it; of cells that do not run, what was stored remains."
    nb = json.loads(path.read_text(encoding='utf8'))
    cells = {c['id']: c for c in nb['cells']}
    for cell, outputs, error in executed(path, flags, 'retina'):
        if error: sys.exit(error)
        cells[cell.id]['outputs'] = light(outputs)
    path.write_text(json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf8')


if __name__ == '__main__': store(Path(sys.argv[1]).resolve(), sys.argv[2:])

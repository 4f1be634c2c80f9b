"""Counts of one or several checkouts, side by side, as in the table on the page "Design": `python .ci/counts.py TREE...`.

The times are processor seconds of processes of their own, medians of three turns, in each of which every tree has its turn."""
import ast
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT/'tests'/'golden'/'film.mp4' # eight frames
TURNS = 3
ENTERED = '''
import sys, threading
from pathlib import Path
import ltseg.inference
from ltseg.cli import main
folder, found = str(Path(ltseg.__file__).parent), {}
def look(frame, event, arg):
    code = frame.f_code
    if event == 'call' and code.co_filename.startswith(folder) and '<' not in code.co_name: found[Path(code.co_filename).stem, code.co_qualname] = 1
threading.setprofile(look); sys.setprofile(look)
main(['segment', sys.argv[1], '-o', sys.argv[2], '-K', '4', '--overwrite'])
sys.setprofile(None)
print(len(found), *dict.fromkeys(module for module, _ in found))
'''


def modules(tree: Path) -> dict: # name -> text
    return {p.stem: p.read_text('utf8') for p in sorted((tree/'ltseg').glob('*.py')) if not p.stem.startswith('_')}


def called_once(code: list) -> int: # of syntax trees: private functions and methods whose name stands once in all of them besides its definition
    nodes = [n for tree in code for n in ast.walk(tree)]
    uses = Counter(n.id if isinstance(n, ast.Name) else n.attr for n in nodes if isinstance(n, (ast.Name, ast.Attribute)))
    defined = Counter(n.name for n in nodes if isinstance(n, ast.FunctionDef) and re.match('_[^_]', n.name))
    calls = Counter(getattr(n.func, 'id', getattr(n.func, 'attr', '')) for n in nodes if isinstance(n, ast.Call)) # functions in tables are none
    return sum(n == 1 and uses[name] == 1 and calls[name] == 1 for name, n in defined.items())


def cells(tree: Path) -> list: # of texts: exported cells that are not of imports only
    found = [''.join(c['source']) for p in sorted((tree/'nbs').glob('[0-9]*.ipynb')) for c in json.loads(p.read_text('utf8'))['cells']]
    found = ['\n'.join(line for line in c.splitlines() if line.strip() and not line.startswith('#|')) for c in found if re.match(r'#\| *exports?\b', c)]
    return [c for c in found if not all(re.match(r'from |import |\s|\)', line) for line in c.splitlines())]


def counts(tree: Path) -> dict:
    texts, exported = modules(tree), cells(tree)
    code = [ast.parse(t) for t in texts.values()]
    functions = sum(isinstance(n, ast.FunctionDef) for t in code for n in ast.walk(t))
    lines = [line for t in texts.values() for line in t.splitlines() if line.strip() and not line.startswith('# %%')]
    return {'modules': len(texts), 'lines': len(lines), 'functions': functions,
            'helpers called once': called_once(code),
            'arguments written by hand': sum(t.count('add_argument(') for t in texts.values()),
            'exported cells': len(exported), 'lines of an exported cell, median': median(len(c.splitlines()) for c in exported)}


def run(tree: Path, *words) -> tuple: # -> (processor seconds, what it printed)
    env = os.environ | {'PYTHONPATH': str(tree)} | dict.fromkeys(['OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENCV_FOR_THREADS_NUM'], '1')
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *map(str, words)], env=env, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def main(trees):
    with tempfile.TemporaryDirectory() as out:
        segment = '-m', 'ltseg', 'segment', CLIP, '-o', f'{out}/result', '-K', '4', '--overwrite'
        jobs = {'import ltseg.inference, s': ('-c', 'import ltseg.inference'), 'ltseg segment, eight frames, s': segment}
        times = {(job, tree): [] for job in jobs for tree in trees}
        for _ in range(TURNS):
            for job, tree in times: times[job, tree].append(run(tree, *jobs[job])[0])
        for tree in trees:
            functions, *entered = run(tree, '-c', ENTERED, CLIP, f'{out}/walk')[1].splitlines()[-1].split()
            print(f'\n{tree}')
            rows = counts(tree) | {'functions that ltseg segment enters': functions, 'modules that it enters': len(entered), 'in the order': ' '.join(entered)}
            for name, value in (rows | {job: f'{median(times[job, tree]):.2f}' for job in jobs}).items(): print(f'{name:36} {value}')


if __name__ == '__main__': main([Path(p).resolve() for p in sys.argv[1:]] or [ROOT])

"The house is in order: who imports whom, what is generated, how the command line starts."
import ast
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from runpy import run_path
from statistics import median, quantiles

import pytest
from nbdev.config import get_config
from processes import alone, program, run_file  # noqa: F401: a fixture

ROOT = Path(__file__).resolve().parent.parent
CLI = ROOT/'ltseg'/'cli.py'


def module_order() -> dict:
    "Module name -> the number of the notebook that it comes from."
    order = {}
    for path in sorted((ROOT/'nbs').glob('[0-9]*.ipynb')):
        source = '\n'.join(''.join(c['source']) for c in json.loads(path.read_text(encoding='utf8'))['cells'])
        if found := re.search(r'^#\| *default_exp +(\S+)', source, re.MULTILINE): order[found[1]] = path.stem.split('_')[0]
    return order


def imported(path: Path) -> set:
    "The modules of ltseg that `path` imports, anywhere in it."
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf8'))):
        if isinstance(node, ast.Import): names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = f'ltseg.{node.module or ""}'.rstrip('.') if node.level else node.module
            names |= {f'{base}.{a.name}' for a in node.names} if base == 'ltseg' else {base}
    modules = {n.split('.')[1] for n in names if n.startswith('ltseg.')}
    return {m for m in modules if not m.startswith('_')}  # not a module: __version__


ORDER = module_order()
MODULES = sorted(p.stem for p in (ROOT/'ltseg').glob('*.py') if not p.stem.startswith('_'))


@pytest.mark.parametrize('module', MODULES)
def test_imports_only_from_notebooks_above(module):
    assert module in ORDER, f'ltseg/{module}.py comes from no notebook'
    below = {m for m in imported(ROOT/'ltseg'/f'{module}.py') if ORDER.get(m, '99') >= ORDER[module]}
    assert not below, f'ltseg.{module} imports {below}, which no notebook above it defines'


@pytest.fixture(scope='module')
def copy(tmp_path_factory) -> Path:
    "What is generated, and what it is generated from, in a place of its own."
    to = tmp_path_factory.mktemp('copy')
    for name in ['nbs', 'ltseg', '.ci']:
        shutil.copytree(ROOT/name, to/name, symlinks=True, ignore=shutil.ignore_patterns('_*.ipynb', '__pycache__', '.ipynb_checkpoints'))
    for name in ['settings.ini', '_quarto.yml', 'README.md']: shutil.copy(ROOT/name, to/name)
    return to


def test_generated_files_are_up_to_date(copy):
    "Notebooks clean, modules exported, README.md and the site's lists current: `.ci/generate.py` has nothing to do."
    before = {p: p.read_text(encoding='utf8') for p in copy.rglob('*') if p.suffix in {'.ipynb', '.py', '.md', '.yml'}}
    subprocess.run([sys.executable, copy/'.ci'/'generate.py'], check=True, stdin=subprocess.DEVNULL)
    after = {p: p.read_text(encoding='utf8') for p in copy.rglob('*') if p.suffix in {'.ipynb', '.py', '.md', '.yml'}}
    stale = [p for p in sorted(before.keys() | after.keys()) if before.get(p) != after.get(p)]
    diff = [line for p in stale for line in difflib.unified_diff(
        before.get(p, '').splitlines(), after.get(p, '').splitlines(), str(p.relative_to(copy)), 'generated', n=0, lineterm='')]
    assert not stale, 'run .ci/generate.py:\n' + '\n'.join(line[:200] for line in diff[:60])


def page_faults(page: Path) -> list:
    "What Quarto would lay out wrongly in a processed notebook: a source that is no list of lines, a directive that a cell has twice."
    found = []
    for cell in json.loads(page.read_text(encoding='utf8'))['cells']:
        source = cell['source']
        if not isinstance(source, list) or ''.join(source).splitlines(keepends=True) != source: found.append(f'no lines: {source!r:.80}')
        named = re.findall(r'^#\| *([\w-]+) *:', ''.join(source), re.MULTILINE)
        found += [f'{name} twice: {"".join(source)!r:.80}' for name in set(named) if named.count(name) > 1]
    return found


def test_documentation_pages_build(copy, program, tmp_path):
    "What is done to every notebook before Quarto sees it: exported and import cells run, docs of all symbols are made, captions set."
    (tmp_path/'build.py').write_text(f'import os, runpy; os.chdir({str(copy)!r}); runpy.run_path(".ci/site.py")["processed"]()')
    process = program(tmp_path/'build.py', run=run_file, said=tmp_path/'said')
    process.join(600)
    said = (tmp_path/'said').read_text('utf8')
    assert process.exitcode == 0, said[-8000:]
    assert 'Found cells containing imports and other code' not in said, said[-8000:]
    assert (copy/'_proc'/'index.ipynb').exists() and (copy/'_proc'/'_quarto.yml').exists()
    wrong = [f'{p.name}: {fault}' for p in (copy/'_proc').rglob('*.ipynb') for fault in page_faults(p)]
    assert not wrong, '\n'.join(wrong)


def test_ci_calls_the_command_of_the_readme():
    commands = re.findall(r'^python3 -m venv .*$', (ROOT/'README.md').read_text(encoding='utf8'), re.MULTILINE)
    assert len(commands) == 2
    assert commands[1] in (ROOT/'.ci'/'run').read_text(encoding='utf8').splitlines()


@pytest.mark.skipif(not CLI.exists(), reason='no command line yet')
def test_help_does_not_import_torch():
    "Help comes at once: torch alone takes seconds to import."
    code = '''
import sys
from ltseg.cli import main
sys.argv = ['ltseg', '--help']
assert main() == 0
slow = {'torch', 'pytorch_lightning', 'cv2', 'matplotlib', 'scipy', 'pandas'} & set(sys.modules)
assert not slow, f'imported: {slow}'
'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    for word in ['segment', 'demo', 'split', 'flow', 'train', 'predict', 'evaluate', 'export', 'report']: assert word in done.stdout


def test_dependencies_have_no_known_flaws():
    "The oldest versions that are allowed are those that close published CVEs."
    requirements = get_config().requirements.split()
    for safe in ['pillow>=12.3', 'wandb>=0.30', 'torch>=2.10,<2.14', 'pytorch_lightning>=2.6.6,<2.7']: assert safe in requirements


def examples_seen(folder, words):
    "What the tests in a folder say of their examples."
    os.chdir(folder)
    said = StringIO()
    with redirect_stdout(said): pytest.main(['-sq', '-p', 'no:cacheprovider', '-c', os.devnull, str(folder), *words])
    return re.search('seen (.*)', said.getvalue())[1]


@pytest.mark.parametrize(('words', 'different'), [([], 1), (['--hypothesis-profile=search'], 2)], ids=['usual', 'search'])
def test_examples_are_the_same_every_time(words, different, tmp_path):
    "A random search is asked for."
    shutil.copy(ROOT/'tests'/'conftest.py', tmp_path)
    (tmp_path/'test_it.py').write_text('''
from hypothesis import given, strategies as st
seen = []
@given(st.integers())
def test_it(n): seen.append(n)
def test_end(): print('seen', len(seen), hash(tuple(seen)))
''')
    runs = {alone(examples_seen, tmp_path, words) for _ in range(2)}
    assert len(runs) == different


def test_the_job_needs_neither_training_nor_scores():
    "Segmenting, from the video to the labels, imports no Lightning, no pandas, no matplotlib, and none of the scores."
    code = "import sys, ltseg.inference; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.split()
    assert 'ltseg.result' in modules
    for name in ('pytorch_lightning', 'pandas', 'matplotlib', 'scipy', 'ltseg.segmenter', 'ltseg.evaluation', 'ltseg.selection', 'ltseg.splits'): assert name not in modules, name


def test_segmenting_a_clip_imports_no_compiler(tmp_path):
    "Nor scipy: each would take as long to import as the clip takes to be segmented. (On the device meta, some operations of torch import its compiler.)"
    code = f"""import sys
from ltseg.cli import main
status = main(['segment', {str(ROOT/'tests/golden/film.mp4')!r}, '-o', {str(tmp_path/'OUT')!r}, '-K', '4'])
print(status, *sys.modules)"""
    status, *modules = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.splitlines()[-1].split()
    assert status == '0' and 'ltseg.inference' in modules
    for name in ('scipy', 'sympy', 'torch._dynamo', 'torch.distributed.fsdp', 'pandas', 'pytorch_lightning'): assert name not in modules, name


def exported_cells() -> list:
    "Of each exported cell that is not of imports only, its lines that are not blank."
    cells = [''.join(c['source']) for path in sorted((ROOT/'nbs').glob('[0-9]*.ipynb')) for c in json.loads(path.read_text('utf8'))['cells']]
    code = [[line for line in c.splitlines() if line.strip() and not line.startswith('#|')] for c in cells if re.match(r'#\| *exports?\b', c)]
    return [lines for lines in code if not all(re.match(r'from |import |\s|\)', line) for line in lines)]


def test_one_idea_a_cell():
    "Exported cells have 7 to 11 lines in the median, nine of ten have no more than 26, and at least four of five hold one definition, or none."
    cells = exported_cells()
    lengths = [len(lines) for lines in cells]
    assert median(lengths) <= 11 and quantiles(lengths, n=10)[-1] <= 26, (median(lengths), quantiles(lengths, n=10)[-1])
    several = [sum(bool(re.match(r'(async )?def |class ', line)) for line in lines) > 1 for lines in cells]
    assert sum(several) <= .2*len(cells), f'{sum(several)} of {len(cells)} exported cells hold several definitions'


def test_counts_of_the_design_page():
    "What the page Design says of today is still about true."
    counts = run_path(str(ROOT/'.ci/counts.py'))['counts'](ROOT)
    rows = {}
    for line in (ROOT/'nbs/design.ipynb').read_text('utf8').splitlines():
        if found := re.match(r'\s*"\| ([^|]+?) \|(?:[^|]+\|){2} ([\d,.]+)[^|]*\|', line): rows[found[1].replace('`', '')] = float(found[2].replace(',', ''))
    told = {'modules': 'modules', 'lines': 'lines of code, without blank ones', 'functions': 'functions',
            'helpers called once': 'private helpers that are called once', 'lines of an exported cell, median': 'lines of an exported cell, median'}
    for name, row in told.items(): assert rows[row] == pytest.approx(counts[name], rel=.15), name
    assert counts['arguments written by hand'] <= rows['command-line arguments written by hand']

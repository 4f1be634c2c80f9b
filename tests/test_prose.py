"What a newcomer reads first: a short README whose figures are measured, tutorials that answer the first questions, a glossary."
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from ltseg.protocol import bootstrap

ROOT = Path(__file__).resolve().parent.parent
NBS, README = ROOT/'nbs', (ROOT/'README.md').read_text(encoding='utf8')
PICTURE = re.compile(r'!\[[^\]]*\]\(([^)]+)\)')


def prose(page: str) -> str:
    "The Markdown of a notebook, its white space reduced."
    cells = json.loads((NBS/f'{page}.ipynb').read_text(encoding='utf8'))['cells']
    return ' '.join('\n\n'.join(''.join(c['source']) for c in cells if c['cell_type'] == 'markdown').split())


def test_readme_is_short():
    shown = re.sub(r'```.*?```|<!--.*?-->', '', README, flags=re.DOTALL)
    shown = re.sub(r'\]\([^)]*\)', ']', PICTURE.sub('', shown))
    assert len(re.findall(r'\w[\w\'.-]*', shown)) < 850


def test_readme_has_one_picture_that_moves():
    file, = PICTURE.findall(README)
    with Image.open(ROOT/file) as picture: assert picture.n_frames > 24
    assert (ROOT/file).stat().st_size < 1.5e6


def measured(file, **chosen) -> str:
    "Mean J of a table in `nbs/results`, and its interval."
    rows = pd.read_csv(NBS/'results'/file, keep_default_na=False)
    for column, value in chosen.items(): rows = rows[rows[column] == value]
    assert len(rows) == 30
    return str(bootstrap(rows.J))


@pytest.mark.parametrize(('row', 'file', 'chosen'), [
    ('`--quality fast`', 'refined.csv', dict(weights='default', flow='dis-guided-fast', refine='flow')),
    ('`--quality balanced`, the default', 'refined.csv', dict(weights='default', flow='dis-guided', refine='flow-then-image')),
    ('`--quality best`', 'appearance.csv', dict(weights='head', flow='dis-guided', refine='flow-then-image', appearance='quick')),
    ('RAFT flow, default options', 'refined.csv', dict(weights='default', flow='raft-small', refine='flow-then-image')),
    ('RAFT flow, `--weights head --appearance thorough`', 'appearance.csv', dict(weights='head', flow='raft-small', refine='flow-then-image', appearance='thorough'))])
def test_figures_of_the_readme_are_measured(row, file, chosen):
    stated = re.search(rf'^\| {re.escape(row)} \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|$', README, re.MULTILINE)
    assert '{} [{}, {}]'.format(*stated.groups()) == measured(file, **chosen)


@pytest.mark.parametrize(('row', 'file', 'chosen'), [
    ('RAFT-small | `--weights head --appearance thorough`', 'appearance.csv', dict(weights='head', flow='raft-small', refine='flow-then-image', appearance='thorough')),
    ('RAFT-small | `--weights sharp`', 'refined.csv', dict(weights='sharp', flow='raft-small', refine='flow-then-image')),
    ('RAFT-small | `--weights head`', 'refined.csv', dict(weights='head', flow='raft-small', refine='flow-then-image')),
    ('RAFT-small | the defaults: edges refined by the flow, then by the frames', 'refined.csv', dict(weights='default', flow='raft-small', refine='flow-then-image')),
    ('RAFT-small | `--refine none`', 'refined.csv', dict(weights='default', flow='raft-small', refine='none')),
    ('DIS, guided | `--quality best`', 'appearance.csv', dict(weights='head', flow='dis-guided', appearance='quick')),
    ('DIS, guided | `--weights head`', 'refined.csv', dict(weights='head', flow='dis-guided', refine='flow-then-image')),
    ('DIS, guided | the defaults (`--quality balanced`): edges refined by the flow, then by the frames', 'refined.csv', dict(weights='default', flow='dis-guided', refine='flow-then-image')),
    ('DIS, guided | `--refine none`', 'refined.csv', dict(weights='default', flow='dis-guided', refine='none')),
    ('DIS, finest scale | edges refined by the frames', 'refined.csv', dict(weights='default', flow='dis-fine', refine='image')),
    ('DIS | edges refined by the frames', 'refined.csv', dict(weights='default', flow='dis', refine='image')),
    ('DIS | `--refine none`', 'refined.csv', dict(weights='default', flow='dis', refine='none')),
    ('DIS, guided, fast | `--quality fast`', 'refined.csv', dict(weights='default', flow='dis-guided-fast', refine='flow'))])
def test_figures_of_the_model_card_are_measured(row, file, chosen):
    stated = re.search(rf'\| {re.escape(row)} \| ([^|]*) \| [\d.]+ \|', prose('96_model_card'))[1]
    assert stated.replace('*', '') == measured(file, **chosen)


QUESTIONS = {  # what a newcomer asks -> the tutorial that says it, and how
    'what is DAVIS?': ('01_segment_a_video', r'\*\*DAVIS\*\*, the best-known collection of real videos with true masks'),
    'what is a DataSplit?': ('01_segment_a_video', r'A \*\*DataSplit\*\* is how a whole data set is described: three tables'),
    'what are weights?': ('02_what_the_network_sees', r'many numbers in it, which are called its \*weights\*'),
    'what is a loss?': ('02_what_the_network_sees', r'is measured by one number, the \*loss\*'),
    'are still objects found?': ('01_segment_a_video', r'\*\*What stands still is not found\.\*\*'),
    'is parallax hard?': ('01_segment_a_video', r'\*\*Strong parallax is hard\.\*\*'),
    'a number for K, or auto?': ('01_segment_a_video', r'Take a number when'),
    'how do labels survive?': ('01_segment_a_video', r'Each window shares 8 flows with the next'),
    'why is the biggest the background?': ('01_segment_a_video', r'Flow alone cannot say what is background'),
    'what does --quality best do?': ('01_segment_a_video', r'`--quality best` is short for `--weights head --appearance quick`'),
    'what does --appearance do?': ('02_what_the_network_sees', r'With `--appearance quick`.* learns what each segment looks like')}


@pytest.mark.parametrize('question', QUESTIONS)
def test_tutorials_answer(question):
    page, answer = QUESTIONS[question]
    assert re.search(answer, prose(f'tutorials/{page}'))


def test_quality_is_what_the_tutorial_says():
    from ltseg.options import QUALITIES
    text = prose('tutorials/01_segment_a_video')
    for name, options in QUALITIES.items():
        if options: assert f'`--quality {name}` is short for `' + ' '.join(f'--{k} {"none" if v is None else v}' for k, v in options.items()) + '`' in text


@pytest.mark.parametrize('word', ['Optical flow, flow', 'Motion model', 'Segment', 'Query', 'Window', 'DataSplit', 'Sequence', 'J', 'Selection rule', 'GT-free'])
def test_glossary_has(word):
    cells = json.loads((NBS/'tutorials/09_glossary.ipynb').read_text(encoding='utf8'))['cells']
    assert any(re.search(rf'^\*\*{re.escape(word)}\.\*\* \w', ''.join(c['source']), re.MULTILINE) for c in cells)


@pytest.mark.parametrize('page', ['index', 'tutorials/01_segment_a_video', 'tutorials/02_what_the_network_sees', '96_model_card'])
def test_the_glossary_is_linked(page):
    assert '09_glossary.ipynb)' in prose(page)

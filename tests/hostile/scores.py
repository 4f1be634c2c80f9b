"Predictions, scores and exports: what is refused, and what earlier ones keep."
import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from ltseg.flow import write_flow
from ltseg.splits import read_split, split_folder, write_split

from .made import changed, clip, put_pictures
from .table import ltseg, row
from .weights import put_weights

METHOD = '--method em -K 2'.split()


@cache
def finished():
    "A table of one sequence with flow by hand, its predictions, scores and export: to be copied."
    top = Path(mkdtemp())
    frames = clip(4, 32, 48)
    masks = [Image.fromarray(np.uint8(f[..., 0] > 99)*255) for f in frames]
    for kind, pictures in dict(JPEGImages=frames, Annotations=masks).items():
        (top/'data'/kind/'480p').mkdir(parents=True)
        put_pictures(top/'data'/kind/'480p'/'a', pictures)
    split_folder(top/'data', 'T', progress=False)
    put_flow(top, 'dis')
    ltseg('predict', *table(top), *METHOD, '-o', top/'done')
    ltseg('evaluate', *table(top), *METHOD, '-o', top/'scores')
    ltseg('export', top/'done', '-o', top/'davis17')
    return top


def put_flow(d, estimator, size=(32, 48), name='T'):
    "Flow of the two halves of the picture, which move apart; the table names it."
    folder = d/'data/Flow'/estimator/'a'
    folder.mkdir(parents=True)
    flow = torch.full((2, *size), 2.)
    flow[0, :, :size[1]//2] = -3
    for t in range(3): write_flow(folder/f'{t}.flo', flow)
    (folder.parent/'flow.json').write_text(json.dumps(dict(estimator=estimator, versions=[])))
    split = read_split('T', d/'data', 'val', columns=())
    rows = split.table.assign(Flow=[f'Flow/{estimator}/a/{t}.flo' for t in range(3)] + [None])
    write_split(rows, name, 'val', d/'data/DataSplit')


def table(d, name='T'): return ['--data-file', name, '--base-dir', d/'data']

def put(d):
    shutil.copytree(finished(), d, dirs_exist_ok=True)
    return d

COMMANDS = { # what is there already, and the words that would write it anew
    'predictions': lambda d: ('done', ['predict', *table(d), *METHOD, '-o', d/'done']),
    'scores': lambda d: ('scores', ['evaluate', *table(d), *METHOD, '-o', d/'scores']),
    'an export': lambda d: ('davis17', ['export', d/'done', '-o', d/'davis17'])}

for what, command in COMMANDS.items():
    @row('Scores', f'{what} where earlier ones are', '--overwrite')
    def _(d, command=command): ltseg(*command(put(d))[1])

    @row('Scores', f'`--overwrite` and {what} where somebody has his notes', 'something else')
    def _(d, command=command):
        name, words = command(put(d))
        shutil.rmtree(d/name)
        (d/name).mkdir()
        (d/name/'settings.json').write_text('{}')
        ltseg(*words[:-1], d/name, '--overwrite')

    @row('Scores', f'{what} where the disk is full', 'No space left')
    def _(d, command=command):
        words = command(put(d))[1]
        full = OSError(28, 'No space left on device')
        with patch('ltseg.predict.write_json', side_effect=full), patch('ltseg.scoring.write_json', side_effect=full): ltseg(*words, '--overwrite')

    @row('Scores', f'{what} in a folder below a file', 'a file')
    def _(d, command=command):
        words = command(put(d))[1]
        (d/'file').touch()
        ltseg(*words[:-1], d/'file')

    @row('Scores', f'{what} where a run was killed before', works=True)
    def _(d, command=command):
        name, words = command(put(d))
        shutil.rmtree(d/name)
        (d/name/'.new-abc').mkdir(parents=True)
        yield
        ltseg(*words)
        return 'written'

for what, damage, *words in [
    ('the flow of the last sequence is cut short', lambda d: changed(d/'data/Flow/dis/a/2.flo', lambda b: b[:-100]), '2.flo'),
    ('flow has a NaN', lambda d: changed(d/'data/Flow/dis/a/2.flo', lambda b: b[:-4] + np.float32(np.nan).tobytes()), '2.flo', 'no finite flow'),
    ('flow shows another picture than the images', lambda d: (shutil.rmtree(d/'data/Flow/dis'), put_flow(d, 'dis', (32, 32))), '32×32', '48×32')]:
    for command in ('predict', 'evaluate'):
        @row('Scores', f'`{command}` where {what}', *words)
        def _(d, command=command, damage=damage):
            damage(put(d))
            ltseg(command, *table(d), *METHOD, '-o', d/'new/folder')

@row('Scores', '`predict --overwrite` that fails in the end', '2.flo')
def _(d):
    changed(put(d)/'data/Flow/dis/a/2.flo', lambda b: b[:-100])
    ltseg('predict', *table(d), *METHOD, '-o', d/'done', '--overwrite')

for what, size in {'squeezed to a square': (32, 32), 'cut off': (30, 48), 'turned': (48, 32)}.items():
    @row('Scores', f'an annotation that is {what}', 'the annotation is', '48×32')
    def _(d, size=size):
        for file in (put(d)/'data/Annotations/480p/a').iterdir(): Image.fromarray(np.full(size, 255, np.uint8)).save(file)
        ltseg('evaluate', *table(d), *METHOD, '-o', d/'new')

@row('Scores', 'an annotation of half the size', works=True)
def _(d):
    for file in (put(d)/'data/Annotations/480p/a').iterdir(): Image.open(file).resize((24, 16)).save(file)
    yield
    ltseg('evaluate', *table(d), *METHOD, '-o', d/'new')
    return 'scored at that size'

@row('Scores', 'one annotation of another size among others', '1.png', 'expected 48×32')
def _(d):
    file = put(d)/'data/Annotations/480p/a/1.png'
    Image.open(file).resize((96, 64)).save(file)
    ltseg('evaluate', *table(d), *METHOD, '-o', d/'new')

for what, damage, *words in [
    ('a label image is missing', lambda d: (d/'done/labels/a/1.png').unlink(), 'a/1.png'),
    ('a label image is of another size', lambda d: Image.open(d/'done/labels/a/1.png').resize((9, 9)).save(d/'done/labels/a/1.png'), '1.png'),
    ('a name leads outside', lambda d: told(d, lambda r: r['sequences'][0].update(frames=['../../../x', '1', '2'])), 'leads out'),
    ('predictions.json is cut short', lambda d: changed(d/'done/predictions.json', lambda b: b[:99]), 'damaged'),
    ('predictions.json is in another encoding', lambda d: changed(d/'done/predictions.json', lambda b: b[:-1] + b'\xff'), 'damaged'),
    ('predictions.json is a list', lambda d: (d/'done/predictions.json').write_text('[]'), 'damaged'),
    ('the frames are others', lambda d: told(d, lambda r: r['sequences'][0].update(frames=['0', '1'])), 'next 2'),
    ('the sequence is another', lambda d: told(d, lambda r: r['sequences'][0].update(name='b')), ''),
    ('they are of the flow in another folder', lambda d: put_flow(d, 'raft'), 'Flow/dis/a', 'Flow/raft/a'),
    ('the flow was estimated anew by another estimator', lambda d: (d/'data/Flow/dis/flow.json').write_text('{"estimator": "raft"}'), 'by dis', 'by raft')]:
    @row('Scores', f'`evaluate --predictions` where {what}', *words)
    def _(d, damage=damage):
        damage(put(d))
        ltseg('evaluate', *table(d), '--predictions', d/'done', '-o', d/'new')


def told(d, change):
    file = d/'done/predictions.json'
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))

@row('Scores', '`evaluate --predictions` with the weights of another run', 'other', 'not made with')
def _(d):
    (put(d)/'other').mkdir()
    put_weights(d/'other/weights.safetensors')
    ltseg('evaluate', *table(d), '--predictions', d/'done', '--model-dir', d/'other')

@row('Scores', 'a method whose masks are NaN', 'NaN or infinite')
def _(d):
    put(d)
    with patch('ltseg.inference.em_segment', lambda flow, K, model: (torch.full((K, *flow.shape[1:]), torch.nan), None)):
        ltseg('evaluate', *table(d), *METHOD, '-o', d/'new')

for words in ('--motion-model Affine', '--low-memory', '--strategy ddp'):
    @row('Scores', f'`predict {words}`, which would do nothing', words.split()[0], 'does nothing')
    def _(d, words=words):
        put_weights(put(d)/'w.safetensors')
        ltseg('predict', *table(d), '--weights', d/'w.safetensors', '-K', 2, *words.split(), '-o', d/'new')

@row('Scores', 'more devices than sequences', 'take at most 1')
def _(d): ltseg('predict', *table(put(d)), *METHOD, '--devices', 3, '-o', d/'new')

@row('Scores', 'more devices than sequences, in place of an earlier result', 'take at most 1')
def _(d): ltseg('predict', *table(put(d)), *METHOD, '--devices', 3, '-o', d/'done', '--overwrite')

@row('Scores', 'a Trainer that knows no such strategy', 'Lightning refuses', 'nosuch')
def _(d): ltseg('predict', *table(put(d)), *METHOD, '--devices', 2, '--strategy', 'nosuch', '-o', d/'new')

@row('Scores', 'a table without flow', 'ltseg flow makes it')
def _(d):
    write_split(_rows(put(d)).assign(Flow=None), 'T', 'val', d/'data/DataSplit')
    ltseg('predict', *table(d), *METHOD, '-o', d/'new')

@row('Scores', 'DAVIS-2016 with a frame that has no annotation', 'DAVIS-2016', 'the first is 1')
def _(d):
    rows = _rows(put(d))
    rows.loc[1, 'GtMask'] = None
    write_split(rows, 'T', 'val', d/'data/DataSplit')
    ltseg('evaluate', *table(d), *METHOD, '-o', d/'new')


def _rows(d): return read_split('T', d/'data', 'val').table

@row('Scores', 'an export of label 255', '255')
def _(d):
    file = put(d)/'done/labels/a/1.png'
    Image.fromarray(np.full((32, 48), 255, np.uint8)).save(file)
    ltseg('export', d/'done', '-o', d/'new')

@row('Scores', 'an export into its own predictions', '--overwrite')
def _(d): ltseg('export', put(d)/'done', '-o', d/'done')

@row('Scores', 'a locale without UTF-8', works=True)
def _(d):
    put(d)
    yield
    with patch('io.text_encoding', lambda encoding, *_: encoding or 'ascii'): # what files get that name none
        ltseg('evaluate', *table(d), *METHOD, '-o', d/'new')
    assert '–' in (d/'new/scores.md').read_text('utf8')
    return 'scores.md is in UTF-8'

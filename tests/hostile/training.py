"Training: starts that come to nothing, and what earlier ones have left."
import shutil
import warnings
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from unittest.mock import patch

import numpy as np
import torch

from ltseg.segmenter import Segmenter
from ltseg.train import TrainSettings, train

from .made import clip, put_pictures
from .table import Watch, ltseg, row
from .weights import put_weights

SIZE = '--steps 1 --epoch-steps 1 --batch-size 1 --val 1 --accelerator cpu'.split()


def put_shard(folder, n=5, T=3, spoilt=False):
    folder.mkdir(parents=True)
    flow = np.random.default_rng(0).standard_normal((n, 2, T, 32, 48)).astype(np.float16)
    if spoilt: flow[1, 0, 1, 2, 3] = np.nan
    np.save(folder/'flow.npy', flow)
    np.save(folder/'labels.npy', np.zeros((n, T, 32, 48), np.uint8))
    return folder


@cache
def finished():
    "A run of one step, to be copied."
    top = Path(mkdtemp())
    put_shard(top/'data')
    ltseg('train', '-o', top/'run', '--shards', top/'data', *SIZE)
    return top


def put_run(d):
    marked = Watch.now.before
    shutil.copytree(finished(), d, dirs_exist_ok=True)
    Watch.now.before = marked
    return ['train', '-o', d/'run', '--shards', finished()/'data', '--resume', *SIZE, '--steps', '2']


@row('Training', 'an accelerator that is not there', '--accelerator hpu', 'Trainer refuses')
def _(d): ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'data'), *SIZE, '--accelerator', 'hpu')

@row('Training', 'the same, into a folder with notes of yours', '--accelerator hpu')
def _(d):
    (d/'OUT').mkdir()
    (d/'OUT'/'notes.txt').write_text('mine')
    ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'data'), *SIZE, '--accelerator', 'hpu')

@row('Training', 'Weights & Biases without a key', '--logger wandb', 'No API key', 'WANDB_MODE=offline')
def _(d):
    def init(**_): raise RuntimeError('No API key configured. Use `wandb login` to log in.')
    with patch('wandb.init', init): ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'data'), *SIZE, '--logger', 'wandb')

@row('Training', 'NaN in a shard', 'volume 1', 'flow.npy')
def _(d): ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'data', spoilt=True), *SIZE)

@row('Training', 'a shard cut short', 'flow.npy', 'complete .npy')
def _(d):
    file = put_shard(d/'data')/'flow.npy'
    file.write_bytes(file.read_bytes()[:-99])
    ltseg('train', '-o', d/'OUT', '--shards', d/'data', *SIZE)

@row('Training', 'shards of two sizes', 'volumes of 3 flows', 'found 4')
def _(d): ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'a'), put_shard(d/'b', T=4), *SIZE)

@row('Training', 'a length that the shard has not', 'volumes of 9 flows', 'found 3')
def _(d): ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'a'), '--length', 9, *SIZE)

@row('Training', 'a video that is none, before anything is rendered', 'a.mp4')
def _(d):
    (d/'a.mp4').write_text('no video')
    ltseg('train', '-o', d/'OUT', '--videos', d/'a.mp4', '--synthetic', 9, '--unsupervised', 1, *SIZE, '--size', '32x48')

@row('Training', 'videos that are too short', 'windows of --length flows', 'longer videos')
def _(d): ltseg('train', '-o', d/'OUT', '--videos', put_pictures(d/'clip', clip(4)), '--unsupervised', 1, '--length', 3, *SIZE, '--size', '32x48')

@row('Training', 'a loss that becomes NaN in the first step', 'the loss is NaN', 'step 1', 'nothing is left behind')
def _(d): ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'data'), *SIZE, '--lr', '1e-3', '--regularisation', '{"Potts": NaN}', '--unsupervised', 1)

@row('Training', 'a learning rate that spoils the weights', 'the loss of validation is NaN', 'step 1', '--lr')
def _(d): ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'data'), *SIZE, '--lr', '1e36')

@row('Training', 'a learning rate beyond all numbers', '--lr')
def _(d): ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'data'), *SIZE, '--lr', '1e40')

@row('Training', 'a shard that another start has rendered', 'seed=1', 'seed=2', '--shards')
def _(d):
    settings = dict(synthetic=5, length=2, size=(32, 48), seed=1)
    def stop(*_): raise KeyboardInterrupt
    with patch.object(Segmenter, 'training_step', stop), warnings.catch_warnings():
        warnings.simplefilter('ignore') # Lightning's
        try: train(TrainSettings(d/'OUT', **settings, steps=1, epoch_steps=1, batch_size=1, val=1, trainer=dict(accelerator='cpu')), progress=False)
        except KeyboardInterrupt: pass
    ltseg('train', '-o', d/'OUT', '--synthetic', 5, '--length', 2, '--size', '32x48', '--seed', 2, *SIZE)

@row('Training', 'a folder that holds a run', '--resume')
def _(d):
    words = [w for w in put_run(d) if w != '--resume']
    ltseg(*words)

@row('Training', '`--resume` with another learning rate', 'began with lr=None, not lr=1.0')
def _(d): ltseg(*put_run(d), '--lr', 1)

@row('Training', 'checkpoints of somebody else in the folder', 'best.ckpt is there')
def _(d):
    ltseg_words = [w for w in put_run(d) if w != '--resume']
    (d/'run'/'settings.json').unlink()
    (d/'run'/'last.ckpt').unlink()
    ltseg(*ltseg_words)

@row('Training', '`settings.json` cut short', 'settings.json', 'damaged')
def _(d):
    words = put_run(d)
    (d/'run'/'settings.json').write_text('{"settings": {')
    ltseg(*words)

for what, change in {'cut short': lambda b: b[:-500], 'of zero bytes': lambda b: b'', 'of junk': lambda b: b'junk'*100}.items():
    @row('Training', f'`--resume` with a `last.ckpt` {what}', 'last.ckpt', 'damaged', '--finetune', 'best.ckpt')
    def _(d, change=change):
        words = put_run(d)
        (d/'run'/'last.ckpt').write_bytes(change((d/'run'/'last.ckpt').read_bytes()))
        ltseg(*words)

@row('Training', 'both checkpoints damaged', 'last.ckpt', 'nothing else')
def _(d):
    words = put_run(d)
    for name in ('last', 'best'): (d/'run'/f'{name}.ckpt').write_bytes(b'')
    ltseg(*words)

@row('Training', '`last.ckpt` of another network', 'last.ckpt', 'another network')
def _(d):
    words = put_run(d)
    state = torch.load(d/'run'/'last.ckpt', weights_only=True)
    state['state_dict'].popitem()
    torch.save(state, d/'run'/'last.ckpt')
    ltseg(*words)

def spoil(header, tensors): next(iter(tensors.values())).view(-1)[0] = torch.nan

@row('Training', 'weights with NaN to start from', 'w.safetensors', 'NaN or infinite')
def _(d): ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'data'), '--finetune', put_weights(d/'w.safetensors', spoil), *SIZE)

@row('Training', 'weights with NaN to segment with', 'w.safetensors', 'NaN or infinite')
def _(d):
    ltseg('segment', put_pictures(d/'clip', clip(4)), '-o', d/'OUT', '--weights', put_weights(d/'w.safetensors', spoil))

@row('Training', 'a checkpoint with an infinite weight', 'best.ckpt', 'NaN or infinite')
def _(d):
    shutil.copy(finished()/'run'/'best.ckpt', d)
    state = torch.load(d/'best.ckpt', weights_only=True)
    next(iter(state['state_dict'].values())).view(-1)[0] = torch.inf
    torch.save(state, d/'best.ckpt')
    yield
    Segmenter.from_pretrained(d/'best.ckpt')

for words, why in {'--textures DIR': '--synthetic', '--real-share .3': '--videos', '--flow dis-fine': 'no flow is estimated', '--bad-flow zero': '--videos',
                   '--subsample 2': 'DataSplit', '--motion-model Affine': '--unsupervised', '--steps 7 --max-epochs 2': '--max-epochs', '--gpus 1': '--accelerator',
                   '--min-epochs 2': '--max-time'}.items():
    @row('Training', f'`{words}`, which would do nothing', *why.split('; '), words.split()[0])
    def _(d, words=words):
        (d/'pictures').mkdir()
        ltseg('train', '-o', d/'OUT', '--shards', put_shard(d/'data'), *SIZE, *words.replace('DIR', str(d/'pictures')).split())


def put_frames(d, seqs=('a', 'b'), masks=()):
    "A data set of clips of three frames; `masks`: (sequence, object, size) of the last frame of a sequence."
    for seq in seqs: put_pictures(folder(d/'data'/'JPEGImages'/seq), clip(3), '.jpg')
    for seq, n, size in masks: put_pictures(folder(d/'data'/'GroundTruth'/seq/str(n)), [np.ones(size, np.uint8)*255], '.png')
    return d/'data'

def folder(path):
    path.mkdir(parents=True)
    return path

def put_flow(d, *words):
    data = put_frames(d)
    ltseg('split', data, '--name', 'x')
    ltseg('flow', '--data-file', 'x', '--base-dir', data, '--flow', 'dis-fast', *words)
    return ['flow', '--data-file', 'x', '--base-dir', data, '--flow', 'dis-fast']

@row('Data sets', 'tables that are there', '--overwrite')
def _(d):
    data = put_frames(d)
    for _ in range(2): ltseg('split', data, '--name', 'x')

@row('Data sets', 'masks of one object that differ in size, after those of another clip were merged', 'expected 8×8 pixels, found 64×48')
def _(d): ltseg('split', put_frames(d, 'ab', [('a', 1, (48, 64)), ('a', 2, (48, 64)), ('b', 1, (48, 64)), ('b', 2, (8, 8))]), '--name', 'x')

@row('Data sets', '`--image-set` of a data set without lists', '--image-set', 'no list called 2016')
def _(d):
    data = put_frames(d)
    ltseg('split', data, '--image-set', '2016')

@row('Data sets', 'a frame that was replaced after its flow was estimated', 'a/0.jpg', 'has changed')
def _(d):
    words = put_flow(d)
    put_pictures(d/'data'/'JPEGImages'/'a', clip(3)[::-1], '.jpg')
    ltseg(*words)

@row('Data sets', 'flow of another estimator under the same label', 'holds flow by dis-fast')
def _(d): ltseg(*put_flow(d, '--label', 'mine'), '--label', 'mine', '--flow', 'dis')

@row('Data sets', 'kept flow with bad pixels taken as zero, which are now an error', '--bad-flow zero')
def _(d): ltseg(*put_flow(d, '--bad-flow', 'zero'))

@row('Data sets', 'a frame of another size in the middle', 'b/2.jpg', leaves=('data/Flow',))
def _(d):
    "The flow of the clip before it is whole and says what it is of: the next start goes on from there."
    data = put_frames(d)
    put_pictures(d/'other', clip(3, 24, 32), '.jpg')
    shutil.copy(d/'other'/'2.jpg', data/'JPEGImages'/'b')
    ltseg('split', data, '--name', 'x')
    ltseg('flow', '--data-file', 'x', '--base-dir', data, '--flow', 'dis-fast')

@row('Data sets', 'the same at the very beginning', 'a/1.jpg')
def _(d):
    data = put_frames(d)
    put_pictures(d/'other', clip(3, 24, 32), '.jpg')
    shutil.copy(d/'other'/'1.jpg', data/'JPEGImages'/'a')
    ltseg('split', data, '--name', 'x')
    ltseg('flow', '--data-file', 'x', '--base-dir', data, '--flow', 'dis-fast')

"""Every option of every command acts, or is refused; and what is recorded is what acted.

The options are those of the parser: a new one without a case fails. A case runs the command on tiny data, with the option and
without. All files are compared but for the records (settings.json and its like) and what tells times. An option that changes how a
result is computed, not what, is `Same`; one that does nothing is refused, or the record does not claim it.
"""
import argparse
import json
import shutil
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import partial
from inspect import signature
from unittest.mock import patch

import numpy as np
import pytest
import torch
from fastcore.docments import docments
from hostile.made import changed, put_pictures
from hostile.training import put_shard
from hostile.weights import put_tiny
from PIL import Image
from safetensors.torch import load_file

from ltseg.app import serve_app
from ltseg.appearance import APPEARANCES
from ltseg.cli import _dashed, _parse, build_parser, main
from ltseg.export import FORMATS
from ltseg.files import InputError, InputWarning
from ltseg.flow import write_flow
from ltseg.flow_network import FlowMender, MenderConfig, save_mender
from ltseg.inference import EMMethod, describe, segment, stream
from ltseg.motion import MotionModel
from ltseg.options import (COMMANDS, TRAINER, AppOptions, EvaluateOptions, PredictOptions, SegmentOptions, StreamOptions, add_options, option, parse_plain,
                           parts, takes, words)
from ltseg.predict import predict
from ltseg.pretrained import load_network
from ltseg.reader import PassingFrames, check_size
from ltseg.scoring import evaluate, save_evaluation
from ltseg.splits import fill_flow, split_folder
from ltseg.synthetic import demo_scene
from ltseg.train import TrainSettings, train
from ltseg.video import FLOW_ESTIMATORS, estimate_flow, open_frames

LINES = { # the command that an option is added to
    'segment': 'segment {top}/clip -o OUT --method em -K 2',
    'demo': 'demo -o OUT --method em -K 2',
    'report': 'report {top}/result -o OUT/page.html',
    'split': 'split {top}/davis -o OUT --resolution 480p --image-set 2016',
    'flow': 'flow --data-file SPLIT --base-dir OUT',
    'train': 'train -o OUT --shards {top}/shard --steps 1 --epoch-steps 1 --val 1 --batch-size 1 --accelerator cpu --finetune {top}/one.safetensors',
    'predict': 'predict --data-file SPLIT --base-dir {top}/data --method em -K 2 -o OUT',
    'evaluate': 'evaluate --data-file SPLIT --base-dir {top}/data --method em -K 2 -o OUT',
    'live': 'live pipe -o OUT/a.mp4 --method em -K 2', # the runner stands for the pipe; no more frames come than may wait
    'app': 'app --method em -K 2', # the runner stands for the page
    'export': 'export {top}/done -o OUT'}
NETWORK = '--weights {top}/one.safetensors -K 3' # a tiny one, never trained
EXPORT = {f: f'export {f} {{top}}/result -o OUT' for f in FORMATS}
TABLE = {c: f'{c} --data-file SPLIT --base-dir {{top}}/data -o OUT ' for c in ('predict', 'evaluate')}
BY_NETWORK = {'segment': 'segment {top}/clip -o OUT ' + NETWORK, 'demo': 'demo -o OUT ' + NETWORK, 'live': 'live pipe -o OUT/a.mp4 ' + NETWORK, 'app': 'app ' + NETWORK} | {c: line + NETWORK for c, line in TABLE.items()}
FRESH = LINES['train'].replace('--finetune {top}/one.safetensors', '') # a network of its own
RENDERED = LINES['train'].replace('--shards {top}/shard', '--synthetic 5 --length 3 --size 32x48')
MIXED = LINES['train'] + ' --videos {top}/long --unsupervised 1'
THRICE = LINES['train'] + ' --steps 3 --epoch-steps 3'
BLIND = LINES['train'] + ' --unsupervised 1'
SPLIT = ('train -o OUT --data-file SPLIT --base-dir {top}/data --finetune {top}/one.safetensors --size 32x48 --length 3 '
         '--batch-size 1 --boundaries Periodic --max-epochs 1 --limit-train-batches 1 --accelerator cpu')


@dataclass
class Acts:
    "Other files with the words than without; `record` tells what the record then says."
    words: str
    line: str|None = None # None: that of the command in LINES
    record: dict = field(default_factory=dict)

@dataclass
class Same(Acts):
    "The same files: the option is about how they are made."

@dataclass
class Idle(Same):
    "The same files, with a warning; the record does not claim the option."

@dataclass
class Refused:
    says: str
    words: str
    line: str|None = None

@dataclass
class Needed:
    "Without the words the line is refused."
    says: str
    words: str
    line: str|None = None

@dataclass
class Passed:
    "Handed on to Lightning as it is."
    words: str
    line: str|None = None


def save_clip(base, name, scene):
    for kind, pictures in dict(JPEGImages=scene.frames, Annotations=(scene.labels > 0)*np.uint8(255)).items():
        (base/kind/'480p').mkdir(parents=True, exist_ok=True)
        put_pictures(base/kind/'480p'/name, pictures)


def put_flow(folder, flow):
    folder.mkdir()
    for t in range(flow.shape[1]): write_flow(folder/f'{t}.flo', flow[:, t])


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "Files for all cases, which none of them changes."
    top = tmp_path_factory.mktemp('world')
    scenes = [demo_scene(7, (48, 80), seed) for seed in (0, 1)]
    put_pictures(top/'long', demo_scene(25, (48, 80)).frames)
    put_pictures(top/'clip', scenes[0].frames)
    put_pictures(top/'other', scenes[1].frames)
    flow = estimate_flow(scenes[0].frames, 'dis-fast', progress=False)
    put_flow(top/'flow', flow)
    put_flow(top/'bad', flow)
    changed(top/'bad'/'3.flo', lambda b: b[:-4] + np.float32(np.nan).tobytes())
    for name, scene in zip('ab', scenes): save_clip(top/'data', name, scene)
    split_folder(top/'data', 'SPLIT', val=['b'], progress=False)
    split_folder(top/'data', 'OTHER', val=['a'], progress=False)
    shutil.copytree(top/'data', top/'bare') # without flow
    for name in ('SPLIT', 'OTHER'): fill_flow(name, top/'data', 'dis-fast', progress=False)
    shutil.copytree(top/'data', top/'spoilt')
    fill_flow('SPLIT', top/'spoilt', 'dis-fast', 'flo', progress=False, label='nan')
    for name in 'ab': shutil.copy(top/'bad'/'3.flo', top/'spoilt/Flow/nan'/name/'3.flo')
    for seed, name in enumerate(('one', 'two')):
        torch.manual_seed(seed)
        put_tiny(top/f'{name}.safetensors')
    mender = FlowMender(MenderConfig(8, 4, 6, 1, 2))
    torch.nn.init.normal_(mender.update.flow.weight) # else it corrects nothing
    save_mender(mender, top/'mender.safetensors')
    for name in ('run', 'otherrun'): (top/name).mkdir()
    shutil.copy(top/'one.safetensors', top/'run/weights.safetensors')
    shutil.copy(top/'two.safetensors', top/'otherrun/weights.safetensors')
    put_shard(top/'shard', 10)
    put_shard(top/'shard2', 6)
    put_shard(top/'longer', 10, 4)
    davis(top/'davis')
    for out, words in dict(result='segment {top}/clip --method em -K 2', other_result='segment {top}/other --method em -K 2',
                           done=TABLE['predict'].replace('-o OUT', '') + '--method em -K 2',
                           done3=TABLE['predict'].replace('-o OUT', '') + NETWORK).items():
        assert main([*words.format(top=top).split(), '-o', str(top/out)]) == 0
    swap(top/'done', top/'swapped')
    return top


def swap(done, out):
    "The same predictions, but labels 1 and 2 change places from frame to frame."
    shutil.copytree(done, out)
    for t, file in enumerate(sorted(out.rglob('labels/*/*.png'))):
        Image.fromarray(np.uint8(np.array(Image.open(file)) > 0)*np.uint8(1 + t % 2)).save(file)


def davis(base):
    "The folders of DAVIS in two resolutions, with two kinds of annotations and two lists of sequences."
    for n, name in enumerate('abc'):
        for kind in ('JPEGImages', 'Annotations', 'Annotations_unsupervised'):
            for resolution in ('480p', '240p'):
                folder = base/kind/resolution/name
                folder.mkdir(parents=True)
                for t in range(3): Image.new('L', (8, 6)).save(folder/f'{t:05d}.{"jpg" if kind == "JPEGImages" else "png"}')
    for year, val in dict(zip(('2016', '2017'), 'bc')).items():
        folder = base/'ImageSets'/year
        folder.mkdir(parents=True)
        (folder/'train.txt').write_text('a\n')
        (folder/'val.txt').write_text(f'{val}\n')


COMMON = { # of predict and evaluate
    'data_file': lambda c: [Acts('--data-file OTHER', record=dict(data_file='OTHER'))],
    'base_dir': lambda c: [Needed('SPLIT_val.csv', '--base-dir {top}/data', f'{c} --data-file SPLIT --method em -K 2 -o OUT')],
    'part': lambda c: [Acts('--part train', record=dict(part='train')),
                       Refused('the part val', '--part train', LINES[c].replace('SPLIT', '{top}/data/DataSplit/SPLIT_val.csv'))],
    'bad_flow': lambda c: [Needed('finite', '--bad-flow zero', LINES[c].replace('/data', '/spoilt'))],
    'model_dir': lambda c: [Acts('--model-dir {top}/run', TABLE[c] + '-K 3'), Refused('--method em', '--model-dir {top}/run'),
                            Refused('--weights', '--model-dir {top}/run', BY_NETWORK[c])],
    'weights': lambda c: [Acts('--weights {top}/two.safetensors', BY_NETWORK[c], dict(weights='{top}/two.safetensors')),
                          Refused('--method em', '--weights {top}/one.safetensors')],
    'method': lambda c: [Acts('--method em', TABLE[c] + '-K 2', dict(method='em', weights=None))],
    'K': lambda c: [Acts('-K 3', record=dict(K=3))],
    'cut_size': lambda c: [Acts('-cs 3', record=dict(cut_size=3))],
    'low_memory': lambda c: [Same('--low-memory', BY_NETWORK[c] + ' -cs 3', dict(low_memory=True)), Refused('--cut-size', '--low-memory')],
    'size': lambda c: [Acts(words, record=dict(size=[32, 48])) for words in ('--size 32x48', '--img-size 32 48')],
    'motion_model': lambda c: [Acts('--motion-model Constant', record=dict(motion_model='Constant')),
                               Refused('-K auto', '--motion-model Constant', BY_NETWORK[c])],
    'device': lambda c: [Refused('nosuch', '--device nosuch', BY_NETWORK[c]), Refused('--method network', '--device cpu')],
    'adapt': lambda c: [Acts('--adapt 3', BY_NETWORK[c], dict(adapt=3, motion_model='QuadraticFull_fk3')), Refused('EM', '--adapt 3')],
    'appearance': lambda c: [Acts('--appearance quick', record=dict(appearance='quick'))],
    'refine': lambda c: [Acts('--refine image', record=dict(refine='image')), Acts('--refine flow', BY_NETWORK[c], dict(refine='flow'))],
    'save_vis': lambda c: [Acts('--save-vis')],
    'overwrite': lambda c: [Needed('--overwrite', '--overwrite', LINES[c].replace('OUT', 'FULL'))]}

JOB = { # of segment and demo
    'K': lambda c: [Acts('-K 3', record=dict(K=3))],
    'method': lambda c: [Acts('--method em', BY_NETWORK[c].replace('--weights {top}/one.safetensors', ''), dict(method='em', weights=None))],
    'weights': lambda c: [Acts('--weights {top}/two.safetensors', BY_NETWORK[c], dict(weights='{top}/two.safetensors')),
                          Refused('--weights', '--weights {top}/one.safetensors')],
    'flow': lambda c: [Acts(f'--flow {name}', record=dict(flow=name)) for name in ('dis-fast', 'dis-guided-fast', 'mended')],
    'quality': lambda c: [Acts('--quality fast', BY_NETWORK[c], dict(flow='dis-guided-fast', refine='flow', appearance=None)),
                          Acts('--quality best --appearance quick', BY_NETWORK[c], dict(appearance='quick')), # what is given counts
                          Acts('--flow dis --appearance none --refine flow --quality best', BY_NETWORK[c], dict(flow='dis', appearance=None, refine='flow'))],
    'flow_weights': lambda c: [Refused('raft or mended', '--flow-weights {top}/one.safetensors'),
                               Refused('FlowMender', '--flow mended --flow-weights {top}/one.safetensors'),
                               Acts('--flow-weights {top}/mender.safetensors', LINES[c] + ' --flow mended')],
    'motion_model': lambda c: [Acts('--motion-model Affine', record=dict(motion_model='Affine')),
                               Acts('--motion-model Affine', BY_NETWORK[c], dict(motion_model='Affine'))],
    'size': lambda c: [Acts('--size 32x48', record=dict(size=[32, 48]))],
    'device': lambda c: [Refused('nosuch', '--device nosuch', BY_NETWORK[c]), Refused('--device', '--device cpu')],
    'adapt': lambda c: [Acts('--adapt 3', BY_NETWORK[c], dict(adapt=3)), Refused('EM', '--adapt 3')],
    'appearance': lambda c: [Acts(f'--appearance {name}', BY_NETWORK[c], dict(appearance=name)) for name in ('quick', 'thorough')],
    'refine': lambda c: [Acts('--refine none', BY_NETWORK[c], dict(refine=None)), Acts('--refine flow', BY_NETWORK[c], dict(refine='flow'))]}

CASES = {
    'segment': {k: make('segment') for k, make in JOB.items()} | {
        'flow': [*JOB['flow']('segment'), Idle('--flow dis-fine', 'segment {top}/flow -o OUT --method em -K 2', dict(flow=None))],
        'bad_flow': [Needed('finite', '--bad-flow zero', 'segment {top}/bad -o OUT --method em -K 2')],
        'fps': [Acts('--fps 7', record=dict(fps=7.))],
        'window': [Acts('--window 4 --overlap 2', record=dict(window=4)), Refused('overlap', '--window 2 --overlap 2')],
        'overlap': [Acts('--overlap 1', LINES['segment'] + ' --window 4 --overlap 2', dict(overlap=1))],
        'max_pixels': [*(Acts(f'{name} 2000', record=dict(max_pixels=2000)) for name in ('--max-pixels', '--most')),
                       Idle('--max-pixels 2000', 'segment {top}/flow -o OUT --method em -K 2', dict(max_pixels=None))],
        'resume': [Needed('--overwrite', '--resume', LINES['segment'].replace('OUT', 'FULL'))],
        'overwrite': [Needed('--overwrite', '--overwrite', LINES['segment'].replace('OUT', 'FULL'))],
        'shard': [Acts('--shard 1/2', 'segment {top}/clip {top}/other -o OUT --method em -K 2'), Refused('several videos', '--shard 1/2')]},
    'demo': {k: make('demo') for k, make in JOB.items()},
    'live': {
        'K': [Acts('-K 3')], 'size': [Acts('--size 32x48')], 'flow': [Acts('--flow mended')], 'refine': [Acts('--refine flow', BY_NETWORK['live'])],
        'method': [Acts('--method em', BY_NETWORK['live'].replace('--weights {top}/one.safetensors', ''))], 'max_pixels': [Acts('--max-pixels 2000')],
        'weights': [Acts('--weights {top}/two.safetensors', BY_NETWORK['live']), Refused('--weights', '--weights {top}/one.safetensors')],
        'device': JOB['device']('live'), 'flow_weights': JOB['flow_weights']('live'),
        'window': [Acts('--window 3 --overlap 1'), Refused('overlap', '--window 2 --overlap 2')],
        'overlap': [Needed('overlap', '--overlap 1', LINES['live'] + ' --window 3')], # what is shown depends on how many frames are dropped
        'port': [Refused('--port', '--port 0')], # what it does is for test_live.py
        'overwrite': [Needed('--overwrite', '--overwrite', LINES['live'].replace('OUT', 'FULL')), Refused('--overwrite', '--overwrite', 'live pipe')]},
    'app': {
        'K': [Acts('-K 3')], 'method': [Acts('--method em', 'app -K 2')],
        'flow': [Acts('--flow dis-fast')], 'weights': [Acts('--weights {top}/two.safetensors', BY_NETWORK['app']), Refused('--weights', '--weights {top}/one.safetensors')],
        'quality': [Acts('--quality fast', BY_NETWORK['app'])], 'refine': [Acts('--refine flow', BY_NETWORK['app'])],
        'appearance': [Acts('--appearance quick', BY_NETWORK['app'])], 'device': JOB['device']('app'), 'flow_weights': JOB['flow_weights']('app'),
        'port': [Acts('--port 0')], 'upload': [Acts('--upload 7')]}, # what they do is for test_app.py
    'report': {
        'source': [Acts('--source {top}/other')], 'width': [Acts('--width 40')], 'max_frames': [Acts('--max-frames 3')],
        'quality': [Acts('--quality 20')], 'truth': [Acts('--truth {top}/data/Annotations/480p/a')],
        'clip': [Refused('-o', '--clip OUT/clip.gif')]},
    'split': {
        'name': [Acts('--name NAME')], 'base_dir': [Acts('--base-dir {top}')], 'layout': [Refused('layout', '--layout fbms')],
        'resolution': [Acts('--resolution 240p'), Refused('--resolution', '--resolution 480p', 'split {top}/clip -o OUT --layout plain')],
        'annotations': [Acts('--annotations Annotations_unsupervised')],
        'image_set': [Acts('--image-set 2017', LINES['split'] + ' --image-set 2016')],
        'val': [Acts('--val a', 'split {top}/data -o OUT')], 'test': [Acts('--test a', 'split {top}/data -o OUT')],
        'overwrite': [Needed('--overwrite', '--overwrite', LINES['split'].replace('OUT', 'FULL'))]},
    'flow': {
        'data_file': [Acts('--data-file OTHER')], 'base_dir': [Needed('SPLIT', '--base-dir OUT', 'flow --data-file SPLIT')],
        'flow': [Acts('--flow dis-fast'), Acts('--flow mended')],
        'flow_weights': [Refused('raft or mended', '--flow-weights {top}/one.safetensors'),
                         Acts('--flow-weights {top}/mender.safetensors', LINES['flow'] + ' --flow mended')],
        'format': [Acts('--format flo')], 'out': [Acts('--out OUT/Elsewhere')], 'label': [Acts('--label mine')],
        'bad_flow': [Needed('finite', '--bad-flow zero', LINES['flow'] + ' --flow deepflow')]}, # which the runner replaces
    'train': {
        'resume': [Needed('--resume', '--resume', LINES['train'].replace('OUT', 'FULL'))],
        'shards': [Acts('--shards {top}/shard2')],
        'synthetic': [Acts('--synthetic 5', LINES['train'] + ' --length 3 --size 32x48', dict(synthetic=5))],
        'scenes': [Acts('--scenes deep', RENDERED, dict(scenes='deep', recipe='deep')), Refused('--scenes', '--scenes deep')],
        'textures': [Acts('--textures {top}/clip', RENDERED), Refused('--synthetic', '--textures {top}/clip')],
        'videos': [Acts('--videos {top}/long', BLIND)],
        'real_share': [Acts('--real-share .01', MIXED), Refused('--real-share', '--real-share .9')],
        'flow': [Acts('--flow dis-fast', RENDERED, dict(flow='dis-fast')), Refused('--flow', '--flow dis-fast')],
        'bad_flow': [Needed('finite', '--bad-flow zero', SPLIT.replace('/data', '/spoilt')), Refused('--bad-flow', '--bad-flow zero')],
        'steps': [Acts('--steps 2', record=dict(steps=2)), Refused('--steps', '--steps 2', SPLIT)],
        'epoch_steps': [Acts('--epoch-steps 1', LINES['train'] + ' --steps 2 --epoch-steps 2')],
        'val': [Acts('--val 2'), Refused('--val', '--val 2', SPLIT)],
        'data_file': [Acts('--data-file OTHER', SPLIT), Refused('DataSplit', '--data-file SPLIT')],
        'base_dir': [Needed('SPLIT', '--base-dir {top}/data', SPLIT.replace('--base-dir {top}/data', '')),
                     Refused('--base-dir', '--base-dir {top}/data')],
        'inputs': [Acts('--inputs Flow Flow+1 Flow+2', SPLIT)], 'flows_volume': [Acts('--flows-volume Flow Flow+1 Flow+2', SPLIT)],
        'boundaries': [Acts('--boundaries Ignore', SPLIT), Refused('--boundaries', '--boundaries Ignore')],
        'subsample': [Acts('--subsample 3', SPLIT), Refused('--subsample', '--subsample 2')],
        'cache': [Acts('--cache memory', SPLIT, dict(cache='memory')), Refused('--cache', '--cache memory')],
        'size': [Acts('--size 32x64', RENDERED, dict(size=[32, 64])), Refused('--size', '--size 32x64'), Acts('--image-size 1.0', SPLIT)],
        'length': [Acts('--length 4', RENDERED, dict(length=4)), Refused('--length', '--length 2')],
        'augment': [Acts('--augment')], 'perturb': [Acts('--perturb', THRICE.replace('/shard', '/longer') + ' --batch-size 4 --seed 7')],
        'network': [Acts('--network ltms', FRESH), Refused('--network', '--network ltms')], 'masks': [Acts(f'{name} 4') for name in ('-K', '-L', '--masks')],
        'norm': [Acts('--norm batch', FRESH + ' --network ltms'), Refused('norm', '--norm batch', FRESH)],
        'queries': [Acts('--queries gaussian', FRESH)],
        'decoder': [Acts('--decoder slots', FRESH)], 'finetune': [Acts('--finetune {top}/two.safetensors')],
        'recipe': [Acts('--recipe ltms'), Acts('--recipe deep')], 'supervised': [Acts('--supervised 2'), Refused('--supervised', '--supervised 2', SPLIT)],
        'unsupervised': [Acts('--unsupervised 1')],
        'loss': [Acts('--loss pieceFit', BLIND), Refused('--loss', '--loss pieceFit')],
        'distance': [Acts('--distance l2', BLIND), Refused('--distance', '--distance l2')],
        'regularisation': [Acts('--regularisation {{"Entropy":1}}', BLIND), Refused('--regularisation', '--regularisation {{"Entropy":1}}')],
        'motion_model': [Acts('--motion-model Affine', BLIND), Refused('--motion-model', '--motion-model Affine')],
        'schedule': [Acts('--schedule StepLR', THRICE)], 'lr': [Acts('--lr .01')], 'batch_size': [Acts('--batch-size 2')],
        'average': [Acts('--average .5', THRICE)],
        'seed': [Acts('--seed 7')], 'workers': [Refused('--workers', '--workers -1')], 'loggers': [Acts('--loggers tensorboard')],
        **{name: [Passed(f'--{name.replace("_", "-")} 1')] for name in TRAINER},
        'accelerator': [Passed('--accelerator cpu')], 'max_epochs': [Passed('--max-epochs 1', SPLIT)],
        **{f'min_{what}': [Passed(f'--min-{what} 1 --max-time 00:00:01:00')] for what in ('steps', 'epochs')},
        'gpus': [Passed('--gpus 2', LINES['train'].replace('--accelerator cpu', ''))]},
    'predict': {k: make('predict') for k, make in COMMON.items()} | {
        'K': [*COMMON['K']('predict'), Acts('-K auto --motion-model Affine', BY_NETWORK['predict'], dict(K='auto', motion_model='Affine'))],
        'motion_model': [*COMMON['motion_model']('predict'),
                         Acts('--motion-model Affine', BY_NETWORK['predict'] + ' --save-vis', dict(motion_model='Affine'))],
        # that two processes share the work and write the same is for test_devices.py
        'devices': [Refused('take at most 1', '--devices 9', BY_NETWORK['predict'])],
        'num_nodes': [Refused('take at most 1', '--num-nodes 9', BY_NETWORK['predict'])],
        'strategy': [Refused('nosuch', '--strategy nosuch --devices 2', BY_NETWORK['predict']), Refused('--devices', '--strategy ddp')]},
    'evaluate': {k: make('evaluate') for k, make in COMMON.items()} | {
        'predictions': [Acts('--predictions {top}/done3', TABLE['evaluate'] + '--predictions {top}/done'),
                        Refused('--method', '--predictions {top}/done'),
                        Refused('otherrun', '--predictions {top}/done3', TABLE['evaluate'] + '--model-dir {top}/otherrun')],
        'benchmark': [Acts('--benchmark fbms', record=dict(benchmark='FBMS-59'))],
        'select_mask': [Acts('--select-mask linear_assignment_bg', BY_NETWORK['evaluate'])],
        'cut_select': [Acts('-cst 1', TABLE['evaluate'] + '--predictions {top}/swapped --select-mask topiou', dict(cut_select=1))]},
    'export': {
        'overwrite': [Needed('--overwrite', '--overwrite', 'export {top}/done -o FULL'), Needed('--overwrite', '--overwrite', 'export coco {top}/result -o FULL')],
        'only': [Acts('--only 0', EXPORT['coco']), Acts('--only 0', EXPORT['npy']), Refused('no segment 7', '--only 1,7', EXPORT['cvat']), Refused('--only', '--only 1')],
        'source': [Acts('--source {top}/other', EXPORT['rgba']), Refused('not the input', '--source {top}/long', EXPORT['colmap'])],
        'images': [*(Acts('--images', EXPORT[f]) for f in ('colmap', 'nerfstudio', 'coco', 'yolo')), Refused('--images', '--images', EXPORT['npy'])],
        'dilate': [Acts('--dilate 3', EXPORT['colmap']), Acts('--dilate 3', EXPORT['nerfstudio']), Refused('--dilate', '--dilate 3', EXPORT['coco'])],
        'invert': [Acts('--invert', EXPORT['colmap']), Refused('--invert', '--invert', EXPORT['csv'])],
        'codec': [Acts('--codec vp9', EXPORT['rgba']), Acts('--codec prores', EXPORT['rgba']), Refused('--codec', '--codec vp9', EXPORT['colmap'])],
        'feather': [Acts('--feather 2', EXPORT['rgba']), Refused('--feather', '--feather 2', EXPORT['colmap'])],
        'prompts': [Acts('--prompts 2', EXPORT['sam2']), Refused('--prompts', '--prompts 2', EXPORT['yolo'])],
        'points': [Acts('--points 1', EXPORT['sam2']), Refused('--points', '--points 2', EXPORT['csv'])],
        'ending': [Acts('--ending kitti', EXPORT['flow']), Refused('--ending', '--ending kitti', EXPORT['zarr'])],
        'each': [Acts('--each', EXPORT['flow']), Refused('--each', '--each', EXPORT['davis17'])],
        'residual': [Acts('--residual', EXPORT['flow']), Refused('--residual', '--residual', EXPORT['csv'])],
        'weights': [Acts('--weights {top}/one.safetensors', 'export onnx -o OUT/net.onnx'), Refused('--weights', '--weights head', EXPORT['csv']),
                    Refused('a head', '--weights head', 'export onnx -o OUT/net.onnx')]}}
for command in {*CASES} - {'app'}: CASES[command].setdefault('out', []) # all cases write there


LEAST = dict(export=['export'], segment=['segment', 'a', '-o', 'b'], predict=['predict', '--data-file', 'a'], train=['train', '-o', 'b'])
SPELLINGS = [ # command, field, the words that mean the same: those of today, of older versions, and of the published program
    ('export', 'format', 'coco a -o b', '--format coco a -o b', 'a -o b --format=coco'), ('export', 'result', 'davis17 . -o b', '. -o b', '--format davis17 . -o b'),
    ('segment', 'K', '-K 3', '-L 3', '-K3'), ('segment', 'max_pixels', '--max-pixels 900', '--most 900', '--max_pixels=900'),
    ('predict', 'K', '-K auto', '-L auto'), ('predict', 'cut_size', '--cut-size 7', '-cs 7'),
    ('predict', 'size', '--size 32x48', '--size 32X48', '--img-size 32 48', '--img_size 32 48'),
    ('train', 'size', '--size 32x48', '--image-size 32 48'), ('train', 'masks', '-K 5', '-L 5', '--masks 5'),
    ('train', 'length', '--length 5', '--len-seq 5'), ('train', 'out', '--out c', '-o c', '--save-dir c'),
    ('train', 'motion_model', '--motion-model Affine', '--param-model Affine'), ('train', 'schedule', '--schedule StepLR', '--scheduler StepLR'),
    ('train', 'augment', '--augment flip zoom', '--flow-augmentation flip zoom'), ('train', 'augment', '--augment', '--flow-augmentation'),
    ('train', 'perturb', '--perturb PerturbInputFlowNull', '--experimental-flag PerturbInputFlowNull'), ('train', 'loggers', '--loggers csv', '--logger csv')]


@pytest.mark.parametrize('command, name, first, more', [(c, n, first, more) for c, n, first, *rest in SPELLINGS for more in rest])
def test_spellings(command, name, first, more):
    options = [_parse(_dashed([*LEAST[command], *line.split()]))[1] for line in (first, more)]
    a, b = (list(v) if isinstance(v := getattr(o, name), tuple) else v for o in options)
    assert a == b != getattr(COMMANDS[command], name, None)


@pytest.mark.parametrize('function, cls', [(segment, SegmentOptions), (stream, StreamOptions), (predict, PredictOptions), (evaluate, EvaluateOptions),
                                           (save_evaluation, EvaluateOptions), (train, TrainSettings), (serve_app, AppOptions)], ids=lambda x: x.__name__)
def test_functions_take_the_fields(function, cls):
    "Signature and docments name each field, with its default and its comment; no other keyword is taken."
    shown, told = signature(function).parameters, docments(function)
    assert {f.name: f.default for f in fields(cls) if f.default is not MISSING}.items() <= {n: p.default for n, p in shown.items()}.items()
    assert not [name for name in shown if not told[name]]
    comments = {name: text for part in parts(cls) for name, text in words(part).items()}
    assert {n: ' '.join(told[n].split()) for n in comments} == comments
    with pytest.raises(TypeError, match='nonsense'): cls.of(dict(nonsense=1))


def test_a_new_option_is_one_field():
    "It is in the help, in the signature, and in the settings, before anything acts on it."
    @dataclass(kw_only=True)
    class More(SegmentOptions):
        warmth: float = option(1., within=(0, 2)) # how warm it is

    @takes(More)
    def function(source, **options): return describe(EMMethod(MotionModel()), More.of(options))

    parser = argparse.ArgumentParser()
    add_options(parser, More)
    assert vars(parser.parse_args(['--warmth', '.5'])) == dict(warmth=.5) and 'how warm it is (default: 1.0)' in parser.format_help()
    assert signature(function).parameters['warmth'].default == 1. and docments(function)['warmth'] == 'how warm it is'
    assert function(None, warmth=.5)['warmth'] == .5
    with pytest.raises(SystemExit): parser.parse_args(['--warmth', '3'])


def test_old_keywords():
    "Python's of older versions."
    with pytest.warns(InputWarning, match='max_pixels'): # which has no effect on flow
        segment(torch.ones(2, 3, 32, 48), L=2, method='em', most=1000)
    assert EvaluateOptions.of(dict(rule='topiou', cut=3)) == EvaluateOptions(select_mask='topiou', cut_select=3)
    assert TrainSettings.of(dict(out='OUT', K=3, param_model='Affine', unsupervised=1)).masks == 3


def test_results_of_older_versions_go_on(world, tmp_path, capsys):
    "Their settings.json says `most`; a run with another number is still refused."
    words = ['segment', str(world/'clip'), '-o', str(tmp_path/'OUT'), '--method', 'em', '-K', '2']
    assert main(words + ['--max-pixels', '3000']) == 0
    file = tmp_path/'OUT/settings.json'
    file.write_text(file.read_text('utf8').replace('"max_pixels"', '"most"'), 'utf8')
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob('*') if p.is_file()}
    assert main(words + ['--most', '3000', '--resume']) == 0
    assert main(words + ['--max-pixels', '2000', '--resume']) == 2 and 'another max_pixels: 2000, not 3000' in capsys.readouterr().err
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob('*') if p.is_file()}


def test_sizes_are_told_width_first():
    "As all other messages do: flow of 8 rows and 100 columns is 100×8."
    small = torch.zeros(1, 2, 3, 8, 100)
    with pytest.raises(InputError, match='found 100×8'): load_network()(small, 2)
    with pytest.raises(InputError, match='found 100×8'): check_size((8, 100))
    with patch('ltseg.inference.free_memory', lambda: 1), pytest.raises(InputError, match='of 100×32 pixels'):
        segment(torch.zeros(2, 3, 32, 100), K=2, method='em')


def options():
    "Command -> names of its options, from the parser."
    commands, = (a.choices for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return {c: {a.dest for a in p._actions if a.option_strings and a.dest != 'help'} for c, p in commands.items()}


def test_every_option_has_a_case():
    assert {c: set(cases) for c, cases in CASES.items()} == options()


def numbers(value):
    "JSON without what tells times, and without records."
    if isinstance(value, list): return [numbers(v) for v in value]
    if not isinstance(value, dict): return value
    return {k: numbers(v) for k, v in value.items() if k not in ('seconds', 'settings')}


RECORDS = {'settings.json', 'export.json', 'flow.json', 'scores.md', 'timing.json', 'hparams.yaml'}


def content(out):
    "Name -> what is in each file."
    def read(p):
        if p.suffix == '.safetensors': return {k: v.numpy().tobytes() for k, v in load_file(p).items()}
        if p.name in ('predictions.json', 'segments.json'): return numbers(json.loads(p.read_text('utf8')))
        return b'' if p.suffix == '.ckpt' or 'tfevents' in p.name else p.read_bytes().replace(str(out).encode(), b'OUT')
    return {str(p.relative_to(out)).split('tfevents')[0]: read(p) for p in out.rglob('*') if p.is_file() and p.name not in RECORDS}


def record(out):
    "What the record of a run says."
    file = next(f for f in (out/'predictions.json', out/'settings.json') if f.is_file())
    found = json.loads(file.read_text('utf8'))
    return found | found.get('settings', {}) | found.get('predictions', {})


@contextmanager
def visited(clip, out, port, upload, **options):
    "In place of the page of `ltseg app`: a visitor who drops a clip. What the server is told is in the files, too."
    stream(clip, **options).save(out/'OUT')
    (out/'server').write_text(f'{port} {upload}')
    yield 'address'


class Runner:
    "Runs lines; those without the option only once."
    def __init__(self, top, folder): self.top, self.folder, self.done, self.n = top, folder, {}, 0

    def new(self, line): # -> folder of the result, as the line needs it
        self.n += 1
        out = self.folder/str(self.n)
        if line.startswith('flow'): shutil.copytree(self.top/'bare', out)
        return out

    def __call__(self, line, out=None): # -> folder, status, message
        out = out or self.new(line)
        self.hear()
        words = [w.format(top=self.top).replace('OUT', str(out)) for w in line.split()]
        scene = lambda *_, **__: demo_scene(5, (48, 80)) # of demo, small
        brief = {name: replace(how, steps=how.steps//20) for name, how in APPEARANCES.items()} # trainings: what they are good for is not asked here
        with patch('ltseg.synthetic.demo_scene', scene), patch.dict(APPEARANCES, brief), pytest.MonkeyPatch.context() as m:
            m.chdir(self.folder)
            m.setattr('ltseg.live.live_frames', lambda _: lambda fps, max_pixels: PassingFrames(iter(open_frames(self.top/'clip', max_pixels=max_pixels)), fps=12))
            m.setitem(FLOW_ESTIMATORS, 'deepflow', lambda: lambda a, b: torch.full((2, *a.shape[:2]), torch.nan))
            m.setattr('ltseg.app.serve_app', partial(visited, self.top/'clip', out))
            m.setattr('ltseg.cli._wait', lambda: None)
            try: status = main(words)
            except SystemExit as e: status = e.code
        said = self.hear()
        assert 'Traceback' not in said, said
        return out, status, said

    def without(self, line):
        if line not in self.done:
            out, status, said = self(line)
            assert status == 0, said
            self.done[line] = content(out)
        return self.done[line]

    def check(self, case, line):
        line = case.line or line
        {Acts: self.acts, Same: self.acts, Idle: self.acts, Refused: self.refused, Needed: self.needed, Passed: self.passed}[type(case)](case, line)

    def acts(self, case, line):
        before = self.without(line)
        out, status, said = self(f'{line} {case.words}')
        assert status == 0, said
        assert (content(out) == before) == isinstance(case, Same), 'the option did nothing' if content(out) == before else 'it should change nothing'
        assert ('warning' in said) >= isinstance(case, Idle), said
        for key, value in case.record.items():
            value = value.format(top=self.top) if isinstance(value, str) else value
            assert record(out).get(key) == value, key

    def refused(self, case, line):
        out, status, said = self(f'{line} {case.words}')
        assert status == 2 and case.says in said, said or 'not refused'

    def needed(self, case, line):
        out = self.new(line)
        if 'FULL' in line:
            line = line.replace('FULL', 'OUT')
            assert self(line, out)[1] == 0
        _, status, said = self(line, out)
        assert status == 2 and case.says in said, said or 'not refused'
        _, status, said = self(f'{line} {case.words}', out)
        assert status == 0, said

    def passed(self, case, line):
        class Seen(Exception): pass
        with patch('pytorch_lightning.Trainer.__init__', autospec=True, side_effect=Seen) as trainer:
            try: said = self(f'{line} {case.words}')[2]
            except Seen: said = None
        assert trainer.called, said
        name, value = case.words.split()[:2]
        wanted = dict(accelerator='gpu', devices=2) if name == '--gpus' else {name[2:].replace('-', '_'): parse_plain(value)}
        assert wanted.items() <= trainer.call_args.kwargs.items()


@pytest.fixture(scope='module')
def runs(world, tmp_path_factory): return Runner(world, tmp_path_factory.mktemp('out'))


@pytest.fixture
def runner(runs, capsys, caplog):
    def hear(): # what was said since
        said = capsys.readouterr().err + caplog.text
        caplog.clear()
        return said
    runs.hear = hear
    return runs


EVERY = [pytest.param(command, case, id=f'{command}-{name}-{n}') for command, cases in CASES.items()
         for name, some in cases.items() for n, case in enumerate(some)]


@pytest.mark.parametrize('command, case', EVERY)
def test_option(command, case, runner): runner.check(case, LINES[command])


@pytest.mark.parametrize('line', [*LINES.values(), BY_NETWORK['segment'], MIXED, SPLIT])
def test_same_words_same_files(line, runner):
    "Else the comparisons above would mean nothing."
    assert content(runner(line)[0]) == runner.without(line)

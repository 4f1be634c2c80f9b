"The command `ltseg export` of results: what a format cannot hold, results that are damaged, options that do nothing, places that are taken."
import json
import shutil

import numpy as np
from PIL import Image

from ltseg.export import FORMATS
from ltseg.labels import write_palette_png

from .made import changed, clip, put_pictures
from .table import ltseg, row


def result(d, n=4, **story):
    "A folder as `ltseg segment` leaves it, of n label images of 47×63, with an object that is hidden in the second; its input lies beside it."
    (d/'OUT'/'labels').mkdir(parents=True)
    put_pictures(d/'f', clip(n + 1, 47, 63))
    for t in range(n): write_palette_png(d/'OUT'/'labels'/f'{t}.png', ((np.mgrid[:47, :63][1] > 40) & (t != 1)).astype(np.uint8))
    motion = dict(control_points=[0], parameters=[[0, 0, 1, 0, 0, 2]])
    areas = {0: [.65, 1.] + [.65]*(n - 2), 1: [.35, 0.] + [.35]*(n - 2)}
    story = dict(size=[47, 63], working_size=[47, 63], motion_size=[47, 63], fps=25., frames=[str(t) for t in range(n)], times=[t/25 for t in range(n)],
                 motion_model='Affine', segments=[dict(id=k, label=k, first=0, area=a, motion=motion) for k, a in areas.items()]) | story
    (d/'OUT'/'segments.json').write_text(json.dumps(story), encoding='utf8')
    (d/'OUT'/'settings.json').write_text(json.dumps(dict(source=str(d/'f'), flow='dis', bad_flow='error')), encoding='utf8')
    return d/'OUT'


def without_input(d):
    result(d)
    shutil.rmtree(d/'f')
    return d/'OUT'


for format in FORMATS:
    @row('Exports', f'{format} of an object that is hidden for a frame', works=True)
    def _(d, format=format):
        ltseg('export', format, result(d), '-o', d/'NEW')
        return f'{sum(p.is_file() for p in (d/"NEW").rglob("*"))} files'

@row('Exports', 'a result that is not there', 'OUT', 'no folder')
def _(d): ltseg('export', 'coco', d/'OUT', '-o', d/'NEW')

@row('Exports', 'a folder of something else', 'segments.json')
def _(d): ltseg('export', 'coco', put_pictures(d/'f', clip()), '-o', d/'NEW')

@row('Exports', 'a misspelt format', 'coko', 'coco')
def _(d): ltseg('export', 'coko', result(d), '-o', d/'NEW')

@row('Exports', 'a format, and no result', 'RESULT')
def _(d): ltseg('export', 'coco', '-o', d/'NEW')

@row('Exports', 'a result as predictions of older versions, without a format', 'RESULT', works=True)
def _(d):
    ltseg('export', result(d), '-o', d/'NEW')
    return 'davis17, as ever'

@row('Exports', 'predictions in a format for results', 'davis17', 'ltseg segment')
def _(d):
    (d/'done').mkdir()
    (d/'done'/'predictions.json').write_text('{}')
    ltseg('export', 'coco', d/'done', '-o', d/'NEW')

@row('Exports', 'onto the result itself, with `--overwrite`', 'OUT', 'something else')
def _(d): ltseg('export', 'coco', result(d), '-o', d/'OUT', '--overwrite')

@row('Exports', 'onto the pictures of the input, with `--overwrite`', 'something else')
def _(d): ltseg('export', 'colmap', result(d), '-o', d/'f', '--overwrite')

@row('Exports', 'a place that is taken', '--overwrite')
def _(d):
    FORMATS['npy'](read(result(d)), d/'NEW')
    ltseg('export', 'coco', d/'OUT', '-o', d/'NEW')

@row('Exports', 'a file in the place of the folder', 'NEW', 'a file')
def _(d):
    (d/'NEW').write_text('mine')
    ltseg('export', 'coco', result(d), '-o', d/'NEW')

for format in ('colmap', 'coco', 'cvat', 'sam2', 'zarr', 'csv', 'flow', 'yolo', 'rgba'):
    for what, change, says in [('missing', lambda f: f.unlink(), '3.png'), ('cut in half', lambda f: changed(f, lambda b: b[:len(b)//2]), '3.png'),
                               ('of another size', lambda f: Image.new('L', (9, 9)).save(f), '9×9')]:
        @row('Exports', f'{format}, the last label image is {what}', says)
        def _(d, format=format, change=change):
            result(d)
            change(d/'OUT'/'labels'/'3.png')
            ltseg('export', format, d/'OUT', '-o', d/'NEW')

SEGMENT = dict(id=0, label=0, first=0, area=[1.]*4, motion=dict(control_points=[0], parameters=[[0]*6]))
for what, story, says in [('segments without areas', dict(segments=[dict(id=0, label=0)]), 'damaged'), ('an area in words', dict(segments=[SEGMENT | dict(area='wide')]), 'damaged'),
                          ('a label that no segment has', dict(segments=[SEGMENT]), 'no such segment'), ('times that are too few', dict(times=[0.]), '4 times'),
                          ('times that are NaN', dict(times=[0., 1., 2., float('nan')]), '4 times')]:
    @row('Exports', f'segments.json with {what}', 'segments.json', says)
    def _(d, story=story): ltseg('export', 'coco', result(d, **story), '-o', d/'NEW')

for what, story in {'a motion model that there is not': dict(motion_model='Rigid'), 'motion of the wrong length': dict(segments=[SEGMENT | dict(motion=dict(parameters=[[1, 2]])), SEGMENT | dict(id=1, label=1)]),
                    'a size of motion in words': dict(motion_size='large')}.items():
    @row('Exports', f'csv, segments.json with {what}', 'segments.json')
    def _(d, story=story): ltseg('export', 'csv', result(d, **story), '-o', d/'NEW')

@row('Exports', 'davis17 of 300 segments', '8 bits', '300')
def _(d):
    ltseg('export', 'davis17', result(d, segments=[SEGMENT | dict(id=n, label=n and (n - 1) % 255 + 1) for n in range(300)]), '-o', d/'NEW')

@row('Exports', 'cut-outs of a video that is gone', '--source')
def _(d): ltseg('export', 'rgba', without_input(d), '-o', d/'NEW')

@row('Exports', 'masks with their pictures, of a video that is gone', '--source')
def _(d): ltseg('export', 'colmap', without_input(d), '-o', d/'NEW', '--images')

@row('Exports', 'masks without pictures, of a video that is gone', works=True)
def _(d):
    ltseg('export', 'colmap', without_input(d), '-o', d/'NEW')
    return ', '.join(sorted(p.name for p in (d/'NEW/masks').iterdir()))

@row('Exports', 'a residual of a video that is gone', '--source')
def _(d): ltseg('export', 'flow', without_input(d), '-o', d/'NEW', '--residual')

@row('Exports', 'a `--source` of another shape', 'not the input')
def _(d): ltseg('export', 'colmap', result(d), '-o', d/'NEW', '--source', put_pictures(d/'g', clip(5, 20, 60)))

@row('Exports', 'a segment that there is not', 'OUT', 'no segment 7', '0, 1')
def _(d): ltseg('export', 'coco', result(d), '-o', d/'NEW', '--only', '1,7')

for what, words in {'words for numbers': ['--only', 'all'], 'a negative dilation': ['--dilate', -1], 'a dilation of NaN': ['--dilate', 'nan'], 'a codec that has no alpha': ['--codec', 'h264'],
                    'a negative feather': ['--feather', -2]}.items():
    @row('Exports', what, words[0])
    def _(d, words=words): ltseg('export', 'rgba' if words[0] in ('--codec', '--feather') else 'colmap', result(d), '-o', d/'NEW', *words)

for format, words in [('coco', ['--dilate', 3]), ('npy', ['--images']), ('csv', ['--codec', 'vp9']), ('yolo', ['--prompts', 2]), ('zarr', ['--residual'])]:
    @row('Exports', f'an option that does nothing with {format}', words[0], format)
    def _(d, format=format, words=words): ltseg('export', format, result(d), '-o', d/'NEW', *words)


def read(folder):
    from ltseg.result import read_result
    return read_result(folder)

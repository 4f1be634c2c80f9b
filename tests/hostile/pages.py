"The command `ltseg report`: results that are damaged or incomplete, sources that are not those of the result, places for the page."
import json
import math
import shutil

import numpy as np
from PIL import Image

from ltseg.plots import write_palette_png

from .made import changed, clip, put_pictures, put_video
from .table import ltseg, row


def result(d, n=4, **story):
    "A folder as `ltseg segment` leaves it, of n label images of 48×64; its input lies beside it."
    (d/'OUT'/'labels').mkdir(parents=True)
    put_pictures(d/'f', clip(n + 1))
    labels = (np.mgrid[:48, :64][1] > 30).astype(np.uint8)
    for t in range(n): write_palette_png(d/'OUT'/'labels'/f'{t}.png', labels)
    motion = dict(control_points=[0], parameters=[[0, 0, 1, 0, 0, 2]])
    story = dict(size=[48, 64], working_size=[48, 64], fps=25., frames=[str(t) for t in range(n)], motion_model='Affine',
                 segments=[dict(label=k, motion=motion) for k in (0, 1)]) | story
    (d/'OUT'/'segments.json').write_text(json.dumps(story), encoding='utf8')
    (d/'OUT'/'settings.json').write_text(json.dumps(dict(source=str(d/'f'))), encoding='utf8')
    return d/'OUT'


@row('Pages', 'the page of a result', works=True)
def _(d):
    ltseg('report', result(d))
    text = (d/'OUT'/'report.html').read_text(encoding='utf8')
    assert '"pictures_from":"frames"' in text
    return f'{len(text)//1000} kB'

@row('Pages', 'a result that is not there', 'OUT', 'no folder')
def _(d): ltseg('report', d/'OUT')

@row('Pages', 'a folder of something else', 'OUT', 'segments.json')
def _(d): ltseg('report', put_pictures(d/'OUT', clip()))

@row('Pages', 'the input in the place of the result', 'clip.mp4')
def _(d): ltseg('report', put_video(d/'clip.mp4', clip(), 'mpeg4', 'yuv420p'))

for what, change, says in [('cut in half', lambda b: b[:len(b)//2], 'JSON'), ('empty', lambda b: b'', 'JSON'),
                           ('of random bytes', lambda b: bytes(range(256)), 'JSON'), ('`[]`', lambda b: b'[]', 'segments.json')]:
    for name in ('segments.json', 'settings.json'):
        if (name, what) == ('settings.json', '`[]`'): continue # nothing in it is needed
        @row('Pages', f'{name} {what}', name, says)
        def _(d, name=name, change=change):
            result(d)
            changed(d/'OUT'/name, change)
            ltseg('report', d/'OUT')

SEGMENT = dict(label=0, motion=dict(control_points=[0], parameters=[[0]*6]))
for what, story in {'frames that lead out of the folder': dict(frames=['../../x']), 'no frames': dict(frames=[]), 'frames that are numbers': dict(frames=[1, 2]),
                    'a name that no file can have': dict(frames=['\ud800']), 'a label of 300': dict(segments=[SEGMENT | dict(label=300)]),
                    'segments that are text': dict(segments='two'), 'fps NaN': dict(fps=math.nan), 'fps in words': dict(fps='fast'),
                    'an unknown motion model': dict(motion_model='Rigid'), 'motion of the wrong length': dict(segments=[dict(label=0, motion=dict(parameters=[[1, 2]]))]),
                    'motion that is None': dict(segments=[dict(label=0, motion=dict(parameters=[None]))]),
                    'motion whose pieces have no control points': dict(windows=[0, 2], segments=[dict(label=0, motion=dict(control_points=[], pieces=[], parameters=[[0]*6]))])}.items():
    @row('Pages', f'segments.json with {what}', 'segments.json')
    def _(d, story=story): ltseg('report', result(d, **story))

@row('Pages', 'a label image that is missing', 'labels/2.png')
def _(d):
    (result(d)/'labels'/'2.png').unlink()
    ltseg('report', d/'OUT')

@row('Pages', 'a label image that is cut in half', 'labels/2.png')
def _(d):
    changed(result(d)/'labels'/'2.png', lambda b: b[:len(b)//2])
    ltseg('report', d/'OUT')

@row('Pages', 'a label image of another size', 'labels/2.png')
def _(d):
    write_palette_png(result(d)/'labels'/'2.png', np.zeros((24, 64), np.uint8))
    ltseg('report', d/'OUT')

for what, pictures, says in [('with frames missing', clip(3), '3 frames'), ('with more frames', clip(9), '9 frames'),
                             ('of another shape', clip(5, 64, 64), '64×64')]:
    for kind in ('folder', 'video'):
        @row('Pages', f'a source {what}, a {kind}', 'other', 'not the input', says)
        def _(d, pictures=pictures, kind=kind):
            source = put_pictures(d/'other', pictures) if kind == 'folder' else put_video(d/'other.mkv', pictures)
            ltseg('report', result(d), '--source', source)

@row('Pages', 'a source with other names', 'other', 'not the input', 'a0')
def _(d):
    (d/'other').mkdir()
    for t, f in enumerate(clip(5)): Image.fromarray(f).save(d/'other'/f'a{t}.png')
    ltseg('report', result(d), '--source', d/'other')

@row('Pages', 'a source that is not there', 'nowhere.mp4')
def _(d): ltseg('report', result(d), '--source', d/'nowhere.mp4')

@row('Pages', 'an input that was changed since', works=True)
def _(d):
    out = result(d)
    shutil.rmtree(d/'f')
    put_pictures(d/'f', clip(3))
    said = ltseg('report', out) or ''
    assert '"pictures_from":"none"' in (out/'report.html').read_text(encoding='utf8')
    return said or 'the page, without its pictures'

@row('Pages', 'a page in the place of a file of the result', 'segments.json', '.html')
def _(d): ltseg('report', result(d), '-o', d/'OUT'/'segments.json')

@row('Pages', 'a page in the place of the video', 'clip.mp4', '.html')
def _(d): ltseg('report', result(d), '-o', put_video(d/'clip.mp4', clip(), 'mpeg4', 'yuv420p'))

@row('Pages', 'a page in the place of a folder', 'photos.html', 'folder')
def _(d):
    (d/'photos.html').mkdir()
    ltseg('report', result(d), '-o', d/'photos.html')

@row('Pages', 'a place that is no folder', 'file')
def _(d):
    (d/'file').touch()
    ltseg('report', result(d), '-o', d/'file'/'page.html')

@row('Pages', 'an earlier page stays when the new one is refused', 'labels/3.png')
def _(d):
    ltseg('report', result(d))
    (d/'OUT'/'labels'/'3.png').unlink()
    ltseg('report', d/'OUT')

@row('Pages', 'names with bytes that are no letters', works=True)
def _(d):
    out = result(d)
    settings = json.dumps(dict(source='gr\udcfcn.mp4', method='a\udcff'))
    (out/'settings.json').write_text(settings, encoding='utf8')
    ltseg('report', out)
    assert 'gr?n.mp4' in (out/'report.html').read_text(encoding='utf8')
    return 'shown as ?'

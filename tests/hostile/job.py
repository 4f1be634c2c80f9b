"The command `ltseg segment`, its options and its output folder."
import fcntl
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from ltseg.inference import stream
from ltseg.video import read_image

from .made import clip, put_pictures, put_video
from .table import ltseg, row


QUICK = ['--method', 'em', '-K', 2]

def job(d, source=None, *words, out='OUT'):
    "A small job; the story that it leaves."
    if source is None: source = put_pictures(d/'f', clip(5))
    ltseg('segment', source, '-o', d/out, *QUICK, *words)
    return json.loads((d/out/'segments.json').read_text())


@row('Job', 'flow that is zero everywhere', works=True)
def _(d):
    np.save(d/'a.npy', np.zeros((2, 4, 32, 48), np.float32))
    ltseg('segment', d/'a.npy', '-o', d/'OUT') # the network, by default
    labels = [read_image(p) for p in sorted((d/'OUT'/'labels').iterdir())]
    assert len(labels) == 4 and not np.any(labels) and 'NaN' not in (d/'OUT'/'segments.json').read_text()
    return 'one segment, no NaN'

for flows in (1, 2):
    @row('Job', f'a volume of {flows} flow' + 's'*(flows > 1), works=True)
    def _(d, flows=flows):
        np.save(d/'a.npy', np.random.default_rng(0).normal(size=(2, flows, 32, 48)).astype(np.float32))
        ltseg('segment', d/'a.npy', '-o', d/'OUT')
        assert len(list((d/'OUT'/'labels').iterdir())) == flows
        return f'{flows} label picture' + 's'*(flows > 1)

@row('Job', 'frames of one pixel', '16×16')
def _(d): job(d, put_pictures(d/'f', clip(3, 1, 1)))

@row('Job', 'frames of 8K', works=True)
def _(d):
    pictures = [np.full((4320, 7680, 3), 60*t, np.uint8) for t in range(2)]
    job(d, put_pictures(d/'f', pictures, '.jpg'))
    label, = (d/'OUT'/'labels').iterdir()
    with Image.open(label) as picture: assert picture.size == (1920, 1080)
    return 'labels of 1920×1080; `--max-pixels` sets another limit'

@row('Job', 'names of frames with spaces, line ends and `ü`', works=True)
def _(d):
    names = ['1 a b', '2\n', "3'\"", '4 grün', os.fsdecode(b'5\xff'), '6']
    (d/'f').mkdir()
    for name, f in zip(names, clip(6)): Image.fromarray(f).save(d/'f'/f'{name}.png')
    job(d, d/'f')
    assert sorted(p.stem for p in (d/'OUT'/'labels').iterdir()) == sorted(names[:5])
    return 'labels have the names of the frames'

@row('Job', 'standard input that is no video', 'video')
def _(d):
    yield
    with open(os.devnull, 'rb') as f: list(stream(f, K=2, method='em'))

@row('Job', 'an output folder with something else in it', 'OUT')
def _(d):
    (d/'OUT').mkdir()
    (d/'OUT'/'photo.jpg').touch()
    try: job(d, None, '--overwrite')
    finally: assert [p.name for p in (d/'OUT').iterdir()] == ['photo.jpg']

@row('Job', 'an output folder with an earlier result', '--overwrite')
def _(d):
    job(d)
    job(d, d/'f')

@row('Job', 'an output that is a file', 'OUT')
def _(d):
    (d/'OUT').touch()
    job(d)

@row('Job', 'an output that cannot be written', 'OUT')
def _(d):
    if os.geteuid(): # for root there is no such folder but the kernel's own
        d.chmod(0o555)
        try: job(d, put_video(Path(tempfile.mkdtemp())/'a.mkv', clip()))
        finally: d.chmod(0o755)
    else: ltseg('segment', put_pictures(d/'f', clip()), '-o', '/sys/OUT', *QUICK)

@row('Job', 'two runs that write to one folder', 'another run')
def _(d):
    (d/'OUT').mkdir()
    with open(d/'OUT'/'.lock', 'w') as f:
        fcntl.flock(f, fcntl.LOCK_EX) # what the first run does
        job(d)

for option, value, near in [('--weights', 'defualt', 'default'), ('--motion-model', 'Quadratic', 'QuadraticFull'),
                            ('--method', 'me', 'em'), ('--flow', 'disk', 'dis'), ('--refine', 'picture', 'image')]:
    @row('Job', f'a name that is unknown, `{option} {value}`', near)
    def _(d, option=option, value=value):
        ltseg('segment', put_pictures(d/'f', clip()), '-o', d/'OUT', option, value)

@row('Job', 'an option that is unknown', '--overwrite')
def _(d): job(d, None, '--overwrit')

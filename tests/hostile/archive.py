"Archives: several videos, one folder of results."
import os
from pathlib import Path

import numpy as np

from .left_behind import QUICK, moving
from .table import ltseg, row


def archive(d, *words):
    (d/'in').mkdir()
    for n in range(3): moving(d/'in', f'{n}.npy', 3, n)
    (d/'list.txt').write_text(''.join(f'in/{n}.npy\n' for n in range(3)))
    ltseg('segment', d/'list.txt', '-o', d/'OUT', *QUICK, *words)

def again(d, *words): ltseg('segment', d/'list.txt', '-o', d/'OUT', *QUICK, *words)

def times(d): return [p.stat().st_mtime_ns for p in sorted((d/'OUT').rglob('segments.json'))]


@row('Archives', 'the same archive again', works=True)
def _(d):
    archive(d)
    before = times(d)
    again(d)
    again(d, '--resume')
    assert times(d) == before
    return 'finished videos are left as they are'

for option, value in [('-K', 2), ('--motion-model', 'Affine'), ('--window', 6), ('--bad-flow', 'zero'), ('--fps', 7), ('--size', '16x16')]:
    @row('Archives', f'a finished archive again, with another `{option}`', 'another', '--overwrite')
    def _(d, option=option, value=value):
        archive(d)
        again(d, option, value)

@row('Archives', 'a finished archive with `--overwrite` and another `-K`', works=True)
def _(d):
    archive(d)
    before = times(d)
    again(d, '-K', 2, '--overwrite')
    assert all(a < b for a, b in zip(before, times(d)))
    assert all('"K": 2' in p.read_text() for p in (d/'OUT').rglob('settings.json'))
    return 'every video is made again'

@row('Archives', 'an archive of which one video has been changed', 'has changed', '--overwrite')
def _(d):
    archive(d)
    moving(d/'in', '1.npy', 3, seed=9)
    again(d)

@row('Archives', 'an archive of which one video is gone', works=True)
def _(d):
    archive(d)
    (d/'in'/'1.npy').unlink()
    again(d)
    return 'its result is kept'

@row('Archives', '`--resume` and `--overwrite`', 'one of them')
def _(d):
    archive(d)
    again(d, '--resume', '--overwrite')

@row('Archives', 'a manifest that is damaged', 'manifest.csv', 'damaged')
def _(d):
    archive(d)
    (d/'OUT'/'manifest.csv').write_text('video,state\nx\n')
    again(d)

@row('Archives', 'a manifest that is lost', works=True)
def _(d):
    archive(d)
    before = times(d)
    (d/'OUT'/'manifest.csv').unlink()
    (d/'OUT'/'manifest-1-of-2.csv').touch()
    again(d)
    assert times(d) == before
    return 'finished videos are found by their folders'

@row('Archives', 'a second run into an archive that another one writes', 'another run')
def _(d):
    import fcntl
    archive(d)
    with open(d/'OUT'/'.manifest.csv.lock', 'w') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        again(d, '--overwrite')

@row('Archives', 'an output with something else in it', 'something else')
def _(d):
    (d/'OUT').mkdir()
    (d/'OUT'/'photo.jpg').touch()
    archive(d)

@row('Archives', 'a list that names nothing', 'no video')
def _(d):
    (d/'list.txt').write_text('# nothing\n')
    ltseg('segment', d/'list.txt', '-o', d/'OUT', *QUICK)

@row('Archives', 'a name with a byte that is no UTF-8', works=True)
def _(d):
    (d/'in').mkdir()
    for name in (b'a\xff.npy', b'b.npy'): moving(d/'in', os.fsdecode(name), 3)
    ltseg('segment', *sorted((d/'in').iterdir()), '-o', d/'OUT', *QUICK)
    ltseg('segment', *sorted((d/'in').iterdir()), '-o', d/'OUT', *QUICK)
    assert len(list((d/'OUT').rglob('segments.json'))) == 2
    return 'written to the manifest as it is'

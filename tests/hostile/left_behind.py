"What refused, failed and stopped runs leave behind: every file as it was, or a result of this run that can be continued."
import fcntl
import os

import numpy as np

from ltseg.result import PROGRESS

from .made import put_pictures
from .table import Watch, ltseg, row, snapshot

QUICK = ['--method', 'em', '-K', 1, '--window', 4, '--overlap', 1]


def moving(d, name='a.npy', flows=9, seed=0):
    np.save(d/name, np.random.default_rng(seed).normal(size=(2, flows, 16, 24)).astype(np.float32))
    return d/name


def finished(d): ltseg('segment', moving(d), '-o', d/'OUT', *QUICK)


def unfinished(d, n=7):
    "A result that was interrupted after `n` frames, and the error with which it ended."
    from ltseg.inference import stream
    video = stream(moving(d), K=1, method='em', window=4, overlap=1)
    steps = video.reader.steps
    def stop(start):
        for t, step in enumerate(steps(start), start):
            if t == n: raise KeyboardInterrupt
            yield step
    video.reader.steps = stop
    try: video.save(d/'OUT')
    except KeyboardInterrupt as e: return e


for what, make in {'a finished': finished, 'an unfinished': unfinished}.items():
    @row('Left behind', f'a run into {what} result, without a word on what to do', '--overwrite')
    def _(d, make=make):
        make(d)
        ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK)

    for option, other in [('-K', 2), ('--window', 6), ('--motion-model', 'Affine'), ('--fps', 7), ('--size', '16x16'), ('--bad-flow', 'zero')]:
        @row('Left behind', f'`--resume` on {what} result with another `{option}`', 'another')
        def _(d, make=make, option=option, other=other):
            make(d)
            ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK, option, other, '--resume')

    @row('Left behind', f'`--resume` on {what} result when the source has changed', 'has changed')
    def _(d, make=make):
        make(d)
        moving(d, seed=1)
        ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK, '--resume')

    @row('Left behind', f'`--resume` and `--overwrite` on {what} result', 'one of them')
    def _(d, make=make):
        make(d)
        ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK, '--resume', '--overwrite')

    for how in ('--resume', '--overwrite'):
        @row('Left behind', f'`{how}` on {what} result while another run writes there', 'another run')
        def _(d, make=make, how=how):
            make(d)
            with open(d/'OUT'/'.lock', 'w') as f:
                fcntl.flock(f, fcntl.LOCK_EX)
                ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK, how)

    @row('Left behind', f'`--overwrite` of {what} result with an input that is not there', 'nothing of that name')
    def _(d, make=make):
        make(d)
        ltseg('segment', d/'absent.npy', '-o', d/'OUT', *QUICK, '--overwrite')

    @row('Left behind', f'`--overwrite` of {what} result with an input that fails at its first frame', 'finite')
    def _(d, make=make):
        make(d)
        (d/'f').mkdir()
        for t in range(3): np.save(d/'f'/f'{t}.npy', np.full((2, 16, 24), np.nan, np.float32))
        ltseg('segment', d/'f', '-o', d/'OUT', *QUICK, '--overwrite')

@row('Left behind', '`--resume` with a moved source', works=True)
def _(d):
    unfinished(d)
    os.rename(d/'a.npy', d/'b.npy')
    ltseg('segment', d/'b.npy', '-o', d/'OUT', *QUICK, '--resume')
    return 'goes on: the source is known by its content'

@row('Left behind', 'an interruption (Ctrl-C) in the middle, then `--resume`', works=True)
def _(d):
    said = unfinished(d).__notes__[0]
    assert '--resume goes on at frame 3' in said and str(d/'OUT') in said
    ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK, '--resume')
    ltseg('segment', d/'a.npy', '-o', d/'WHOLE', *QUICK)
    a, b = ({n: s[1] for n, s in snapshot(d/n).items() if s[0] == 'file' and n != 'timing.json'} for n in ('OUT', 'WHOLE'))
    assert a == b
    return 'the bytes of a run that was not interrupted'

@row('Left behind', 'progress that is damaged, with `--resume`', 'progress.json', 'damaged')
def _(d):
    unfinished(d)
    (d/'OUT'/PROGRESS).write_text('{"frames": 3,')
    ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK, '--resume')

@row('Left behind', 'what the linker remembers is damaged, with `--resume`', 'damaged')
def _(d):
    unfinished(d)
    for f in (d/'OUT'/'parts').glob('*.safetensors'): f.write_bytes(b'junk')
    ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK, '--resume')

@row('Left behind', '`--overwrite` of a result beside which the user keeps notes', works=True)
def _(d):
    finished(d)
    (d/'OUT'/'notes.txt').write_text('mine')
    ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK[:-4], '--overwrite')
    assert (d/'OUT'/'notes.txt').read_text() == 'mine'
    return 'the notes stay'

@row('Left behind', 'an output three folders deep, and a bad option', 'Quadratic')
def _(d): ltseg('segment', moving(d), '-o', d/'x'/'y'/'OUT', '--motion-model', 'Quadratic')

@row('Left behind', 'an output three folders deep, and flow with NaN', 'finite')
def _(d):
    (d/'f').mkdir()
    for t in range(3): np.save(d/'f'/f'{t}.npy', np.full((2, 16, 24), np.nan, np.float32))
    ltseg('segment', d/'f', '-o', d/'x'/'y'/'OUT', *QUICK)

@row('Left behind', 'an output inside of the folder of frames', works=True)
def _(d):
    put_pictures(d/'f', [np.full((32, 48, 3), 40*t, np.uint8) for t in range(3)])
    before = snapshot(d/'f')
    ltseg('segment', d/'f', '-o', d/'f'/'OUT', *QUICK)
    ltseg('segment', d/'f', '-o', d/'f'/'OUT', *QUICK, '--resume')
    assert before.items() <= snapshot(d/'f').items()
    return 'the frames stay as they are'

@row('Left behind', 'the folder of frames as the output', 'something else')
def _(d):
    put_pictures(d/'f', [np.full((32, 48, 3), 40*t, np.uint8) for t in range(3)])
    ltseg('segment', d/'f', '-o', d/'f', *QUICK, '--overwrite')

@row('Left behind', 'a working size that no memory holds', 'memory', 'GB are free')
def _(d): ltseg('segment', moving(d), '-o', d/'OUT', *QUICK, '--size', '90000x90000')

@row('Left behind', '`--overwrite` with a window that the memory does not hold', 'memory', 'GB are free')
def _(d):
    from unittest.mock import patch
    finished(d)
    with patch('ltseg.inference.free_memory', return_value=1000): ltseg('segment', d/'a.npy', '-o', d/'OUT', *QUICK, '--overwrite')

@row('Left behind', 'a method that gives NaN', 'NaN')
def _(d):
    from ltseg.inference import stream
    class Broken:
        max_segments, about = 4, dict(method='broken')
        def __call__(self, flow, K): return flow[:, :1].expand(-1, K, -1, -1, -1)*np.nan
    moving(d)
    yield
    stream(d/'a.npy', K=2, method=Broken()).save(d/'OUT')

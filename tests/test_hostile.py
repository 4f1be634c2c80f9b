"Every row of the table of hostile input gets what it states and what its page shows, in bounded memory, and leaves nothing half-written."
import inspect
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hostile import ROWS, clip, key, line, put_pictures, put_video, stored
from hostile.table import Watch
from notebook import same
from processes import alone, needs_proc, peak_of

from ltseg.cli import main
from ltseg.files import InputWarning
from ltseg.options import FULL_HD
from ltseg.video import open_frames


@pytest.mark.parametrize('row', ROWS, ids=[f'{r.section}-{r.what}' for r in ROWS])
def test_row(row, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        warnings.simplefilter('ignore', InputWarning) # what is said to users
        now = line(row, row.outcome(tmp_path))
    hidden = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob('.*') if not p.name.endswith('.lock') and p.parent.suffix != '.zarr'} # Zarr has names of its own
    assert hidden <= Watch.now.before.keys() # no temporary files that were not there before
    shown = stored().get(key(row), 'nothing')
    assert same(shown, now), f'nbs/98_hostile.ipynb shows something else, run it again:\n{shown}\n{now}'


def test_page_shows_every_row_once():
    assert sorted(map(key, ROWS)) == sorted(stored())


def frames_of_8k(path):
    "Bytes that reading them takes at most."
    def read(): assert {f.shape for f in open_frames(path, max_pixels=FULL_HD)} == {(1080, 1920, 3)}
    return peak_of(read)


@needs_proc
@pytest.mark.parametrize('kind, most', [('.jpg', 150), ('.png', 350), ('video', 700)])
def test_memory_of_8k(kind, most, tmp_path):
    "Megabytes, of which a frame of 8K in RGB fills 95: decoders hold a few, we hold none."
    frames = [np.full((4320, 7680, 3), 30*t, np.uint8) for t in range(3)]
    path = put_video(tmp_path/'a.mp4', frames, 'mpeg4', 'yuv420p') if kind == 'video' else put_pictures(tmp_path/'f', frames, kind)
    peak = alone(frames_of_8k, path)/2**20
    print(f'{kind}: {peak:.0f} MB')
    assert peak < most


def segmented(source, out, jobs):
    "Statuses of several jobs."
    return [main(['segment', str(source), '-o', f'{out}/{name}', *words]) for name, words in jobs.items()]


JOBS = {name: [*words, '--size', '32x48'] for name, words in dict(
    em=['--method', 'em', '-K', '3'], network=[], refined=['--refine', 'image', '--window', '6', '--overlap', '2']).items()}


def test_same_input_same_bytes(tmp_path):
    "Two processes, other seeds of Python's hashes: every file but the one that holds timings has the same bytes."
    source = put_pictures(tmp_path/'f', clip(12, 64, 96)) # which falls into scenes of a few frames
    assert alone(segmented, source, tmp_path/'1', JOBS) == [0]*len(JOBS)
    code = f'import sys; from ltseg.cli import main\n{inspect.getsource(segmented)}\nsys.exit(any(segmented(*sys.argv[1:], {JOBS})))'
    env = os.environ | dict(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1', PYTHONHASHSEED='2', PYTHONPATH=os.pathsep.join(sys.path))
    subprocess.run([sys.executable, '-c', code, source, tmp_path/'2'], env=env, check=True, stdin=subprocess.DEVNULL)
    one, two = ({p.relative_to(tmp_path/n): p.read_bytes() for p in (tmp_path/n).rglob('*') if p.is_file()} for n in '12')
    assert one.keys() == two.keys() and len(one) > 12*len(JOBS)
    assert [p for p in one if one[p] != two[p] and p.name != 'timing.json'] == []

"Real recordings that were once refused or came out wrong; they are no part of the project."
import warnings
from pathlib import Path

import numpy as np
import pytest

from ltseg.reader import open_reader
from ltseg.video import open_frames, read_image

CASES = Path(__file__).resolve().parents[2]/'shared'/'cases'
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason='the recordings are not here')


@pytest.mark.parametrize('name, n, fps', [('trim1s.mp4', 15, 25), ('cutgop.ts', 80, 25), ('hflip.mp4', 40, 25), ('chrome.webm', 40, 24.1),
                                          ('vfr.mp4', 24, 15), ('ana.mp4', 40, 25)])
@pytest.mark.parametrize('way', ['file', 'pipe'])
def test_frames(name, n, fps, way):
    with warnings.catch_warnings(action='ignore'), open(CASES/name, 'rb') as f:
        reader = open_reader(CASES/name if way == 'file' else f)
        steps = sum(1 for _ in reader.steps())
    assert steps == n - 1 and reader.fps == pytest.approx(fps, rel=.04)
    assert bool(reader.notes) == (name == 'cutgop.ts')
    assert reader.aspect == pytest.approx(4/3 if name == 'ana.mp4' else 1)


def test_mirrored():
    first = next(iter(open_frames(CASES/'hflip.mp4')))
    assert np.abs(np.subtract(first, read_image(CASES/'hflip_first.png'), dtype=int)).mean() < 4


def test_times():
    "The packets' own, which are not even."
    reader = open_reader(CASES/'vfr.mp4')
    n = sum(1 for _ in reader.steps())
    seconds = np.array([reader.time(t) for t in range(n + 1)])
    assert seconds[0] == 0 and seconds[-1] == pytest.approx(1.56) and len(set(np.diff(seconds).round(3))) > 1

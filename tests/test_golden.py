"""The same inputs give the same labels and scores as before the modules were moved, renamed and given their options in one place.

`golden/results.npz` was written by the commit 44bd427, with `PYTHONPATH=COMMIT python tests/test_golden.py --write`; `golden/inputs.npz`
and `golden/film.mp4` are its inputs. Where a change means to change labels, write the results anew with it and say so."""
import csv
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

GOLDEN = Path(__file__).parent/'golden'
CLIPS = 'kites', 'balls'


def write_pictures(folder: Path, pictures, stem='{:05d}.png') -> Path:
    folder.mkdir(parents=True)
    for t, picture in enumerate(pictures): Image.fromarray(picture).save(folder/stem.format(t))
    return folder


def put_inputs(top: Path) -> Path:
    "A film, a folder of flow, a data set of two sequences with annotations, and an archive of two videos."
    import torch

    from ltseg.flow import write_flow
    given = np.load(GOLDEN/'inputs.npz')
    (top/'flow').mkdir(parents=True)
    for t, flow in enumerate(given['flow'].astype(np.float32)): write_flow(top/'flow'/f'{t:05d}.flo', torch.from_numpy(flow))
    for name in CLIPS:
        write_pictures(top/'data/JPEGImages/480p'/name, given[f'{name}_frames'])
        write_pictures(top/'data/Annotations/480p'/name, given[f'{name}_masks']*np.uint8(255))
        write_pictures(top/'archive'/name, given[f'{name}_frames'])
    return top


def read_labels(folder: Path) -> np.ndarray: # (T,H,W)
    return np.stack([np.array(Image.open(p)) for p in sorted(folder.glob('*.png'))])


def run(*words):
    from ltseg.cli import main
    assert main([str(w) for w in words]) == 0, words


def segment(top: Path, source, *words) -> dict:
    run('segment', source, '-o', top/'OUT', *words)
    story = json.loads((top/'OUT/segments.json').read_text('utf8'))
    return dict(labels=read_labels(top/'OUT/labels'), loss=[s['loss'] for s in story['segments']],
                area=[s['mean_area'] for s in story['segments']])


FLOW, IMAGE = ('--flow', 'dis'), ('--refine', 'image') # the usual ones of that time
def clip(top): return segment(top, GOLDEN/'film.mp4', *FLOW, *IMAGE, '-K', 4)
def clip_as_it_is(top): return segment(top, GOLDEN/'film.mp4', *FLOW, '-K', 3, '--refine', 'none')
def clip_auto(top): return segment(top, GOLDEN/'film.mp4', *FLOW, *IMAGE, '-K', 'auto', '--weights', 'default', '--window', 4, '--overlap', 2)
def clip_adapted(top): return segment(top, GOLDEN/'film.mp4', *FLOW, *IMAGE, '-K', 4, '--adapt', 2)
def flow_folder(top): return segment(top, top/'flow', '--refine', 'flow', '-K', 4)
def flow_em(top): return segment(top, top/'flow', '--refine', 'flow', '--method', 'em', '-K', 2)


def archive(top):
    run('segment', top/'archive', '-o', top/'OUT', *FLOW, *IMAGE, '-K', 3)
    return {name: read_labels(top/'OUT'/name/'labels') for name in CLIPS}


def data_split(top):
    run('split', top/'data', '--name', 'toy')
    run('flow', '--data-file', 'toy', '--base-dir', top/'data', *FLOW)
    common = '--data-file', 'toy', '--base-dir', top/'data'
    run('predict', *common, '--weights', 'default', '--refine', 'none', '-K', 4, '-o', top/'predicted')
    found = {name: read_labels(top/'predicted/labels'/name) for name in CLIPS}
    for benchmark in ('davis16', 'davis17'):
        out = top/f'scores-{benchmark}'
        run('evaluate', *common, '--predictions', top/'predicted', '--benchmark', benchmark, '-o', out)
        with open(out/'scores.csv', newline='') as f: rows = list(csv.reader(f))
        found[benchmark] = np.array([[float(x) if x else np.nan for x in row[1:]] for row in rows[1:]])
    return found


JOBS = {job.__name__: job for job in (clip, clip_as_it_is, clip_auto, clip_adapted, flow_folder, flow_em, archive, data_split)}


def here() -> dict: # what the last bit of a computation depends on
    import av, cv2, torch
    return dict(torch=torch.__version__, cpu=torch.backends.cpu.get_cpu_capability(), cv2=cv2.__version__, av=av.__version__)


@pytest.mark.parametrize('name', JOBS)
def test_as_before(name, tmp_path):
    "Every label and score; where another processor or library rounds differently, all but a few pixels at the edges."
    kept = np.load(GOLDEN/'results.npz')
    expected = {key.partition('/')[2]: kept[key] for key in kept if key.startswith(f'{name}/')}
    found, same = JOBS[name](put_inputs(tmp_path)), json.loads(str(kept['here'])) == here()
    assert found.keys() == expected.keys()
    for key, value in found.items():
        value, right = np.asarray(value), expected[key]
        assert value.shape == right.shape, key
        if value.dtype == np.uint8: assert (value != right).mean() <= (0 if same else .005), key
        else: np.testing.assert_allclose(value, right, rtol=0 if same else .05, atol=0 if same else .02, err_msg=key)


def write(file: Path):
    found = {}
    for name, job in JOBS.items():
        with tempfile.TemporaryDirectory() as top:
            found |= {f'{name}/{key}': value for key, value in job(put_inputs(Path(top)/'in')).items()}
    np.savez_compressed(file, here=json.dumps(here()), **found)


if __name__ == '__main__':
    for name in ['OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'OPENCV_FOR_THREADS_NUM']: os.environ.setdefault(name, '1')
    if sys.argv[1:] != ['--write']: sys.exit('usage: PYTHONPATH=COMMIT python tests/test_golden.py --write')
    write(GOLDEN/'results.npz')

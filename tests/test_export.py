"What is exported is read back by the program that it is for, or by that program's own library: masks, numbers and times are those of the result."
import ast
import contextlib
import json
import re
import shlex
import shutil
import sys
import warnings
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from hostile import snapshot
from PIL import Image
from processes import alone, needs_proc, told
from results import FPS, again, crowd, made, picture, story

import ltseg.export
from ltseg.cli import main
from ltseg.export import FORMATS, detections, polygon
from ltseg.files import InputError, InputWarning
from ltseg.flow import read_flow
from ltseg.result import read_result
from ltseg.synthetic import demo_scene
from ltseg.video import write_video

T = 45


@pytest.fixture(scope='module')
def result(tmp_path_factory):
    return read_result(made(tmp_path_factory.mktemp('results')/'OUT', T))


@pytest.fixture(scope='module')
def many(tmp_path_factory):
    return read_result(made(tmp_path_factory.mktemp('results')/'MANY', 31, crowd))


TRUTH = [story(t) for t in range(T)]
OBJECTS = {(t, n): TRUTH[t] == n for t in range(T) for n in (1, 2, 4) if (TRUTH[t] == n).any()} # all but the two backgrounds
CROWD = {(t, n): crowd(t) == n for t in range(31) for n in np.unique(crowd(t)).tolist() if n}


def iou(a, b): return (a & b).sum()/(a | b).sum()


def filled(points, shape): return cv2.fillPoly(np.zeros(shape, np.uint8), [np.asarray(points).astype(np.int32)], 1) > 0


def test_imports():
    "The module needs nothing of training or evaluation."
    folder, seen, new = Path(ltseg.export.__file__).parent, set(), {'export'}
    while new:
        seen |= new
        code = [n for m in new for n in ast.parse((folder/f"{m}.py").read_text()).body] # what is imported with it
        new = {n.module for n in code if isinstance(n, ast.ImportFrom) and n.level == 1 and n.module and (folder/f'{n.module}.py').exists()} - seen
    assert not seen & {'train', 'losses', 'data', 'augment', 'synthetic', 'evaluation', 'scoring', 'predict', 'head_training', 'flow_training', 'stability'}, seen


# Masks for structure from motion

@pytest.mark.parametrize('format, name', [('colmap', '{}.jpg.png'), ('nerfstudio', '{}.png')])
def test_masks(result, tmp_path, format, name):
    "Each frame has a mask of its size, black where something moves; the last, which has no flow, that of the one before."
    FORMATS[format](result, tmp_path/'OUT', images=True)
    assert sorted(p.name for p in (tmp_path/'OUT/images').iterdir()) == [f'{t:05d}.jpg' for t in range(T + 1)]
    masks = [np.array(Image.open(tmp_path/'OUT/masks'/name.format(f'{t:05d}'))) for t in range(T + 1)]
    for t, mask in enumerate(masks): assert np.array_equal(mask == 0, np.isin(TRUTH[min(t, T - 1)], [1, 2, 4])) and set(np.unique(mask)) <= {0, 255}
    assert len(list((tmp_path/'OUT/masks').iterdir())) == T + 1


def test_masks_beside_pictures(result, tmp_path):
    "For a folder of pictures, masks are called as its files, and have their size, though the labels are smaller."
    folder = tmp_path/'walk'
    folder.mkdir()
    for t in range(T + 1): Image.fromarray(np.kron(picture(story(t)), np.ones((2, 2, 1), np.uint8))).save(folder/f'{t:05d}.JPEG')
    FORMATS['colmap'](result, tmp_path/'OUT', source=folder, only=[1, 2, 4], dilate=2)
    masks = sorted((tmp_path/'OUT/masks').iterdir())
    assert [m.name for m in masks] == [f'{p.name}.png' for p in sorted(folder.iterdir())]
    mask = np.array(Image.open(masks[8])) == 0
    assert mask.shape == (122, 190) and mask[np.kron(TRUTH[8] > 0, np.ones((2, 2))) > 0].all() and mask.sum() > 4*(TRUTH[8] > 0).sum()
    exif = Image.Exif()
    exif[274] = 3 # upside down
    Image.open(folder/'00000.JPEG').rotate(180).save(folder/'00000.JPEG', exif=exif)
    with pytest.warns(InputWarning, match='EXIF.*--images'): FORMATS['nerfstudio'](result, tmp_path/'TURNED', source=folder)


def test_colmap_reads_them(tmp_path):
    "COLMAP itself finds features outside of what moves, and none inside."
    pycolmap = pytest.importorskip('pycolmap')
    rng = np.random.default_rng(0)
    busy = cv2.resize(rng.integers(0, 255, (60, 90, 3), dtype=np.uint8), (360, 240), interpolation=cv2.INTER_CUBIC)
    numbers = lambda t: np.kron(story(t, (60, 90)), np.ones((4, 4), np.int64))
    found = read_result(made(tmp_path/'R', 5, numbers))
    FORMATS['colmap'](found, tmp_path/'OUT', images=True, dilate=3)
    for p in (tmp_path/'OUT/images').iterdir(): Image.fromarray(busy).save(p, quality=95)
    options = pycolmap.ImageReaderOptions()
    options.mask_path = str(tmp_path/'OUT/masks')
    pycolmap.extract_features(tmp_path/'db', tmp_path/'OUT/images', reader_options=options, device=pycolmap.Device.cpu)
    with pycolmap.Database.open(tmp_path/'db') as db: keypoints = {i.name: np.asarray(db.read_keypoints(i.image_id)) for i in db.read_all_images()}
    assert len(keypoints) == 6
    for name, points in keypoints.items():
        moves = numbers(min(4, int(name[:5]))) > 0
        x, y = points[:, :2].astype(int).T
        assert len(points) > 50 and not moves[y.clip(0, 239), x.clip(0, 359)].any()


# Annotations

def check_coco(file, objects):
    from pycocotools import mask as rle
    from pycocotools.coco import COCO
    read = COCO(str(file))
    found = {(read.imgs[a['image_id']]['frame_id'], a['track_id']): a for a in read.anns.values()}
    assert found.keys() == objects.keys() and all(a['track_id'] == a['instance_id'] for a in found.values())
    for key, mask in objects.items():
        a = found[key]
        assert np.array_equal(read.annToMask(a), mask) and a['area'] == mask.sum()
        code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert a['segmentation']['counts'] == code['counts'].decode() and a['bbox'] == rle.toBbox(code).tolist()
    return read


def test_coco(result, many, tmp_path):
    "pycocotools reads the masks, and would write the same bytes; three hundred tracks keep their numbers."
    pytest.importorskip('pycocotools')
    FORMATS['coco'](result, tmp_path/'A', images=True)
    read = check_coco(tmp_path/'A/annotations.json', OBJECTS)
    assert [t['id'] for t in read.dataset['tracks']] == [1, 2, 4] and len(read.imgs) == T
    for i in read.imgs.values():
        assert Image.open(tmp_path/'A/images'/i['file_name']).size == (i['width'], i['height']) == (95, 61)
        assert abs(i['timestamp'] - i['frame_id']/FPS) < 1e-5
    FORMATS['coco'](many, tmp_path/'B')
    check_coco(tmp_path/'B/annotations.json', CROWD)
    FORMATS['coco'](result, tmp_path/'C', only=[0, 3])
    check_coco(tmp_path/'C/annotations.json', {(t, n): TRUTH[t] == n for t in range(T) for n in (0, 3) if (TRUTH[t] == n).any()})


def test_run_lengths_of_any_mask():
    "Long runs, masks that begin inside, and random ones: the bytes are those of pycocotools."
    rle, rng = pytest.importorskip('pycocotools.mask'), np.random.default_rng(0)
    masks = [np.ones((700, 900), bool), np.zeros((3, 1), bool), *(rng.random((37, 53)) < p for p in (.01, .5, .99)), rng.random((900, 700)) < 1e-5]
    for mask in masks: assert ltseg.export.encode_rle(mask)['counts'] == rle.encode(np.asfortranarray(mask.astype(np.uint8)))['counts'].decode()


def yolo_objects(folder, t, shape): # their masks
    lines = (folder/f'labels/{t:05d}.txt').read_text().splitlines()
    points = [np.array(line.split(), float) for line in lines]
    assert all(p[0] == 0 and len(p) >= 7 and (p >= 0).all() and (p <= 1).all() for p in points)
    return [filled(p[1:].reshape(-1, 2)*shape[::-1], shape) for p in points] # as Ultralytics draws them


def test_yolo(result, many, tmp_path):
    "Polygons, filled as Ultralytics fills them, are the masks; a ring keeps its hole. Pictures and text files are of the same frames."
    FORMATS['yolo'](result, tmp_path/'A', images=True)
    for t in range(T):
        masks, expected = yolo_objects(tmp_path/'A', t, (61, 95)), [m for (at, _), m in OBJECTS.items() if at == t]
        assert len(masks) == len(expected)
        for mask, own in zip(masks, expected): assert iou(mask, own) > (.93 if t >= 30 else .999) # two parts hang together by a line
    assert [p.stem for p in sorted((tmp_path/'A/images').iterdir())] == [p.stem for p in sorted((tmp_path/'A/labels').iterdir())]
    FORMATS['yolo'](many, tmp_path/'B')
    found = [m for t in range(31) for m in yolo_objects(tmp_path/'B', t, (48, 64))]
    assert len(found) == len(CROWD) and all(np.array_equal(a, b) for a, b in zip(found, CROWD.values()))


def test_yolo_in_supervision(result, tmp_path):
    sv = pytest.importorskip('supervision')
    FORMATS['yolo'](result, tmp_path/'A', images=True)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore') # of its own, that its interface will change
        read = sv.DetectionDataset.from_yolo(str(tmp_path/'A/images'), str(tmp_path/'A/labels'), str(tmp_path/'A/data.yaml'), force_masks=True)
    assert read.classes == ['moving'] and len(read) == T
    for path, found in read.annotations.items():
        expected = [m for (at, _), m in OBJECTS.items() if at == int(Path(path).stem)]
        assert len(found) == len(expected) and all(iou(a, b) > (.93 if int(Path(path).stem) >= 30 else .999) for a, b in zip(found.mask, expected))


def test_polygon_of_any_mask():
    "Nothing of a mask is lost, and all that is added are thin lines."
    rng = np.random.default_rng(0)
    for seed in range(20):
        mask = cv2.GaussianBlur(rng.random((50, 80)), (0, 0), 3) > .5
        again = filled(polygon(mask), mask.shape)
        assert (again | ~mask).all() and not cv2.erode((again & ~mask).astype(np.uint8), np.ones((3, 3))).any()


def cvat_tracks(file): # number -> frame -> (outside, points)
    root = ET.parse(file).getroot()
    assert root.tag == 'annotations' and root.findtext('version') == '1.1' and root.findtext('meta/task/mode') == 'interpolation'
    labels = {e.text for e in root.iterfind('meta/task/labels/label/name')}
    tracks = {}
    for track in root.iterfind('track'):
        assert track.get('label') in labels
        shapes = [(int(p.get('frame')), p) for p in track.iterfind('polygon')]
        assert [t for t, _ in shapes] == sorted({t for t, _ in shapes}) and all(p.get('keyframe') == '1' and p.get('occluded') == '0' for _, p in shapes)
        points = lambda p: np.array([xy.split(',') for xy in p.get('points').split(';')], float)
        tracks[int(track.get('id'))] = {t: (p.get('outside') == '1', points(p)) for t, p in shapes}
    size = tuple(int(root.findtext(f'meta/task/original_size/{n}')) for n in ('height', 'width'))
    return tracks, size, int(root.findtext('meta/task/size'))


def test_cvat(result, many, tmp_path):
    "By the documented schema: a track for each segment, a polygon in each frame where it is in sight, and `outside` in the one after."
    FORMATS['cvat'](result, tmp_path/'A')
    tracks, size, n = cvat_tracks(tmp_path/'A/annotations.xml')
    assert list(tracks) == [1, 2, 4] and size == (61, 95) and n == T + 1
    seen = {(t, n): filled(points, size) for n, own in tracks.items() for t, (outside, points) in own.items() if not outside}
    assert seen.keys() == OBJECTS.keys() and all(iou(m, OBJECTS[k]) > .93 for k, m in seen.items())
    assert [t for t, (outside, _) in tracks[1].items() if outside] == [12, 30] and [t for t, (o, _) in tracks[4].items() if o] == [T]
    FORMATS['cvat'](many, tmp_path/'B')
    tracks, *_ = cvat_tracks(tmp_path/'B/annotations.xml')
    assert list(tracks) == list(range(1, 301)) and {(t, n) for n, own in tracks.items() for t, (o, _) in own.items() if not o} == CROWD.keys()
    assert sorted(p.name for p in (tmp_path/'B').iterdir()) == ['annotations.xml', 'export.json']


def test_cvat_in_datumaro(result, tmp_path):
    "The library that CVAT itself reads formats with."
    base = pytest.importorskip('datumaro.plugins.data_formats.cvat.base')
    FORMATS['cvat'](result, tmp_path/'A')
    found = {}
    for item in base.CvatBase(str(tmp_path/'A/annotations.xml')):
        for a in item.annotations:
            if not a.attributes['outside']: found[item.attributes['frame'], a.attributes['track_id']] = filled(np.reshape(a.points, (-1, 2)), (61, 95))
    assert len(found) == len(OBJECTS) and {t for t, _ in found} == {t for t, _ in OBJECTS}


def test_davis17(result, many, tmp_path):
    "Palette PNGs that count from 1, one a frame; what does not fit into 8 bits is refused."
    FORMATS['davis17'](result, tmp_path/'A')
    files = sorted((tmp_path/'A/OUT').iterdir())
    assert [f.stem for f in files] == [f'{t:05d}' for t in range(T + 1)]
    for t, f in enumerate(files): assert np.array_equal(np.array(Image.open(f)), TRUTH[min(t, T - 1)] + 1) and Image.open(f).mode == 'P'
    with pytest.raises(InputError, match='301 segments.*8 bits'): FORMATS['davis17'](many, tmp_path/'B')
    assert not (tmp_path/'B').exists()


# With alpha

def decoded(file, codec=None): # (T,H,W,4), seconds
    with av.open(str(file)) as c:
        stream = c.streams.video[0]
        if codec is None: frames = list(c.decode(stream))
        else: # FFmpeg's own decoder knows no alpha
            decoder = av.CodecContext.create(codec, 'r')
            packets = [p for p in c.demux(stream)]
            frames = [f for p in packets for f in decoder.decode(p if p.size else None)]
        return np.stack([f.to_ndarray(format='rgba') for f in frames]), [f.pts*float(stream.time_base) for f in frames]


@pytest.mark.parametrize('codec, ending, reader, loss', [('prores', 'mov', None, 1), ('vp9', 'webm', 'libvpx-vp9', 40)])
def test_videos_with_alpha(result, tmp_path, codec, ending, reader, loss):
    "Decoded again, alpha is the mask, colours are those of the video, and frames come at its times."
    FORMATS['rgba'](result, tmp_path/'A', codec=codec, only=[1, 4])
    assert sorted(p.name for p in (tmp_path/'A').iterdir()) == ['export.json', f'segment_1.{ending}', f'segment_4.{ending}']
    for n in (1, 4):
        frames, times = decoded(tmp_path/f'A/segment_{n}.{ending}', reader)
        assert frames.shape == (T, 61, 95, 4) and np.allclose(times, np.arange(T)/FPS, atol=2e-3)
        for t, frame in enumerate(frames):
            mask = TRUTH[t] == n
            assert np.array_equal(frame[..., 3] > 127, mask) and np.abs(frame[..., 3] - 255.*mask).mean() < loss/20
            inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5))) > 0
            if inner.any(): assert np.abs(frame[inner][:, :3].astype(int) - picture(TRUTH[t])[inner]).mean() < 6


def test_cut_outs(result, tmp_path):
    "PNGs for the frames in which a segment is in sight, exact; feathered, alpha is half at the border."
    FORMATS['rgba'](result, tmp_path/'A')
    assert {(int(p.stem), int(p.parent.name[8:])) for p in (tmp_path/'A').glob('*/*.png')} == OBJECTS.keys()
    for (t, n), mask in OBJECTS.items():
        cut = np.array(Image.open(tmp_path/f'A/segment_{n}/{t:05d}.png'))
        assert np.array_equal(cut[..., 3], 255*mask) and np.abs(cut[mask][:, :3].astype(int) - picture(TRUTH[t])[mask]).mean() < 6
    FORMATS['rgba'](result, tmp_path/'B', feather=3, only=[2])
    soft = np.array(Image.open(tmp_path/'B/segment_2/00010.png'))[..., 3]
    assert np.array_equal(soft > 127, OBJECTS[10, 2]) and len(np.unique(soft)) > 8


# Prompts, arrays, detections

def test_sam2(result, many, tmp_path):
    "Each segment has its prompts on frames of different parts of its life; the box is tight, and points lie well inside."
    FORMATS['sam2'](result, tmp_path/'A', prompts=3)
    told = json.loads((tmp_path/'A/prompts.json').read_text())
    assert (told['width'], told['height']) == (95, 61) and [s['id'] for s in told['segments']] == [1, 2, 4]
    for s in told['segments']:
        assert 2 <= len(s['prompts']) <= 3
        largest = max((p['area'], -p['frame']) for p in s['prompts'])
        assert largest[0] == max(m.sum() for (_, n), m in OBJECTS.items() if n == s['id'])
        for p in s['prompts']:
            mask = OBJECTS[p['frame'], s['id']]
            rows, columns = np.nonzero(mask)
            assert p['box'] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] and p['labels'] == [1]*len(p['points'])
            depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
            assert p['points'] and all(depth[y, x] >= depth.max()/2 - 1e-3 for x, y in p['points'])
            assert p['area'] == mask.sum() and abs(p['time'] - p['frame']/FPS) < 1e-5
    FORMATS['sam2'](many, tmp_path/'B')
    assert [s['id'] for s in json.loads((tmp_path/'B/prompts.json').read_text())['segments'] if s['prompts']] == list(range(1, 301))


def test_arrays(result, many, tmp_path):
    "The array of numbers; more than 255 take 16 bits."
    for found, numbers, dtype in ((result, TRUTH, np.uint8), (many, [crowd(t) for t in range(31)], np.uint16)):
        FORMATS['npy'](found, tmp_path/found.folder.name)
        array = np.load(tmp_path/found.folder.name/'labels.npy', mmap_mode='r')
        assert array.dtype == dtype and np.array_equal(array, numbers)
    FORMATS['npy'](result, tmp_path/'SOME', only=[4])
    assert np.array_equal(np.load(tmp_path/'SOME/labels.npy'), [4*(f == 4) for f in TRUTH])


def test_zarr(result, many, tmp_path):
    zarr = pytest.importorskip('zarr')
    for found, numbers in ((result, TRUTH), (many, [crowd(t) for t in range(31)])):
        FORMATS['zarr'](found, tmp_path/found.folder.name)
        array = zarr.open_array(str(tmp_path/found.folder.name/'labels.zarr'), mode='r')
        assert array.chunks == (1, *found.size) and np.array_equal(array[:], numbers) and array.attrs['fps'] == FPS


def test_detections(result):
    pytest.importorskip('supervision')
    found = list(detections(result))
    assert len(found) == T and len(found[0]) == 1
    for t, d in enumerate(found):
        ids = [n for at, n in OBJECTS if at == t]
        assert (d.tracker_id.tolist() if len(d) else []) == ids
        for n, mask, (x0, y0, x1, y1) in zip(ids, d.mask if len(d) else (), d.xyxy):
            assert np.array_equal(mask, OBJECTS[t, n]) and mask[int(y0):int(y1), int(x0):int(x1)].sum() == mask.sum()


# Motion

def expected_flow(n, shape=(61, 95)): # that of `results.piece`
    i, j = np.meshgrid(*(np.linspace(-1, 1, s) for s in shape), indexing='ij')
    return np.stack([1 + n + .1*n*j, -2 + .1*n*i])


@pytest.mark.parametrize('ending, suffix, off', [('flo', 'flo', 1e-4), ('kitti', 'png', 1/64)])
def test_flow(result, tmp_path, ending, suffix, off):
    FORMATS['flow'](result, tmp_path/'A', ending=ending, each=True)
    for t in range(T):
        field = read_flow(tmp_path/f'A/parametric/{t:05d}.{suffix}').numpy()
        for n in np.unique(TRUTH[t]).tolist(): assert np.abs(field - expected_flow(n))[:, TRUTH[t] == n].max() < off
    one = {int(p.stem): read_flow(p).numpy() for p in (tmp_path/'A/segment_4').iterdir()}
    assert set(one) >= set(range(30, T)) and all(np.abs(f - expected_flow(4)).max() < off for f in one.values())


def test_residual(result, tmp_path):
    "What the models leave: with the parametric flow it gives the flow that was read, or estimated."
    for t in range(T): ltseg.export.write_flow(tmp_path/f'flow/{t:05d}.flo', ltseg.export.torch.full((2, 61, 95), float(t)))
    FORMATS['flow'](result, tmp_path/'A', source=tmp_path/'flow', residual=True)
    for t in range(T):
        parts = [read_flow(tmp_path/f'A/{name}/{t:05d}.flo') for name in ('parametric', 'residual')]
        assert float((sum(parts) - t).abs().max()) < 1e-4
    FORMATS['flow'](result, tmp_path/'B', residual=True) # of the video
    assert len(list((tmp_path/'B/residual').iterdir())) == T
    (tmp_path/'flow/00044.flo').unlink()
    with pytest.raises(InputError, match='44 flows, and there are 45'): FORMATS['flow'](result, tmp_path/'C', source=tmp_path/'flow', residual=True)
    assert not (tmp_path/'C').exists()


def test_table_of_motion(result, many, tmp_path):
    import pandas as pd
    FORMATS['csv'](result, tmp_path/'A')
    table = pd.read_csv(tmp_path/'A/motion.csv')
    assert {(r.frame, r.segment) for r in table.itertuples()} == {(t, n) for t in range(T) for n in np.unique(TRUTH[t]).tolist()}
    for r in table.itertuples():
        mask = TRUTH[r.frame] == r.segment
        y, x = (p.mean() for p in np.nonzero(mask))
        u, v = (c[int(round(y)), int(round(x))] for c in expected_flow(r.segment)) # near the centre
        assert r.area == mask.sum() and abs(r.time - r.frame/FPS) < 1e-4 and np.allclose([r.x, r.y], [x, y], atol=1e-3)
        assert abs(r.speed - np.hypot(u, v)*FPS) < .2 and abs(r.direction - np.degrees(np.arctan2(-v, u)) % 360) < 1
        divergence = .1*r.segment*(2/94 + 2/60)*FPS
        assert np.allclose([r.divergence, r.growth, r.rotation], [divergence, 50*divergence, 0], atol=1e-4)
    FORMATS['csv'](many, tmp_path/'B', only=[300, 1])
    assert set(pd.read_csv(tmp_path/'B/motion.csv').segment) == {1, 300}


# The page "Into your tool"

PAGE = Path(__file__).resolve().parent.parent/'nbs/tutorials/10_into_your_tool.ipynb'
TEXT = '\n'.join(''.join(c['source']) for c in json.loads(PAGE.read_text(encoding='utf8'))['cells'] if c['cell_type'] == 'markdown')


class Predictor:
    "Stands for SAM 2's video predictor: it takes what that takes, and refuses what that refuses."
    def __init__(self, size): self.size, self.asked = size, {}

    def add_new_points_or_box(self, inference_state, frame_idx, obj_id, points=None, labels=None, box=None):
        assert len(points) == len(labels) and len(box) == 4 and frame_idx >= 0
        for x, y in [*points, box[:2], np.subtract(box[2:], 1)]: assert 0 <= x < self.size[1] and 0 <= y < self.size[0]
        self.asked.setdefault(obj_id, []).append(frame_idx)

    def propagate_in_video(self, state): yield 0, list(self.asked), np.zeros((len(self.asked), 1, *self.size)) + .5


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    "A folder in which all lines of the page have run that call the program."
    folder = tmp_path_factory.mktemp('page')
    write_video(folder/'walk.mp4', demo_scene(9, (96, 160)).frames, fps=12)
    with contextlib.chdir(folder):
        for line in dict.fromkeys(re.findall(r'^ltseg .*', TEXT, re.MULTILINE)):
            if 'export onnx' in line and not find_spec('onnx') or line.startswith(('ltseg live', 'ltseg app')): continue # a camera is for test_live.py, a page for test_app_page.py
            assert main(shlex.split(line)[1:]) == 0, line
    return folder


def test_lines_of_the_page(exported):
    assert {json.loads(f.read_text())['format'] for f in exported.glob('*/export.json')} == FORMATS.keys() - {'nerfstudio', 'npy'}


@pytest.mark.parametrize('library', ['pycolmap', 'pycocotools', 'json', 'zarr', 'supervision', 'onnxruntime'])
def test_snippets_of_the_page(exported, library, monkeypatch):
    "What the page shows in Python runs, where the library is installed; napari's viewer and SAM 2's predictor have stand-ins."
    pytest.importorskip(library)
    snippet = next(s for s in re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL) if re.search(rf'import .*{library}|from {library}', s))
    labels = []
    monkeypatch.setitem(sys.modules, 'napari', SimpleNamespace(Viewer=lambda: SimpleNamespace(add_labels=labels.append)))
    names = dict(predictor=Predictor((96, 160)), state=None)
    with contextlib.chdir(exported), warnings.catch_warnings():
        warnings.simplefilter('ignore') # of the libraries
        exec(snippet, names)
    if library == 'zarr': assert labels[0].shape == (8, 96, 160)
    if library == 'json': assert names['masks'][0].keys() == names['predictor'].asked.keys() and names['masks'][0]
    if library == 'pycocotools': assert all(m.shape == (96, 160) for m in names['masks']) and names['masks']
    if library == 'onnxruntime': assert names['masks'].shape == (1, 3, 8, 128, 224)
    if library == 'supervision': assert names['picture'].shape == (96, 160, 3)


# The folder, and memory

@pytest.mark.parametrize('format', FORMATS)
def test_what_is_there_stays(result, tmp_path, format):
    "A folder that is taken, a result that is damaged, and a number that there is not: refused, and every file is as it was."
    write, copy = FORMATS[format], tmp_path/'R'
    shutil.copytree(result.folder, copy)
    found = read_result(copy)
    write(found, tmp_path/'A')
    (tmp_path/'OTHER').mkdir()
    (tmp_path/'OTHER/file').touch()
    before = snapshot(tmp_path)
    for out, overwrite, words in (('A', False, '--overwrite'), ('OTHER', True, 'something else'), ('OTHER/file', True, 'a file'), ('R', True, 'something else')):
        with pytest.raises(InputError, match=words): write(found, tmp_path/out, overwrite)
    if format != 'davis17':
        with pytest.raises(InputError, match='no segment 9'): write(found, tmp_path/'NEW/A', only=[9])
    (copy/'labels/00040.png').rename(copy/'gone.png')
    found = read_result(copy)
    with pytest.raises(InputError, match='00040.png'): write(found, tmp_path/'A', True)
    (copy/'gone.png').rename(copy/'labels/00040.png')
    after = snapshot(tmp_path)
    assert {k: v for k, v in after.items() if k != 'R'} == {k: v for k, v in before.items() if k != 'R'}
    write(read_result(copy), tmp_path/'A', True)


@pytest.mark.parametrize('format', FORMATS)
def test_progress(result, tmp_path, format, capsys):
    "A bar of the frames where it is asked for, such as by the program at a terminal; and nothing where not."
    FORMATS[format](result, tmp_path/'A')
    assert capsys.readouterr().err == ''
    FORMATS[format](read_result(result.folder, progress=True), tmp_path/'B')
    said = capsys.readouterr().err
    assert f'{T}/{T}' in said and 'frames' in said


@pytest.mark.parametrize('terminal', [True, False])
def test_program_shows_progress_at_a_terminal(result, tmp_path, terminal, capsys, monkeypatch):
    monkeypatch.setattr(type(sys.stderr), 'isatty', lambda _: terminal, raising=False)
    assert main(['export', 'csv', str(result.folder), '-o', str(tmp_path/'A')]) == 0
    assert (f'{T}/{T}' in capsys.readouterr().err) == terminal


def peak_of_export(format, folder, out):
    "Bytes that a process takes at most that exports a result."
    FORMATS[format](read_result(folder/'5'), out/'5') # what is loaded once
    Path('/proc/self/clear_refs').write_text('5')
    FORMATS[format](read_result(folder/'long'), out/'long')
    return told('VmHWM')


@pytest.fixture(scope='module')
def lengths(tmp_path_factory):
    "Results of 125 and 5,000 frames."
    folder = tmp_path_factory.mktemp('lengths')
    (folder/'cache').mkdir()
    for n in (125, 5_000):
        made(folder/f'{n}/long', n, again, pictures=False, cache=folder/'cache')
        made(folder/f'{n}/5', 5, again, pictures=False)
    yield folder
    shutil.rmtree(folder)


@needs_proc
@pytest.mark.parametrize('format', ['coco', 'cvat', 'sam2', 'npy', 'csv', 'colmap']) # those that gather something; the others are as these
def test_memory(lengths, tmp_path, format):
    "Forty times the frames take hardly more memory: less than 2 KB for each of them."
    short, long = (alone(peak_of_export, format, lengths/str(n), tmp_path/str(n)) for n in (125, 5_000))
    print(f'{format}: {short/2**20:.0f} MB and {long/2**20:.0f} MB')
    assert long - short < 2048*5_000, (short, long)
    shutil.rmtree(tmp_path)

"""Laws that hold for any input: what is written is read back; fits and links follow what is done to their input.

The examples are the same every time. `--hypothesis-profile=search` looks for new ones, 25 times as many (`conftest.py`).
"""
import re
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from ltseg.files import InputError, look_into
from ltseg.flow import read_flow, read_volume, resize_flow, write_flow, write_volume
from ltseg.link import Linker, label_of, similarity, match, read_memory, soft_iou, write_memory
from ltseg.motion import MotionModel
from ltseg.network import NetworkConfig
from ltseg.labels import read_labels, write_palette_png
from ltseg.segmenter import Recipe, Segmenter, save_weights
from ltseg.splits import COLUMNS, read_split, write_split
from ltseg.video import FrameTimes, open_frames, read_image, reduced_size, write_video

def few(share) -> settings:
    "Fewer examples than usual, of what takes longer."
    return settings(max_examples=max(1, settings.default.max_examples//share))

sizes = st.integers(1, 9)
pixels = st.floats(-1e8, 1e8, width=32)
kitti_pixels = st.floats(-512, 511.984375, width=32)


def flows(elements=pixels, volume=False):
    shape = st.tuples(st.just(2), *[sizes]*(3 if volume else 2))
    return shape.flatmap(lambda s: arrays(np.float32, s, elements=elements)).map(torch.from_numpy)


def folder():
    "A folder for one example."
    return tempfile.TemporaryDirectory()


# Files of flow

@pytest.mark.parametrize('ending', ['.flo', '.pfm', '.npy', '.npz'])
@given(flow=flows())
def test_flow_is_read_back_to_the_bit(ending, flow):
    with folder() as d:
        write_flow(Path(d)/f'a{ending}', flow)
        assert torch.equal(read_flow(Path(d)/f'a{ending}'), flow)


@given(flow=flows(kitti_pixels))
def test_kitti_is_read_back_to_a_128th(flow):
    with folder() as d:
        write_flow(Path(d)/'a.png', flow)
        assert (read_flow(Path(d)/'a.png').double() - flow).abs().max() <= 1/128


@given(flow=flows(st.one_of(st.floats(512, 1e8, width=32), st.floats(-1e8, -513, width=32))))
def test_kitti_refuses_what_it_cannot_hold(flow):
    with folder() as d:
        with pytest.raises(InputError): write_flow(Path(d)/'a.png', flow)
        assert not list(Path(d).iterdir())


@pytest.mark.parametrize('name', ['a.npy', 'a.npz', 'flo', 'npy'])
@given(flow=flows(volume=True))
def test_volumes_are_read_back_to_the_bit(name, flow):
    with folder() as d:
        write_volume(Path(d)/name, flow, ending=f'.{name}' if '.' not in name else '.flo')
        assert torch.equal(read_volume(Path(d)/name), flow)


@given(flow=flows(st.floats(-100, 100, width=32)), h=sizes, w=sizes, c=st.floats(-100, 100))
def test_resizing_is_linear_and_keeps_a_constant(flow, h, w, c):
    small = resize_flow(flow, (h, w), rescale=False)
    torch.testing.assert_close(resize_flow(flow + c, (h, w), rescale=False), small + c, rtol=1e-4, atol=1e-3)
    scale = torch.tensor([w/flow.shape[2], h/flow.shape[1]])[:, None, None]
    torch.testing.assert_close(resize_flow(flow, (h, w)), small*scale, rtol=1e-5, atol=1e-4)


# Pictures and videos

@given(labels=st.tuples(sizes, sizes).flatmap(lambda s: arrays(np.uint8, s)))
def test_label_pictures_are_read_back(labels):
    with folder() as d:
        write_palette_png(Path(d)/'a.png', labels)
        assert np.array_equal(read_labels(Path(d)/'a.png'), labels)
        assert Image.open(Path(d)/'a.png').mode == 'P'


@given(frame=st.tuples(sizes, sizes, st.just(3)).flatmap(lambda s: arrays(np.uint8, s)))
def test_frames_are_read_back(frame):
    with folder() as d:
        for ending in ('.png', '.bmp'):
            Image.fromarray(frame).save(Path(d)/f'a{ending}')
            assert np.array_equal(read_image(Path(d)/f'a{ending}'), frame)


@few(5)
@given(n=st.integers(1, 12), h=st.integers(1, 40), w=st.integers(1, 40), ending=st.sampled_from(['.mp4', '.mkv', '.mov']),
       fps=st.sampled_from([1, 24, 25, 30000/1001, 60]))
def test_videos_keep_their_frames_and_rate(n, h, w, ending, fps):
    with folder() as d:
        write_video(Path(d)/f'a{ending}', [np.full((h, w, 3), 20*t, np.uint8) for t in range(n)], fps)
        frames = open_frames(Path(d)/f'a{ending}')
        assert frames.size == (h + h % 2, w + w % 2)
        read = list(frames)
        assert len(read) == n and all(abs(f.mean() - 20*t) < 8 for t, f in enumerate(read))
        if n > 1: assert frames.fps == pytest.approx(fps, rel=.01)


@few(5)
@given(gaps=st.lists(st.integers(1, 5000), min_size=2, max_size=12), ending=st.sampled_from(['.mp4', '.mkv', '.mov']),
       aspect=st.sampled_from([1, 4/3, 16/15, .5]))
def test_videos_keep_frame_times_and_aspect(gaps, ending, aspect):
    times = np.cumsum([0, *gaps])/1000 # of the frames, and the end of the last
    with folder() as d:
        write_video(Path(d)/f'a{ending}', [np.full((16, 16, 3), 20*t, np.uint8) for t in range(len(gaps))], times=times.tolist(), aspect=aspect)
        frames = open_frames(Path(d)/f'a{ending}')
        assert len(list(frames)) == frames.packets == len(gaps)
        assert np.allclose([frames.time(t) for t in range(len(gaps))], times[:-1], atol=5e-4) and frames.aspect == pytest.approx(aspect, rel=1e-3)


@given(stamps=st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=20), step=st.floats(.001, 10))
def test_frame_times_begin_at_zero_and_increase(stamps, step):
    times = FrameTimes(step)
    seconds = [times(stamp) for stamp in stamps]
    assert seconds[0] == 0 and all(b > a for a, b in zip(seconds, seconds[1:]))


@given(ways=st.lists(st.sampled_from(['{}', '{}_mask', 'frame_{}', 'frame_{}_x', 'mask{}', '{}b', '{}-{}']), min_size=2, max_size=3, unique=True),
       numbers=st.lists(st.integers(0, 2000), min_size=2, max_size=6, unique=True))
def test_a_way_out_that_is_named_leads_out(ways, numbers):
    with folder() as d:
        d = Path(d)
        for way in ways:
            for n in numbers: (d/f'{way.format(n, n)}.jpg').touch()
        with pytest.raises(InputError, match='only one of these can be meant') as error: look_into(d)
        patterns = re.findall("'(.*?)'", str(error.value))
        assert patterns or 'folders of their own' in str(error.value)
        found = [{p.name for p in look_into(pattern).of('pictures', 'frames')} for pattern in patterns]
        for names in found: assert names in [{f'{way.format(n, n)}.jpg' for n in numbers} for way in ways]
        assert len({frozenset(names) for names in found}) == len(found)


@given(size=st.tuples(st.integers(1, 10**5), st.integers(1, 10**5)), most=st.integers(1, 10**7))
def test_reduced_size(size, most):
    (H, W), (h, w) = size, reduced_size(size, most)
    assert 1 <= h <= H and 1 <= w <= W and h*w <= max(most, 1)
    if H*W <= most: assert (h, w) == size
    elif min(h, w) > 20: assert h*w > .85*most and h/w == pytest.approx(H/W, rel=.1)


# Tables

letters = st.characters(exclude_categories=['Cs', 'Cc'], exclude_characters='/')
names = st.text(letters, min_size=1, max_size=12).filter(lambda n: n not in ('.', '..') and len(n.encode()) < 200)
tables = st.dictionaries(names, st.sets(st.integers(0, 10**9 - 1), min_size=1, max_size=4), min_size=1, max_size=4)


@given(content=tables, file=names)
def test_tables_are_read_back(content, file):
    rows = [(f'{name}/{file}{n}.png', name, n) for name, places in content.items() for n in sorted(places)]
    table = pd.DataFrame(rows, columns=['Image', 'Sequence', 'Sequence_Index'])
    with folder() as d:
        write_split(table.reindex(columns=COLUMNS).astype(object).where(lambda t: t.notna(), ''), 'x', 'train', d)
        split = read_split('x', d, columns=())
    key = lambda t: sorted(zip(t.Sequence, t.Sequence_Index.astype(int), t.Image))
    assert key(split.table) == key(table)
    for rows in split.sequences.values(): assert (np.diff(split.table.Sequence_Index.to_numpy()[rows]) > 0).all()


# Weights

@few(5)
@given(channels=st.tuples(*[st.sampled_from([8, 16])]*4), layers=st.integers(1, 2), queries=st.integers(1, 5),
       lr=st.floats(1e-6, 1, exclude_min=True), regularisation=st.dictionaries(st.just('EulerPottsl1R3'), st.floats(0, 10)))
def test_weights_are_read_back_to_the_bit(channels, layers, queries, lr, regularisation):
    config = NetworkConfig(channels=channels, layers=layers, width=16, n_queries=queries)
    segmenter = Segmenter(asdict(config), asdict(Recipe(lr=lr, regularisation=regularisation)))
    with folder() as d:
        save_weights(segmenter, Path(d)/'a.safetensors')
        back = Segmenter.from_pretrained(Path(d)/'a.safetensors')
    assert back.config == segmenter.config and back.recipe == segmenter.recipe
    state = back.network.state_dict()
    for name, tensor in segmenter.network.state_dict().items(): assert torch.equal(state[name], tensor), name


# Fits: float64, so that rounding does not blur the law

T, H, W = 5, 12, 14
MODELS = ['Constant', 'Affine', 'AffinePT', 'QuadraticPlanar', 'QuadraticPlanarPT', 'QuadraticFull', 'QuadraticFullPT',
          'Affine_fk2', 'QuadraticFull_fk3']
seeds = st.integers(0, 2**31)


def scene(seed, K):
    "Flow (2,T,H,W) and masks (K,T,H,W), smooth enough to be no mere noise."
    g = torch.Generator().manual_seed(seed)
    flow = torch.randn(2, T, H, W, generator=g, dtype=torch.float64)
    logits = 3*torch.randn(K, T, 3, 3, generator=g, dtype=torch.float64)
    masks = torch.nn.functional.interpolate(logits, (H, W), mode='bilinear').softmax(0)
    return flow, masks, g


@pytest.mark.parametrize('name', MODELS)
@few(6)
@given(seed=seeds, K=st.integers(1, 3))
def test_adding_a_parametric_flow_adds_its_theta(name, seed, K):
    model, (flow, masks, g) = MotionModel(name), scene(seed, K)
    theta = model.fit(flow, masks, robust=False)
    more = torch.randn(1, *theta.shape[1:], generator=g, dtype=torch.float64)
    moved = model.fit(flow + model.flow(more, (T, H, W))[0], masks, robust=False)
    flows = [model.flow(t, (T, H, W)) for t in (moved, theta + more)]
    torch.testing.assert_close(*flows, rtol=1e-4, atol=1e-4)
    if 'Planar' not in name: # whose columns overlap
        torch.testing.assert_close(moved, theta + more, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('robust', [False, True])
@pytest.mark.parametrize('name', ['Affine', 'QuadraticFull_fk3'])
@few(5)
@given(seed=seeds, order=st.permutations(range(3)))
def test_permuting_masks_permutes_theta(name, robust, seed, order):
    model, (flow, masks, _) = MotionModel(name), scene(seed, 3)
    theta = model.fit(flow, masks, robust)
    torch.testing.assert_close(model.fit(flow, masks[list(order)], robust), theta[list(order)], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('name', ['Constant', 'Affine', 'QuadraticFull_fk3'])
@few(6)
@given(seed=seeds, scale=st.floats(.1, 50))
def test_a_parametric_flow_is_its_own_fit_and_scales(name, seed, scale):
    model, (flow, masks, g) = MotionModel(name), scene(seed, 2)
    theta = torch.randn(1, *model.fit(flow, masks).shape[1:], generator=g, dtype=torch.float64)
    exact = model.flow(theta, (T, H, W))[0]
    for robust in (False, True):
        found = model.fit(exact*scale, masks, robust)
        torch.testing.assert_close(model.flow(found, (T, H, W)), (exact*scale)[None].expand(2, -1, -1, -1, -1), rtol=1e-3, atol=1e-3*scale)


# Links

AREA = (3, 16, 16)


def segments(seed, K=4):
    "Masks (K,3,16,16), flow, of a window in which every segment is somewhere the most likely."
    g = torch.Generator().manual_seed(seed)
    rows = torch.arange(16).mul(K).div(16, rounding_mode='floor')
    masks = torch.nn.functional.one_hot(rows, K).T[:, None, :, None].expand(K, *AREA).float()
    masks = (4*masks + torch.rand(K, *AREA, generator=g)).softmax(0)
    return masks, torch.randn(2, *AREA, generator=g)


@given(alike=arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(0, 1), unique=True),
       data=st.data())
def test_permuting_slots_permutes_the_assignment(alike, data):
    rows, cols = (list(data.draw(st.permutations(range(n)))) for n in alike.shape)
    found = match(alike)
    moved = {cols[b]: rows[a] for b, a in match(alike[np.ix_(rows, cols)]).items()}
    total = lambda pairs: sum(alike[a, b] for b, a in pairs.items())
    assert moved == found or total(moved) == pytest.approx(total(found)) # two optima
    assert len(set(found.values())) == len(found)


@few(4)
@given(seed=seeds, order=st.permutations(range(4)))
def test_identical_masks_are_themselves(seed, order):
    masks, flow = segments(seed)
    model = MotionModel('Affine')
    assert match(similarity(masks, masks, flow, model)) == {k: k for k in range(4)}
    order = list(order)
    assert match(similarity(masks, masks[order], flow, model)) == dict(enumerate(order))
    torch.testing.assert_close(soft_iou(masks, masks[order]), soft_iou(masks, masks)[:, order])


@few(4)
@given(seed=seeds, order=st.permutations(range(1, 4)), overlap=st.integers(1, 2))
def test_a_segment_keeps_its_number_whatever_its_slot(seed, order, overlap):
    masks, flow = segments(seed)
    masks = masks[:, :1].repeat(1, 3, 1, 1) # at rest
    linker = Linker(overlap, MotionModel('Affine'))
    _, first = linker(masks, flow, 0)
    with folder() as d: # what the linker knows is read back, too
        write_memory(Path(d)/'m.safetensors', linker.memory)
        memory = read_memory(Path(d)/'m.safetensors')
    assert memory.numbers == linker.memory.numbers and torch.equal(memory.tail, linker.memory.tail)
    again, numbers = Linker(overlap, linker.model, memory=memory)(masks[[0, *order]], flow, 3 - overlap)
    assert list(first) == list(numbers) == [0, 1, 2, 3]
    torch.testing.assert_close(again, masks)


@given(number=st.integers(0, 10**6))
def test_labels_fit_into_a_byte(number):
    assert 0 <= label_of(number) <= 255 and (label_of(number) == 0) == (number == 0)

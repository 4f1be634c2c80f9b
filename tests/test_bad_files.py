"Hostile input to `ltseg.flow` and `ltseg.video`: every case is an `InputError` that names the file."
import pickle, struct, tracemalloc, warnings, zipfile, zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltseg.files import InputError
from ltseg.flow import flow_to_rgb, read_flow, read_volume, write_flow, write_volume
from ltseg.video import RAFT, estimate_flow, open_frames, write_video

FLOW = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(0))


def refused(call, path, *words):
    'The message of the `InputError` that `call` raises: it names `path`, holds `words`, and says more than what is wrong.'
    with pytest.raises(InputError) as error: call(path)
    message = str(error.value)
    for word in (Path(path).name, *words): assert word in message, message
    assert len(message) > len(str(path)) + 20 and 'Traceback' not in message
    return message


def estimate(frames):
    'A flow of zeros.'
    return estimate_flow(frames, lambda a, b: torch.zeros(2, *a.shape[:2]), progress=False)


def noise(n): return list(np.random.default_rng(0).integers(0, 255, (n, 48, 64, 3), dtype=np.uint8)) # fills its packets


def read_with_notes(path):
    'The number of frames, and what is warned of; that is what the source keeps.'
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        frames = open_frames(path)
        n = sum(1 for _ in frames)
    assert [str(w.message) for w in caught] == frames.notes
    return n, frames.notes


def smooth_clip(n, h=48, w=64):
    y, x = np.mgrid[:h, :w]
    return [np.stack([(x*3 + 5*t) % 256, y*4, x + y], axis=-1).astype(np.uint8) for t in range(n)]


@pytest.fixture
def flo(tmp_path):
    write_flow(tmp_path/'a.flo', FLOW)
    return tmp_path/'a.flo'


# .flo

@pytest.mark.parametrize('change, word', [
    (lambda b: b[:-1], '1,548 bytes'), (lambda b: b + b'\0', '1,548 bytes'),
    (lambda b: b[:12], '12 bytes'), (lambda b: b[:7], '7 bytes'),
    (lambda b: b'', '0 bytes'), (lambda b: b'FLOW' + b[4:], 'PIEH'),
    (lambda b: b[:4] + struct.pack('<ii', -16, 12) + b[12:], '-16×12'),
    (lambda b: b[:4] + struct.pack('<ii', 0, 0), '0×0'),
    (lambda b: b[:4] + struct.pack('>ii', 16, 12) + b[12:], 'bytes for'), # the other byte order
])
def test_flo(flo, change, word):
    flo.write_bytes(change(flo.read_bytes()))
    refused(read_flow, flo, word)


@pytest.mark.parametrize('suffix', ['.flo', '.png', '.npy', '.npz'])
def test_a_header_alone_allocates_nothing(tmp_path, suffix):
    path = tmp_path/f'huge{suffix}'
    if suffix == '.flo': path.write_bytes(b'PIEH' + struct.pack('<ii', 32768, 32768))
    if suffix == '.png':
        def chunk(kind, data):
            size, check = len(data), zlib.crc32(kind + data)
            return struct.pack('>I', size) + kind + data + struct.pack('>I', check)
        header = struct.pack('>IIBBBBB', 32768, 32768, 16, 2, 0, 0, 0)
        path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
                         + chunk(b'IDAT', zlib.compress(b'\0'*100)) + chunk(b'IEND', b''))
    if suffix in ('.npy', '.npz'):
        with open(tmp_path/'huge.npy', 'wb') as f:
            header = {'descr': '<f4', 'fortran_order': False, 'shape': (2, 32768, 32768)}
            np.lib.format.write_array_header_1_0(f, header)
    if suffix == '.npz':
        with zipfile.ZipFile(path, 'w') as z: z.write(tmp_path/'huge.npy', 'flow.npy')
    tracemalloc.start()
    refused(read_flow, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


@pytest.mark.parametrize('suffix', ['.flo', '.npy', '.npz'])
@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf'), 1.7e9])
def test_bad_pixels(tmp_path, suffix, value):
    path, bad = tmp_path/f'bad{suffix}', FLOW.clone()
    bad[1, 3, 5] = bad[0, 7, 2] = value
    if suffix == '.flo':
        path.write_bytes(b'PIEH' + struct.pack('<ii', 16, 12) + bad.permute(1, 2, 0).numpy().tobytes())
    if suffix == '.npy': np.save(path, bad.numpy())
    if suffix == '.npz': np.savez(path, bad.numpy())
    refused(read_flow, path, '2 pixels', '(3, 5)')
    refused(read_volume, path, '2 pixels')
    zeroed = read_flow(path, bad_flow='zero')
    assert (zeroed[:, [3, 7], [5, 2]] == 0).all()
    assert int((zeroed != FLOW).any(0).sum()) == 2
    with pytest.raises(InputError, match='one of error, zero'): read_flow(path, bad_flow='nan')
    with pytest.raises(InputError): write_flow(tmp_path/'out.flo', bad)
    assert not (tmp_path/'out.flo').exists()
    white = flow_to_rgb(bad) # drawn as rest, and every other pixel is as it was
    assert (white[3, 5] == 255).all() and bad[1, 3, 5] != 0


# NumPy files

def test_pickles_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self): return (Path.touch, (tmp_path/'loaded',))
    np.save(tmp_path/'object.npy', np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path/'object.npz', flow=np.array([Trap()], dtype=object))
    (tmp_path/'pickle.npy').write_bytes(pickle.dumps(Trap()))
    for name in ('object.npy', 'object.npz', 'pickle.npy'): refused(read_flow, tmp_path/name)
    assert not (tmp_path/'loaded').exists()


@pytest.mark.parametrize('array, word', [
    (np.zeros((2, 12, 16), np.int16), 'floating-point'),
    (np.zeros((2, 12, 16), np.uint8), 'floating-point'), (np.zeros((2, 12, 16, 3), np.uint8), '2 pictures'),
    (np.zeros((3, 12, 16), np.float32), '(3, 12, 16)'), (np.zeros((12, 16), np.float32), '(12, 16)'),
    (np.zeros((2, 0, 16), np.float32), '(2, 0, 16)'), (np.float32(1), '()'),
    (np.zeros(3, 'c16'), 'complex'),
    (np.zeros((2, 4, 5), np.float64) + 1e300, '20 pixels'),
])
def test_arrays_that_are_no_flow(tmp_path, array, word):
    np.save(tmp_path/'a.npy', array)
    refused(read_flow, tmp_path/'a.npy', word)
    np.savez(tmp_path/'a.npz', array)
    refused(read_flow, tmp_path/'a.npz', word)


@pytest.mark.parametrize('cut', [5, 20, 200])
@pytest.mark.parametrize('suffix', ['.npy', '.npz', '.png'])
def test_truncated(tmp_path, suffix, cut):
    path = tmp_path/f'a{suffix}'
    write_flow(path, FLOW)
    data = path.read_bytes()
    for bad in (data[:-cut], data[:cut], data[:cut] + data[cut+1:]):
        path.write_bytes(bad)
        refused(read_flow, path)


def test_npz_of_many_arrays(tmp_path):
    path = tmp_path/'a.npz'
    np.savez(path, flow=FLOW.numpy(), other=np.zeros(3))
    assert torch.equal(read_flow(path), FLOW) # the one named flow
    np.savez(path, forward=FLOW.numpy(), backward=FLOW.numpy())
    refused(read_flow, path, 'forward.npy', 'backward.npy')


def test_png_that_is_a_picture(tmp_path):
    Image.fromarray(smooth_clip(1)[0]).save(tmp_path/'frame.png')
    refused(read_flow, tmp_path/'frame.png', '16-bit', '8 bits')
    (tmp_path/'text.png').write_text('no picture')
    refused(read_flow, tmp_path/'text.png', 'no PNG')


# Volumes

def test_folders_of_flow(tmp_path):
    refused(read_volume, tmp_path, 'none')
    refused(read_volume, tmp_path/'absent', 'nothing of that name')
    write_flow(tmp_path/'0.flo', FLOW)
    write_flow(tmp_path/'1.flo', FLOW[:, :8])
    refused(read_volume, tmp_path, '1.flo', '16×12', '16×8')
    write_flow(tmp_path/'1.npy', FLOW)
    refused(read_volume, tmp_path, '2 flow files (0.flo, 1.flo)', '1 flow file (1.npy)', '*.flo')


def test_write_volume_is_whole_or_absent(tmp_path):
    volume = FLOW[:, None].repeat(1, 3, 1, 1)
    volume[0, 2] = 1000 # more than KITTI's format holds, in the last frame
    with pytest.raises(InputError): write_volume(tmp_path/'out', volume, ending='.png')
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError): write_volume(tmp_path/'out', volume, names=['a', 'a', 'b'])
    (tmp_path/'photos').mkdir()
    (tmp_path/'photos'/'me.jpg').touch()
    refused(lambda p: write_volume(p, volume), tmp_path/'photos', 'empty folder')


# Frames

def test_folders_of_frames(tmp_path):
    refused(open_frames, tmp_path, 'none')
    (tmp_path/'0.jpg').write_bytes(b'no jpg')
    refused(open_frames, tmp_path, '0.jpg', 'complete picture')
    frames = smooth_clip(3)
    for t, f in enumerate(frames): Image.fromarray(f).save(tmp_path/f'{t}.jpg')
    Image.fromarray(frames[0][:40]).save(tmp_path/'3.jpg')
    refused(lambda p: list(open_frames(p)), tmp_path, '3.jpg', '64×40', '64×48')
    whole = (tmp_path/'2.jpg').read_bytes()
    for bad in (whole[:-60], whole[:100], b''):
        (tmp_path/'3.jpg').write_bytes(bad)
        refused(lambda p: estimate(open_frames(p)), tmp_path, '3.jpg')
    (tmp_path/'3.jpg').unlink()
    Image.fromarray(frames[0]).save(tmp_path/'2.png')
    refused(open_frames, tmp_path, '3 pictures (0.jpg', '1 picture (2.png)', '*.jpg')
    refused(open_frames, tmp_path/'*', 'names that differ in the ending only')


def test_sixteen_bit_pictures(tmp_path):
    Image.fromarray(np.full((48, 64), 1000, np.uint16)).save(tmp_path/'0.png')
    refused(open_frames, tmp_path, '8 bits')


def test_one_frame(tmp_path):
    Image.fromarray(smooth_clip(1)[0]).save(tmp_path/'0.png')
    refused(lambda p: estimate(open_frames(p)), tmp_path, '2 frames or more')
    write_video(tmp_path/'one.mp4', smooth_clip(1))
    refused(lambda p: estimate(open_frames(p)), tmp_path/'one.mp4', '2 frames or more')


@pytest.mark.parametrize('keep', [.3, .6, .85])
@pytest.mark.parametrize('suffix', ['.mp4', '.mkv', '.mov'])
def test_truncated_video(tmp_path, suffix, keep):
    path = tmp_path/f'clip{suffix}'
    write_video(path, noise(60))
    assert sum(1 for _ in open_frames(path)) == 60
    data = path.read_bytes()
    path.write_bytes(data[:int(keep * len(data))])
    n, notes = read_with_notes(path)
    assert abs(n - keep * 60) < 6
    assert '60 frames (2.40 s) are announced' in notes[0] and 'truncated' in notes[0]


@pytest.mark.parametrize('suffix, keep', [('.mp4', .02), ('.mkv', .05)])
def test_hardly_anything_is_left(tmp_path, suffix, keep):
    path = tmp_path/f'clip{suffix}'
    write_video(path, noise(60))
    data = path.read_bytes()
    path.write_bytes(data[:int(keep * len(data))])
    refused(open_frames, path)


@pytest.mark.parametrize('suffix', ['.mp4', '.mkv'])
def test_damaged_video(tmp_path, suffix):
    path = tmp_path/f'clip{suffix}'
    write_video(path, noise(60))
    data = path.read_bytes()
    half = len(data)//2
    path.write_bytes(data[:half] + bytes(len(data)//10) + data[half + len(data)//10:])
    n, notes = read_with_notes(path)
    assert 25 < n < 60 and notes


def test_reading_twice_says_it_once(tmp_path):
    path = tmp_path/'clip.mkv'
    write_video(path, noise(60))
    path.write_bytes(path.read_bytes()[:60_000])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        frames = open_frames(path)
        assert len(list(frames)) == len(list(frames))
    assert [str(w.message) for w in caught] == frames.notes and len(set(frames.notes)) == len(frames.notes)


@pytest.mark.parametrize('name, data', [
    ('text.mp4', b'This is no video.\n'*50), ('empty.mp4', b''), ('text.txt', b'Neither is this.\n'*50),
    ('zeros.mkv', bytes(5000)), ('array.npy', b'\x93NUMPY\x01\0v\0' + bytes(200)),
])
def test_no_video(tmp_path, name, data):
    (tmp_path/name).write_bytes(data)
    refused(open_frames, tmp_path/name, 'video')


def test_names_are_no_addresses(tmp_path):
    for name in ('concat:a.mp4|b.mp4', 'pipe:0'): refused(open_frames, name, 'nothing of that name')
    refused(open_frames, 'http://127.0.0.1:9/a.mp4', 'download')


def test_raft_weights_that_are_none(tmp_path, monkeypatch):
    from types import SimpleNamespace
    model = SimpleNamespace(raft_large=lambda weights: torch.nn.Linear(2, 2))
    monkeypatch.setattr('importlib.import_module', lambda name: model)
    (tmp_path/'text.pth').write_text('no weights')
    torch.save({'other': torch.zeros(2)}, tmp_path/'other.pth')
    torch.save(Path('.'), tmp_path/'object.pth') # an object, which weights_only refuses
    for name in ('text.pth', 'other.pth', 'object.pth', 'absent.pth'): refused(RAFT, tmp_path/name)

"""The table of hostile input: what is done, and what it gets. `test_hostile.py` runs every row; the page
`nbs/98_hostile.ipynb` runs and shows them.

A row is a function of an empty folder. It makes the input and uses it; it ends in the `InputError` whose words
the row states (then the page shows the message), or checks what came out and returns it in words.
"""
import fcntl
import io
import json
import os
import pickle
import struct
import tempfile
import zipfile
import zlib
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Callable

import av
import numpy as np
import torch
from PIL import ExifTags, Image

from ltseg.cli import main
from ltseg.files import InputError
from ltseg.flow import is_flow, read_flow, read_volume, write_flow
from ltseg.inference import stream
from ltseg.segmenter import Segmenter, save_weights
from ltseg.splits import read_split
from ltseg.video import MOST_PIXELS, RAFT, estimate_flow, open_frames, read_image, write_video

ROWS = []


@dataclass(frozen=True)
class Row:
    section: str
    what: str # what is tried
    run: Callable # (empty folder) -> words; or an `InputError`
    refused: tuple|None # words of the error; None: it must work

    def outcome(self, folder: Path) -> str:
        "What it gets, as the page shows it; an AssertionError if that is not what the row states."
        try: words = self.run(folder)
        except InputError as e:
            message = str(e)
            assert self.refused is not None, message
            for word in self.refused: assert word in message, message
            return 'refused: ' + message.replace(f'{folder}/', '').replace(str(folder), 'DIR')
        assert self.refused is None, f'not refused: {words}'
        return words


def row(section, what, *refused, works=False):
    "Adds the function below to the table."
    def add(run):
        ROWS.append(Row(section, what, run, None if works else refused))
        return run
    return add


# Made by hand

FLOW = torch.randn(2, 24, 32, generator=torch.Generator().manual_seed(0))


def clip(n=4, h=48, w=64):
    y, x = np.mgrid[:h, :w]
    return [np.stack([(x*3 + 5*t) % 256, y*4 % 256, (x + y) % 256], axis=-1).astype(np.uint8) for t in range(n)]


def put_pictures(folder, pictures, ending='.png', **options):
    folder.mkdir(exist_ok=True)
    for t, p in enumerate(pictures):
        picture = p if isinstance(p, Image.Image) else Image.fromarray(p)
        picture.save(folder/f'{t}{ending}', **options)
    return folder


def put_video(path, frames, codec='ffv1', pix_fmt='gray', times=None, form='rgb24', rate=25):
    "A video in any pixel format, lossless by default; `times` in ms."
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if times: stream.codec_context.time_base = Fraction(1, 1000)
        for n, frame in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(frame, format=form)
            if times: frame.pts, frame.time_base = times[n], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def changed(path, change):
    path.write_bytes(change(path.read_bytes()))
    return path


def png(w, h, bits, colour, rows):
    def chunk(kind, data): return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    header = chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, bits, colour, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


def flo(folder, change=lambda b: b, name='a.flo'):
    write_flow(folder/name, FLOW)
    return changed(folder/name, change)


def still(frames): return estimate_flow(frames, lambda a, b: torch.zeros(2, *a.shape[:2]), progress=False)


class Trap:
    "What runs code when it is unpickled: it makes a file."
    def __init__(self, file): self.file = file
    def __reduce__(self): return Path.touch, (self.file,)


@contextmanager
def sprung(folder):
    "No code ran within."
    try: yield Trap(folder/'ran')
    finally: assert not (folder/'ran').exists(), 'code in the file was run'


def size_of(frames): return '{1}×{0}'.format(*frames.size)


# Flow files

@row('Flow', 'a `.flo` cut short', 'bytes for 32×24 pixels')
def _(d): read_flow(flo(d, lambda b: b[:-1]))

@row('Flow', 'a `.flo` with bytes too many', 'bytes for 32×24 pixels')
def _(d): read_flow(flo(d, lambda b: b + bytes(8)))

@row('Flow', 'a `.flo` that starts like something else', 'PIEH')
def _(d): read_flow(flo(d, lambda b: b'RIFF' + b[4:]))

@row('Flow', 'twelve bytes of `.flo` that claim 32768×32768', '12 bytes')
def _(d): read_flow(flo(d, lambda b: b'PIEH' + struct.pack('<ii', 32768, 32768)))

for ending in ('.flo', '.png', '.npy', '.npz'):
    @row('Flow', f'a `{ending}` of zero bytes', f'a{ending}')
    def _(d, ending=ending):
        (d/f'a{ending}').touch()
        read_flow(d/f'a{ending}')

@row('Flow', 'NaN or infinity', '2 pixels', '(3, 5)')
def _(d):
    bad = FLOW.clone()
    bad[1, 3, 5], bad[0, 7, 2] = float('nan'), float('inf')
    np.save(d/'a.npy', bad.numpy())
    read_flow(d/'a.npy')

@row('Flow', 'the same with `--bad-flow zero`', works=True)
def _(d):
    bad = FLOW.clone()
    bad[1, 3, 5], bad[0, 7, 2] = float('nan'), float('inf')
    np.save(d/'a.npy', bad.numpy())
    flow = read_flow(d/'a.npy', bad_flow='zero')
    assert (flow[:, [3, 7], [5, 2]] == 0).all() and int((flow != FLOW).any(0).sum()) == 2
    return 'read; those pixels are at rest'

def packed(path, size, how=zipfile.ZIP_DEFLATED):
    "A zip with an array of `size` zeros, written in pieces."
    with zipfile.ZipFile(path, 'w', how) as z, z.open('flow.npy', 'w', force_zip64=True) as f:
        np.lib.format.write_array_header_1_0(f, dict(descr='<f4', fortran_order=False, shape=(2, size//8, 1)))
        for _ in range(size // 2**20): f.write(bytes(2**20))
    return path

def claims(path, size, packed_size=None): # patches the sizes in the two headers of a zip of one file
    def change(data):
        out = bytearray(data)
        for at in (out.find(b'PK\3\4') + 22, out.find(b'PK\1\2') + 24): out[at:at+4] = struct.pack('<I', size)
        return bytes(out)
    return changed(path, change)

@row('Flow', 'an `.npz` bomb: bzip2, 16 MB in 57 bytes', 'stored or deflated')
def _(d): read_flow(packed(d/'a.npz', 2**24, zipfile.ZIP_BZIP2))

@row('Flow', 'an `.npz` bomb that states 5 GB of zeros', 'unpacked at most')
def _(d):
    path = packed(d/'a.npz', 2**20)
    extra = struct.pack('<HHQQ', 1, 16, 5*2**30, 5*2**20) # zip64 sizes in the central directory
    data = bytearray(path.read_bytes())
    at = data.find(b'PK\1\2')
    name, more, note = struct.unpack('<HHH', data[at+28:at+34])
    data[at+20:at+28] = b'\xff'*8
    data[at+30:at+32] = struct.pack('<H', len(extra))
    data[at+46+name:at+46+name+more] = extra
    end = data.find(b'PK\5\6')
    data[end+12:end+16] = struct.pack('<I', end - at)
    path.write_bytes(data)
    read_flow(path)

@row('Flow', 'an `.npz` of 1 kB that states 3 GB, which deflate cannot pack so tight', 'unpacked ones')
def _(d): read_flow(claims(packed(d/'a.npz', 2**20), 3*2**30))

@row('Flow', 'an `.npz` with a password', 'password')
def _(d):
    def lock(data):
        out = bytearray(data)
        for at in (out.find(b'PK\3\4') + 6, out.find(b'PK\1\2') + 8): out[at] |= 1
        return bytes(out)
    read_flow(changed(packed(d/'a.npz', 2**20), lock))

@row('Flow', 'a pickled `.npy`, with code inside', 'floating-point')
def _(d):
    with sprung(d) as trap:
        np.save(d/'a.npy', np.array([trap], dtype=object), allow_pickle=True)
        read_flow(d/'a.npy')

@row('Flow', 'a pickled array in an `.npz`', 'floating-point')
def _(d):
    with sprung(d) as trap:
        np.savez(d/'a.npz', flow=np.array([trap], dtype=object))
        read_flow(d/'a.npz')

@row('Flow', 'a bare pickle called `.npy`', 'NumPy file')
def _(d):
    with sprung(d) as trap:
        (d/'a.npy').write_bytes(pickle.dumps(trap, protocol=2))
        read_flow(d/'a.npy')

@row('Flow', 'an `.npy` whose header is no Python', 'header')
def _(d):
    write_flow(d/'a.npy', FLOW)
    read_flow(changed(d/'a.npy', lambda b: b.replace(b"'shape': (", b"'shape': [(")))

@row('Flow', 'an `.npy` whose header has a key of bytes', 'header')
def _(d):
    write_flow(d/'a.npy', FLOW)
    read_flow(changed(d/'a.npy', lambda b: b.replace(b", 'shape'", b",b'shape'")))

@row('Flow', 'an `.npy` of integers', 'floating-point', 'scale it first')
def _(d):
    np.save(d/'a.npy', np.zeros((2, 8, 8), np.int16))
    read_flow(d/'a.npy')

@row('Flow', 'a KITTI PNG of 200 bytes that claims 32768×32768', '134,217,728 pixels')
def _(d):
    (d/'a.png').write_bytes(png(32768, 32768, 16, 2, bytes(100)))
    read_flow(d/'a.png')

@row('Flow', 'a KITTI PNG with a byte changed', 'truncated or damaged')
def _(d):
    write_flow(d/'a.png', FLOW)
    read_flow(changed(d/'a.png', lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:]))

@row('Flow', 'a photograph of 16 bits taken for a KITTI PNG', '16 bits', 'blue')
def _(d):
    grain = np.random.default_rng(0).integers(0, 2**16, (8, 8, 3)).astype('>u2')
    (d/'a.png').write_bytes(png(8, 8, 16, 2, b''.join(b'\0' + line.tobytes() for line in grain)))
    assert is_flow(d/'a.png')
    read_flow(d/'a.png')

@row('Flow', 'a folder with flow of two sizes', '1.flo', '32×24', '32×20')
def _(d):
    write_flow(d/'0.flo', FLOW)
    write_flow(d/'1.flo', FLOW[:, :20])
    read_volume(d)

@row('Flow', 'a link in a folder of flow that leads nowhere', '1.flo', 'nothing of that name')
def _(d):
    write_flow(d/'0.flo', FLOW)
    (d/'1.flo').symlink_to(d/'gone.flo')
    read_volume(d)


# Frames

@row('Frames', 'an empty folder', 'frames')
def _(d): open_frames(d)

@row('Frames', 'a single frame', '2 frames or more')
def _(d): still(open_frames(put_pictures(d/'f', clip(1))))

@row('Frames', 'frames of two sizes', '2.png', '64×48', '64×40')
def _(d): still(open_frames(put_pictures(d/'f', clip(2) + clip(1, 40))))

@row('Frames', 'a picture of zero bytes among others', '1.png', 'complete picture')
def _(d):
    put_pictures(d/'f', clip())
    (d/'f'/'1.png').write_bytes(b'')
    still(open_frames(d/'f'))

@row('Frames', 'a JPEG cut short', '3.jpg', 'complete picture')
def _(d):
    put_pictures(d/'f', clip(), '.jpg')
    changed(d/'f'/'3.jpg', lambda b: b[:-60])
    still(open_frames(d/'f'))

@row('Frames', 'two frames of one name (`1.jpg`, `1.png`)', 'ending')
def _(d):
    put_pictures(d/'f', clip(), '.jpg')
    put_pictures(d/'f', clip(), '.png')
    open_frames(d/'f')

@row('Frames', 'grey frames', works=True)
def _(d):
    frames = list(open_frames(put_pictures(d/'f', [f[..., 0] for f in clip()])))
    assert all((f == g[..., :1]).all() for f, g in zip(frames, clip()))
    return 'read as grey RGB'

@row('Frames', 'frames with an alpha channel', works=True)
def _(d):
    alpha = [np.dstack([f, f[..., 0]]) for f in clip()]
    assert np.array_equal(list(open_frames(put_pictures(d/'f', alpha))), clip())
    return 'read; alpha is left out'

@row('Frames', 'a palette with a transparent colour', works=True)
def _(d):
    pictures = [Image.fromarray(f).quantize(16) for f in clip()]
    put_pictures(d/'f', pictures, transparency=bytes(range(16)))
    assert np.array_equal(list(open_frames(d/'f')), [np.array(p.convert('RGB')) for p in pictures])
    return 'read; transparency is left out'

@row('Frames', 'a grey PNG of 16 bits', '8 bits a channel')
def _(d): open_frames(put_pictures(d/'f', [f[..., 0].astype(np.uint16)*100 for f in clip()]))

@row('Frames', 'an RGB PNG of 16 bits', '8 bits a channel')
def _(d):
    put_pictures(d/'f', clip(1))
    (d/'f'/'1.png').write_bytes(png(64, 48, 16, 2, bytes(48*(64*6 + 1))))
    still(open_frames(d/'f'))

@row('Frames', 'frames of one pixel', works=True)
def _(d):
    flow = estimate_flow(open_frames(put_pictures(d/'f', clip(3, 1, 1))), progress=False)
    assert flow.shape == (2, 2, 1, 1) and flow.isfinite().all()
    return 'read; `segment` wants 16×16 or more'

@row('Frames', '8K, 7680×4320', works=True)
def _(d):
    put_pictures(d/'f', [np.full((4320, 7680, 3), 50*t, np.uint8) for t in range(2)], '.jpg')
    frames = open_frames(d/'f', most=MOST_PIXELS)
    assert [f.shape for f in frames] == [(1080, 1920, 3)]*2 and frames.full == (4320, 7680)
    return 'read at 1920×1080'

@row('Frames', 'a PNG of a few bytes that claims 20000×20000', '0.png', '400000000 pixels')
def _(d):
    (d/'f').mkdir()
    (d/'f'/'0.png').write_bytes(png(20000, 20000, 8, 2, bytes(1000)))
    open_frames(d/'f')

@row('Frames', 'a picture that the camera says is turned (EXIF)', works=True)
def _(d):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    frames = open_frames(put_pictures(d/'f', clip(), exif=exif))
    assert all((f == np.rot90(g, -1)).all() for f, g in zip(frames, clip()))
    return 'read upright'

@row('Frames', 'names with spaces, line ends, quotes, `ü` and bytes that are no UTF-8', works=True)
def _(d):
    names = ['1 a b', '2\n', "3'\"", '4 grün 日本', os.fsdecode(b'5\xff'), '6%s{}']
    folder = d/os.fsdecode(b'a folder\n\xfc %d')
    folder.mkdir()
    for name, f in zip(names, clip(6)): Image.fromarray(f).save(folder/f'{name}.png')
    frames = open_frames(folder)
    assert [frames.name(t) for t in range(6)] == names and np.array_equal(list(frames), clip(6))
    return 'read; results keep the names'

@row('Frames', 'symbolic links to frames elsewhere', works=True)
def _(d):
    put_pictures(d/'elsewhere', clip())
    (d/'f').mkdir()
    for t in range(4): (d/'f'/f'{t}.png').symlink_to(d/'elsewhere'/f'{t}.png')
    assert np.array_equal(list(open_frames(d/'f')), clip())
    return 'read: the folder is what you name'

@row('Frames', 'a link that leads nowhere, or in a circle', '1.png')
def _(d):
    put_pictures(d/'f', clip())
    (d/'f'/'1.png').unlink()
    (d/'f'/'1.png').symlink_to('1.png')
    still(open_frames(d/'f'))


# Videos

@row('Videos', 'a video of zero bytes', 'video')
def _(d): open_frames(changed(put_video(d/'a.mkv', clip()), lambda b: b''))

@row('Videos', 'a text', 'a.mp4', 'video')
def _(d):
    (d/'a.mp4').write_text('This is no video.\n'*50)
    open_frames(d/'a.mp4')

@row('Videos', 'sound without a picture', 'video stream')
def _(d):
    with av.open(str(d/'a.wav'), 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=8000, layout='mono')
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), format='s16', layout='mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    open_frames(d/'a.wav')

@row('Videos', 'a play list that names other files', 'video stream')
def _(d):
    put_video(d/'secret.ts', clip(30), 'mpeg2video', 'yuv420p')
    (d/'a.m3u8').write_text('#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.2,\nsecret.ts\n#EXT-X-ENDLIST\n')
    open_frames(d/'a.m3u8')

@row('Videos', 'the name of an address, `http://…`', 'nothing of that name')
def _(d): open_frames('http://127.0.0.1:9/a.mp4')

@row('Videos', 'a video cut in half', 'truncated')
def _(d):
    write_video(d/'a.mkv', np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), dtype=np.uint8))
    open_frames(changed(d/'a.mkv', lambda b: b[:len(b)//2]))

@row('Videos', 'a size that changes midway', 'frame ', '64×48', '80×48')
def _(d):
    parts = [put_video(d/f'{n}.m2v', clip(20, 48, w), 'mpeg2video', 'yuv420p') for n, w in enumerate((64, 80))]
    (d/'a.m2v').write_bytes(b''.join(p.read_bytes() for p in parts))
    still(open_frames(d/'a.m2v'))

@row('Videos', 'variable frame rate', works=True)
def _(d):
    times = np.cumsum([0, 40, 40, 500, 10, 10, 333, 40, 2000, 40, 40, 40]).tolist()
    frames = open_frames(put_video(d/'a.mkv', clip(12), 'ffv1', 'bgr0', times))
    assert len(list(frames)) == 12 and 0 < frames.fps < 100
    return 'read frame by frame: motion is per frame, not per second'

@row('Videos', 'a rotation tag', works=True)
def _(d):
    write_video(d/'a.mp4', clip())
    def turn(data):
        data = bytearray(data)
        at, one = data.index(b'tkhd') + 44, 1 << 16
        data[at:at+36] = np.array([0, one, 0, -one, 0, 0, 48*one, 0, 1 << 30], '>i4').tobytes()
        return bytes(data)
    flat = list(open_frames(d/'a.mp4'))
    frames = open_frames(changed(d/'a.mp4', turn))
    assert frames.size == (64, 48) and np.array_equal(list(frames), [np.rot90(f, -1) for f in flat])
    return 'read upright'

for name, pix_fmt in {'grey': 'gray', 'grey of 16 bits': 'gray16le', 'with alpha': 'bgra', 'of 10 bits': 'yuv444p10le'}.items():
    @row('Videos', f'a video {name}', works=True)
    def _(d, pix_fmt=pix_fmt):
        pictures = clip(6)
        if 'gray' in pix_fmt: pictures = [np.repeat(f[..., :1], 3, axis=2) for f in pictures]
        frames = list(open_frames(put_video(d/'a.mkv', pictures, 'ffv1', pix_fmt)))
        assert np.abs(np.subtract(frames, pictures, dtype=int)).max() <= 3
        return 'read as RGB of 8 bits' + ('; alpha is left out' if 'a' in pix_fmt[-1:] else '')

@row('Videos', 'one frame', '2 frames or more')
def _(d):
    write_video(d/'a.mp4', clip(1))
    still(open_frames(d/'a.mp4'))

@row('Videos', 'one pixel', works=True)
def _(d):
    frames = open_frames(put_video(d/'a.mkv', clip(3, 1, 1), 'ffv1', 'bgr0'))
    assert still(frames).shape == (2, 2, 1, 1)
    return 'read'

@row('Videos', '8K, 7680×4320', works=True)
def _(d):
    put_video(d/'a.mp4', [np.full((4320, 7680, 3), 60*t, np.uint8) for t in range(3)], 'mpeg4', 'yuv420p')
    frames = open_frames(d/'a.mp4', most=MOST_PIXELS)
    assert frames.full == (4320, 7680) and [f.shape for f in frames] == [(1080, 1920, 3)]*3
    return 'read at 1920×1080'

@row('Videos', 'a name with spaces, a line end, `ü` and a byte that is no UTF-8', works=True)
def _(d):
    path = d/os.fsdecode(b'a b\n\xc3\xbc\xff.mkv')
    put_video(d/'a.mkv', clip(), 'ffv1', 'bgr0').rename(path)
    assert np.array_equal(list(open_frames(path)), clip())
    return 'read'


# Tables

HEADING = 'Image,Sequence,Sequence_Index\n'

def table(d, text, columns=('Image',)):
    (d/'base'/'clip').mkdir(parents=True, exist_ok=True)
    (d/'secret.png').touch()
    (d/'base'/'x_train.csv').write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_split('x', d/'base', columns=columns)

for what, path in {'`../`': 'clip/../../secret.png', 'an absolute path': '/etc/passwd'}.items():
    @row('Tables', f'a path that leaves the base folder by {what}', 'x_train.csv', path)
    def _(d, path=path): table(d, f'{HEADING}{path},clip,0\n')

@row('Tables', 'a path that leaves the base folder by a symbolic link', 'leads outside')
def _(d):
    (d/'base'/'clip').mkdir(parents=True)
    (d/'base'/'clip'/'0.png').symlink_to(d/'secret.png')
    table(d, f'{HEADING}clip/0.png,clip,0\n')

@row('Tables', 'a folder on the way that is a link to the outside', 'leads outside')
def _(d):
    (d/'base').mkdir()
    (d/'base'/'away').symlink_to(d)
    table(d, f'{HEADING}away/secret.png,clip,0\n')

@row('Tables', 'a link that stays inside', works=True)
def _(d):
    (d/'base'/'clip').mkdir(parents=True)
    (d/'base'/'clip'/'0.png').touch()
    (d/'base'/'1.png').symlink_to('clip/0.png')
    assert table(d, f'{HEADING}1.png,clip,0\n').path(0, 'Image') == d/'base'/'1.png'
    return 'read'

@row('Tables', 'a sequence called `../clip`, which would be a folder of results', 'Sequence')
def _(d): table(d, f'{HEADING},../clip,0\n')

@row('Tables', 'names with spaces, quotes, commas and `ü`', works=True)
def _(d):
    (d/'base'/'clip').mkdir(parents=True)
    name = 'clip/a b, "grün".png'
    (d/'base'/name).touch()
    quoted = '"' + name.replace('"', '""') + '"'
    assert table(d, f'{HEADING}{quoted},a b ü,0\n').path(0, 'Image') == d/'base'/name
    return 'read'

@row('Tables', 'two columns of one name that means nothing', works=True)
def _(d):
    assert len(table(d, 'Note,Note,' + HEADING + 'x,y,,clip,0\n')) == 1
    return 'read; they are not looked at'

@row('Tables', 'line ends and NUL in names', 'control characters')
def _(d): table(d, f'{HEADING}"clip/a\nb.png",clip,0\n"clip/a\0b.png",clip,1\n')

@row('Tables', 'zero bytes', 'an empty file')
def _(d): table(d, '')

@row('Tables', 'a picture, or another encoding', 'UTF-8')
def _(d): table(d, b'\x89PNG\r\n\x1a\n\0\0\xff\xfe')

@row('Tables', 'five million cells', 'cells at most')
def _(d): table(d, HEADING + ',,\n'*1_700_000)

@row('Tables', 'a hundred megabytes', 'bytes at most')
def _(d):
    table(d, f'{HEADING},clip,0\n', ())
    os.truncate(d/'base'/'x_train.csv', 100_000_001)
    read_split('x', d/'base')


# Weights

def tiny(): return Segmenter(dict(channels=(8, 8, 16, 16), layers=1, width=32, n_queries=3), {})

def put_weights(path, change=lambda header, tensors: None):
    "Weights as saved, with their header or tensors changed."
    from safetensors import safe_open
    from safetensors.torch import save_file
    save_weights(tiny(), path)
    with safe_open(path, 'pt') as f: header, tensors = f.metadata(), {k: f.get_tensor(k) for k in f.keys()}
    change(header, tensors)
    save_file(tensors, path, header)
    return path

@row('Weights', 'a checkpoint with code inside', 'a.ckpt', 'checkpoint of ltseg')
def _(d):
    with sprung(d) as trap:
        torch.save(dict(state_dict={}, hyper_parameters=trap), d/'a.ckpt')
        Segmenter.from_pretrained(d/'a.ckpt')

@row('Weights', 'a bare pickle called `.ckpt`', 'a.ckpt', 'checkpoint of ltseg')
def _(d):
    with sprung(d) as trap:
        (d/'a.ckpt').write_bytes(pickle.dumps(trap, protocol=2))
        Segmenter.from_pretrained(d/'a.ckpt')

@row('Weights', 'a pickle called `.safetensors`', 'weights written by ltseg')
def _(d):
    with sprung(d) as trap:
        (d/'a.safetensors').write_bytes(pickle.dumps(trap, protocol=2))
        Segmenter.from_pretrained(d/'a.safetensors')

@row('Weights', 'RAFT weights with code inside', 'state dict')
def _(d):
    from types import SimpleNamespace
    from unittest.mock import patch
    model = SimpleNamespace(raft_large=lambda weights: torch.nn.Linear(2, 2))
    with sprung(d) as trap, patch('importlib.import_module', return_value=model):
        torch.save(trap, d/'a.pth')
        RAFT(d/'a.pth')

@row('Weights', 'zero bytes', 'weights written by ltseg')
def _(d):
    (d/'a.safetensors').touch()
    Segmenter.from_pretrained(d/'a.safetensors')

@row('Weights', 'a file cut short', 'weights written by ltseg')
def _(d): Segmenter.from_pretrained(changed(put_weights(d/'a.safetensors'), lambda b: b[:-100]))

@row('Weights', 'a header of eight bytes that claims to be endless', 'weights written by ltseg')
def _(d):
    (d/'a.safetensors').write_bytes(b'\xff'*8)
    Segmenter.from_pretrained(d/'a.safetensors')

for what, config in {'a network of a billion channels': dict(channels=(10**9,)*4), 'a billion layers': dict(layers=10**9),
                     'no numbers': dict(width='wide'), 'unknown words': dict(code='import os'),
                     'an unknown backbone': dict(backbone='os.system')}.items():
    @row('Weights', f'weights whose header asks for {what}', 'a.safetensors')
    def _(d, config=config):
        def change(header, tensors): header['config'] = json.dumps(json.loads(header['config']) | config)
        Segmenter.from_pretrained(put_weights(d/'a.safetensors', change))

@row('Weights', 'tensors of another network', 'weights written by ltseg')
def _(d): Segmenter.from_pretrained(put_weights(d/'a.safetensors', lambda header, tensors: tensors.clear()))

@row('Weights', 'a name that is unknown', 'default')
def _(d): Segmenter.from_pretrained('defualt')


# The job

class Refused(InputError):
    "What the program says when it ends with status 2."
    def __init__(self, message): ValueError.__init__(self, message)


def ltseg(*words):
    "The program; its error as an exception."
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        try: status = main([str(w) for w in words])
        except SystemExit as e: status = e.code
    message = said.getvalue()
    assert status in (0, 2) and 'Traceback' not in message, message
    if status: raise Refused(message.split('ltseg: ')[-1].split('ltseg segment: ')[-1].strip())


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
    return 'labels of 1920×1080; `--most` sets another limit'

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
    with open(os.devnull, 'rb') as f: list(stream(f, K=2, method='em'))

@row('Job', 'an output folder with something else in it', 'OUT')
def _(d):
    (d/'OUT').mkdir()
    (d/'OUT'/'photo.jpg').touch()
    try: job(d, None, '--overwrite')
    finally: assert [p.name for p in (d/'OUT').iterdir() if p.name != '.lock'] == ['photo.jpg']

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

@row('Job', 'two runs that write to one folder', 'no other run')
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

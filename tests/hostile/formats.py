"Formats of pictures and of flow that others write."
import struct

import numpy as np
from PIL import ExifTags, Image

from ltseg.flow import read_flow, read_volume
from ltseg.reader import open_reader
from ltseg.video import open_frames, read_image

from .made import FLOW, changed, clip, put_pictures
from .recordings import MATRICES
from .table import ltseg, marked, row

open_frames, open_reader, read_flow, read_image, read_volume = map(marked, (open_frames, open_reader, read_flow, read_image, read_volume))


def stack(path, pictures, **options):
    first, *rest = (p if isinstance(p, Image.Image) else Image.fromarray(p) for p in pictures)
    first.save(path, save_all=True, append_images=rest, **options)
    return path

@row('Formats', 'frames that are TIFF files', works=True)
def _(d):
    for n, options in enumerate([{}, dict(compression='tiff_lzw'), dict(compression='tiff_adobe_deflate')]):
        frames = open_frames(put_pictures(d/f'{n}', clip(), '.tif' if n else '.TIFF', **options))
        assert np.array_equal(list(frames), clip())
    return 'read, packed or not'

@row('Formats', 'a TIFF of many pages', works=True)
def _(d):
    frames = open_frames(stack(d/'a.tif', clip()))
    assert np.array_equal(list(frames), clip()) and len(frames) == 4 and frames.name(3) == '00003'
    ltseg('segment', d/'a.tif', '-o', d/'OUT', '--method', 'em', '-K', 2)
    return 'read as a video'

for name, mode in [('16 bits', np.uint16), ('floating-point numbers', np.float32)]:
    @row('Formats', f'a TIFF of {name}', '8 bits a channel', 'convert it before')
    def _(d, mode=mode):
        stack(d/'a.tif', [f[..., 0].astype(mode)*100 for f in clip()])
        yield
        open_frames(d/'a.tif')

@row('Formats', 'an RGB TIFF of 16 bits', '8 bits a channel')
def _(d):
    tags = [(256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 3, 122), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 128), (277, 3, 1, 3), (278, 3, 1, 48),
            (279, 4, 1, 64*48*6)]
    head = b'II*\0' + struct.pack('<IH', 8, len(tags)) + b''.join(struct.pack('<HHII', *t) for t in tags) + bytes(4)
    (d/'a.tif').write_bytes(head.ljust(122, b'\0') + struct.pack('<3H', 16, 16, 16) + bytes(64*48*6))
    yield
    read_image(d/'a.tif')

@row('Formats', 'a TIFF cut short', 'a.tif', 'complete picture')
def _(d):
    changed(stack(d/'a.tif', clip()), lambda b: b[:len(b)//3])
    yield
    list(open_frames(d/'a.tif'))

@row('Formats', 'a TIFF whose pages differ in size', 'picture 2', '64×48', '64×40')
def _(d):
    stack(d/'a.tif', [*clip(2), *clip(1, 40)])
    yield
    list(open_frames(d/'a.tif'))

@row('Formats', 'a TIFF of many pages among frames', 'f/1.tif', '4 pictures', 'by itself')
def _(d):
    put_pictures(d/'f', clip(3), '.tif')
    stack(d/'f'/'1.tif', clip())
    yield
    list(open_frames(d/'f'))

for ending, options in {'.webp': dict(lossless=True), '.png': {}}.items():
    @row('Formats', f'an animation, `{ending}`', works=True)
    def _(d, ending=ending, options=options):
        frames = open_frames(stack(d/f'a{ending}', clip(), duration=[40, 40, 200, 40], **options))
        assert np.array_equal(list(frames), clip()) and frames.fps == 25
        assert np.allclose([frames.time(t) for t in range(4)], [0, .04, .08, .28])
        return 'read; each picture keeps its time'

@row('Formats', 'an animation, `.gif`', works=True)
def _(d):
    frames = open_frames(stack(d/'a.gif', [Image.fromarray(f).quantize(16) for f in clip()], duration=100))
    assert len(list(frames)) == 4 and abs(frames.fps - 10) < 1, frames.fps
    return 'read by FFmpeg'

@row('Formats', 'a single picture', 'shows no motion', '2 frames or more')
def _(d): ltseg('segment', put_pictures(d/'f', clip(1), '.jpg')/'0.jpg', '-o', d/'OUT')

@row('Formats', 'pictures that the camera says are turned or mirrored (EXIF), in all eight ways', works=True)
def _(d):
    order = [(1, 0, 0, 1), (-1, 0, 0, 1), (-1, 0, 0, -1), (1, 0, 0, -1), (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0), (0, -1, 1, 0)]
    for ending in ('.png', '.tif', '.webp'):
        for number, matrix in enumerate(order, 1):
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = number
            put_pictures(d/'f', clip(1), ending, exif=exif, **dict(lossless=True) if ending == '.webp' else {})
            assert np.array_equal(read_image(d/'f'/f'0{ending}'), MATRICES[matrix](clip(1)[0])), (ending, number)
    return 'read upright and unmirrored'

@row('Formats', 'flow with the batch axis of a network, (1, 2, H, W) or (1, H, W, 2)', works=True)
def _(d):
    for name, array in [('a', FLOW[None]), ('b', FLOW.permute(1, 2, 0)[None])]:
        (d/name).mkdir()
        for t in range(3): np.save(d/name/f'{t}.npy', array.numpy())
        assert read_flow(d/name/'0.npy').equal(FLOW) and read_volume(d/name)[:, 1].equal(FLOW)
        assert len(list(open_reader(d/name, size=(24, 32)).steps())) == 3
    np.save(d/'v.npy', FLOW[None, :, None].numpy()) # (1, 2, T, H, W)
    assert read_volume(d/'v.npy').shape == (2, 1, 24, 32)
    return 'read as (2, H, W)'

@row('Formats', 'a batch of two flows, (2, 2, H, W), where one is expected', 'volume of 2 flows')
def _(d):
    np.save(d/'a.npy', np.zeros((2, 2, 24, 32), np.float32))
    yield
    read_flow(d/'a.npy')

@row('Formats', 'volumes in a folder', '0.npy', 'volume of 3 flows', 'outside of a folder')
def _(d):
    for t in range(2): np.save(d/f'{t}.npy', np.zeros((2, 3, 24, 32), np.float32))
    ltseg('segment', d, '-o', d/'OUT', '--method', 'em')

def pfm(path, flow, order='<'):
    rows = np.concatenate([flow, flow[:1]*0]).transpose(1, 2, 0)[::-1].astype(f'{order}f4')
    path.write_bytes(b'PF\n32 24\n%d.0\n' % (-1 if order == '<' else 1) + rows.tobytes())
    return path

@row('Formats', 'flow in PFM, in both byte orders', works=True)
def _(d):
    assert all(read_flow(pfm(d/'a.pfm', FLOW.numpy(), order)).equal(FLOW) for order in '<>')
    return 'read: u, v and an unused channel'

@row('Formats', 'a PFM cut short', 'bytes for 32×24 pixels')
def _(d):
    changed(pfm(d/'a.pfm', FLOW.numpy()), lambda b: b[:-1])
    yield
    read_flow(d/'a.pfm')

@row('Formats', 'a PFM of twenty bytes that claims 999999999×999999999', 'bytes for 999999999×999999999')
def _(d):
    (d/'a.pfm').write_bytes(b'PF 999999999 999999999 -1 ')
    yield
    read_flow(d/'a.pfm')

@row('Formats', 'a PFM of one channel', 'three channels')
def _(d):
    (d/'a.pfm').write_bytes(b'Pf\n1 1\n-1.0\n' + bytes(4))
    yield
    read_flow(d/'a.pfm')

@row('Formats', 'pictures in a `.npy`', '4 pictures of 64×48 pixels, not flow', 'PNG')
def _(d):
    np.save(d/'a.npy', np.stack(clip()))
    ltseg('segment', d/'a.npy', '-o', d/'OUT')

@row('Formats', 'an address in place of a name', 'https', 'download')
def _(d): ltseg('segment', 'https://example.org/watch?v=1', '-o', d/'OUT')

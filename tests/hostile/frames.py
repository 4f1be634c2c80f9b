"Pictures, one per frame."
import os

import numpy as np
from PIL import ExifTags, Image

from ltseg.options import FULL_HD
from ltseg.video import estimate_flow, open_frames

from .made import changed, clip, png, put_pictures, still
from .table import row


@row('Frames', 'an empty folder', 'frames')
def _(d):
    yield
    open_frames(d)

@row('Frames', 'a single frame', '2 frames or more')
def _(d):
    folder = put_pictures(d/'f', clip(1))
    yield
    still(open_frames(folder))

@row('Frames', 'frames of two sizes', '2.png', '64×48', '64×40')
def _(d):
    folder = put_pictures(d/'f', clip(2) + clip(1, 40))
    yield
    still(open_frames(folder))

@row('Frames', 'a picture of zero bytes among others', '1.png', 'complete picture')
def _(d):
    put_pictures(d/'f', clip())
    (d/'f'/'1.png').write_bytes(b'')
    yield
    still(open_frames(d/'f'))

@row('Frames', 'a JPEG cut short', '3.jpg', 'complete picture')
def _(d):
    put_pictures(d/'f', clip(), '.jpg')
    changed(d/'f'/'3.jpg', lambda b: b[:-60])
    yield
    still(open_frames(d/'f'))

@row('Frames', 'two frames of one name (`1.jpg`, `1.png`)', '4 pictures (0.jpg', '4 pictures (0.png', '*.png')
def _(d):
    put_pictures(d/'f', clip(), '.jpg')
    put_pictures(d/'f', clip(), '.png')
    yield
    open_frames(d/'f')

@row('Frames', 'grey frames', works=True)
def _(d):
    folder = put_pictures(d/'f', [f[..., 0] for f in clip()])
    yield
    frames = list(open_frames(folder))
    assert all((f == g[..., :1]).all() for f, g in zip(frames, clip()))
    return 'read as grey RGB'

@row('Frames', 'frames with an alpha channel', works=True)
def _(d):
    alpha = [np.dstack([f, f[..., 0]]) for f in clip()]
    folder = put_pictures(d/'f', alpha)
    yield
    assert np.array_equal(list(open_frames(folder)), clip())
    return 'read; alpha is left out'

@row('Frames', 'a palette with a transparent colour', works=True)
def _(d):
    pictures = [Image.fromarray(f).quantize(16) for f in clip()]
    put_pictures(d/'f', pictures, transparency=bytes(range(16)))
    yield
    assert np.array_equal(list(open_frames(d/'f')), [np.array(p.convert('RGB')) for p in pictures])
    return 'read; transparency is left out'

@row('Frames', 'a grey PNG of 16 bits', '8 bits a channel')
def _(d):
    folder = put_pictures(d/'f', [f[..., 0].astype(np.uint16)*100 for f in clip()])
    yield
    open_frames(folder)

@row('Frames', 'an RGB PNG of 16 bits', '8 bits a channel')
def _(d):
    put_pictures(d/'f', clip(1))
    (d/'f'/'1.png').write_bytes(png(64, 48, 16, 2, bytes(48*(64*6 + 1))))
    yield
    still(open_frames(d/'f'))

@row('Frames', 'frames of one pixel', works=True)
def _(d):
    folder = put_pictures(d/'f', clip(3, 1, 1))
    yield
    flow = estimate_flow(open_frames(folder), progress=False)
    assert flow.shape == (2, 2, 1, 1) and flow.isfinite().all()
    return 'read; `segment` wants 16×16 or more'

@row('Frames', '8K, 7680×4320', works=True)
def _(d):
    put_pictures(d/'f', [np.full((4320, 7680, 3), 50*t, np.uint8) for t in range(2)], '.jpg')
    yield
    frames = open_frames(d/'f', max_pixels=FULL_HD)
    assert [f.shape for f in frames] == [(1080, 1920, 3)]*2 and frames.full == (4320, 7680)
    return 'read at 1920×1080'

@row('Frames', 'a PNG of a few bytes that claims 20000×20000', '0.png', '400000000 pixels')
def _(d):
    (d/'f').mkdir()
    (d/'f'/'0.png').write_bytes(png(20000, 20000, 8, 2, bytes(1000)))
    yield
    open_frames(d/'f')

@row('Frames', 'a picture that the camera says is turned (EXIF)', works=True)
def _(d):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    folder = put_pictures(d/'f', clip(), exif=exif)
    yield
    frames = open_frames(folder)
    assert all((f == np.rot90(g, -1)).all() for f, g in zip(frames, clip()))
    return 'read upright'

@row('Frames', 'names with spaces, line ends, quotes, `ü` and bytes that are no UTF-8', works=True)
def _(d):
    names = ['1 a b', '2\n', "3'\"", '4 grün 日本', os.fsdecode(b'5\xff'), '6%s{}']
    folder = d/os.fsdecode(b'a folder\n\xfc %d')
    folder.mkdir()
    for name, f in zip(names, clip(6)): Image.fromarray(f).save(folder/f'{name}.png')
    yield
    frames = open_frames(folder)
    assert [frames.name(t) for t in range(6)] == names and np.array_equal(list(frames), clip(6))
    return 'read; results keep the names'

@row('Frames', 'symbolic links to frames elsewhere', works=True)
def _(d):
    put_pictures(d/'elsewhere', clip())
    (d/'f').mkdir()
    for t in range(4): (d/'f'/f'{t}.png').symlink_to(d/'elsewhere'/f'{t}.png')
    yield
    assert np.array_equal(list(open_frames(d/'f')), clip())
    return 'read: the folder is what you name'

@row('Frames', 'a link that leads nowhere, or in a circle', '1.png')
def _(d):
    put_pictures(d/'f', clip())
    (d/'f'/'1.png').unlink()
    (d/'f'/'1.png').symlink_to('1.png')
    yield
    still(open_frames(d/'f'))

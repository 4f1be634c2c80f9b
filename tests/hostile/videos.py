"Videos, which FFmpeg reads."
import os
import warnings

import av
import numpy as np

from ltseg.options import FULL_HD
from ltseg.video import open_frames, write_video

from .made import changed, clip, put_video, still
from .table import row


@row('Videos', 'a video of zero bytes', 'video')
def _(d):
    path = changed(put_video(d/'a.mkv', clip()), lambda b: b'')
    yield
    open_frames(path)

@row('Videos', 'a text', 'a.mp4', 'video')
def _(d):
    (d/'a.mp4').write_text('This is no video.\n'*50)
    yield
    open_frames(d/'a.mp4')

@row('Videos', 'sound without a picture', 'video stream')
def _(d):
    with av.open(str(d/'a.wav'), 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=8000, layout='mono')
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), format='s16', layout='mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    yield
    open_frames(d/'a.wav')

@row('Videos', 'a play list that names other files', 'video stream')
def _(d):
    put_video(d/'secret.ts', clip(30), 'mpeg2video', 'yuv420p')
    (d/'a.m3u8').write_text('#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.2,\nsecret.ts\n#EXT-X-ENDLIST\n')
    yield
    open_frames(d/'a.m3u8')

@row('Videos', 'the name of an address, `http://…`', 'download')
def _(d):
    yield
    open_frames('http://127.0.0.1:9/a.mp4')

@row('Videos', 'a video cut in half', works=True)
def _(d):
    write_video(d/'a.mkv', np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), dtype=np.uint8))
    path = changed(d/'a.mkv', lambda b: b[:len(b)//2])
    yield
    with warnings.catch_warnings(action='ignore'): frames = open_frames(path)
    assert 20 < frames.packets < 40 and '60 frames (2.40 s) are announced' in frames.notes[0]
    return 'read as far as it goes, with a remark'

@row('Videos', 'a size that changes midway', 'frame ', '64×48', '80×48')
def _(d):
    parts = [put_video(d/f'{n}.m2v', clip(20, 48, w), 'mpeg2video', 'yuv420p') for n, w in enumerate((64, 80))]
    (d/'a.m2v').write_bytes(b''.join(p.read_bytes() for p in parts))
    yield
    still(open_frames(d/'a.m2v'))

@row('Videos', 'variable frame rate', works=True)
def _(d):
    times = np.cumsum([0, 40, 40, 500, 10, 10, 333, 40, 2000, 40, 40, 40]).tolist()
    path = put_video(d/'a.mkv', clip(12), 'ffv1', 'bgr0', times)
    yield
    frames = open_frames(path)
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
    changed(d/'a.mp4', turn)
    yield
    frames = open_frames(d/'a.mp4')
    assert frames.size == (64, 48) and np.array_equal(list(frames), [np.rot90(f, -1) for f in flat])
    return 'read upright'

for name, pix_fmt in {'grey': 'gray', 'grey of 16 bits': 'gray16le', 'with alpha': 'bgra', 'of 10 bits': 'yuv444p10le'}.items():
    @row('Videos', f'a video {name}', works=True)
    def _(d, pix_fmt=pix_fmt):
        pictures = clip(6)
        if 'gray' in pix_fmt: pictures = [np.repeat(f[..., :1], 3, axis=2) for f in pictures]
        path = put_video(d/'a.mkv', pictures, 'ffv1', pix_fmt)
        yield
        frames = list(open_frames(path))
        assert np.abs(np.subtract(frames, pictures, dtype=int)).max() <= 3
        return 'read as RGB of 8 bits' + ('; alpha is left out' if 'a' in pix_fmt[-1:] else '')

@row('Videos', 'one frame', '2 frames or more')
def _(d):
    write_video(d/'a.mp4', clip(1))
    yield
    still(open_frames(d/'a.mp4'))

@row('Videos', 'one pixel', works=True)
def _(d):
    path = put_video(d/'a.mkv', clip(3, 1, 1), 'ffv1', 'bgr0')
    yield
    frames = open_frames(path)
    assert still(frames).shape == (2, 2, 1, 1)
    return 'read'

@row('Videos', '8K, 7680×4320', works=True)
def _(d):
    put_video(d/'a.mp4', [np.full((4320, 7680, 3), 60*t, np.uint8) for t in range(3)], 'mpeg4', 'yuv420p')
    yield
    frames = open_frames(d/'a.mp4', max_pixels=FULL_HD)
    assert frames.full == (4320, 7680) and [f.shape for f in frames] == [(1080, 1920, 3)]*3
    return 'read at 1920×1080'

@row('Videos', 'a name with spaces, a line end, `ü` and a byte that is no UTF-8', works=True)
def _(d):
    path = d/os.fsdecode(b'a b\n\xc3\xbc\xff.mkv')
    put_video(d/'a.mkv', clip(), 'ffv1', 'bgr0').rename(path)
    yield
    assert np.array_equal(list(open_frames(path)), clip())
    return 'read'

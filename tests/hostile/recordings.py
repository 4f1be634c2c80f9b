"Recordings of phones, browsers, cameras and broadcasts, which are whole, but not as simple as what a program writes."
import io
import warnings
from contextlib import contextmanager
from fractions import Fraction

import av
import numpy as np

from ltseg.reader import open_reader, piped_frames
from ltseg.video import open_frames, write_video

from .made import changed, clip, put_video
from .table import ltseg, marked, row

open_frames, open_reader, piped_frames = map(marked, (open_frames, open_reader, piped_frames))


@contextmanager
def remarks():
    "What is warned of within, as texts."
    texts = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        yield texts
    texts += [str(w.message) for w in caught]

def encoded(path, frames, codec='libx264', first=0, stamps=None, **options):
    "A video whose packets are written from the number `first` on; `stamps` in ms."
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25, options={k: str(v) for k, v in options.items()})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = 'yuv420p'
        if stamps: stream.codec_context.time_base = Fraction(1, 1000)
        packets = []
        for n, frame in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(frame, format='rgb24')
            if stamps: frame.pts, frame.time_base = stamps[n], Fraction(1, 1000)
            packets += stream.encode(frame)
        for packet in [*packets, *stream.encode(None)][first:]: container.mux(packet)
    return path

def noise(n): return [np.random.default_rng(t).integers(0, 255, (48, 64, 3), np.uint8) for t in range(n)] # which fills its packets

def trimmed(path, n, skip):
    "A video of `n` frames whose edit list leaves out the first `skip`, as programs write it that do not encode anew."
    write_video(path, clip(n))
    def edit(data):
        at, unit = data.index(b'elst') + 12, int.from_bytes(data[data.index(b'mdhd') + 16:][:4], 'big')//25 # ticks a frame
        length, start = np.frombuffer(data, '>i4', 2, at)
        kept = np.array([length*(n - skip)//n, start + skip*unit], '>i4').tobytes()
        return data[:at] + kept + data[at + 8:]
    return changed(path, edit)


class Pipe(io.BytesIO):
    "Bytes that come once."
    def seekable(self): return False
    def seek(self, *_): raise OSError('a pipe')


for n, skip in ((40, 25), (240, 40)):
    @row('Recordings', f'trimmed without encoding it anew: {skip} of {n} frames are not to be shown', works=True)
    def _(d, n=n, skip=skip):
        whole = list(open_frames(write_video(d/'b.mp4', clip(n)) or d/'b.mp4'))
        frames = open_frames(trimmed(d/'a.mp4', n, skip))
        assert frames.packets == n - skip and np.array_equal(list(frames), whole[skip:])
        return f'{n - skip} frames'

@row('Recordings', 'cut out of a broadcast, within a group of pictures', works=True)
def _(d):
    frames = clip(40)
    encoded(d/'a.ts', frames, first=5, g=20, bf=0, sc_threshold=0)
    with remarks() as said: read = open_frames(d/'a.ts'); got = list(read)
    assert (read.packets, len(got)) == (20, 20) and np.abs(np.subtract(got[0], frames[20], dtype=int)).mean() < 9
    assert said == read.notes and '15 packets before the first key frame' in said[0]
    return '20 of 35 frames, and a remark on those before the first key frame'

MATRICES = {(1, 0, 0, 1): lambda f: f, (-1, 0, 0, 1): np.fliplr, (1, 0, 0, -1): np.flipud, (-1, 0, 0, -1): lambda f: np.rot90(f, 2),
            (0, 1, -1, 0): lambda f: np.rot90(f, -1), (0, -1, 1, 0): np.rot90, (0, 1, 1, 0): lambda f: f.swapaxes(0, 1),
            (0, -1, -1, 0): lambda f: np.rot90(f, 2).swapaxes(0, 1)}

@row('Recordings', 'turned or mirrored by the camera, in all eight ways', works=True)
def _(d):
    write_video(d/'a.mp4', clip(3))
    flat, whole = list(open_frames(d/'a.mp4')), (d/'a.mp4').read_bytes()
    for (a, b, c, e), right in MATRICES.items():
        data, at, one = bytearray(whole), whole.index(b'tkhd') + 44, 1 << 16
        data[at:at+36] = np.array([a*one, b*one, 0, c*one, e*one, 0, 0, 0, 1 << 30], '>i4').tobytes()
        (d/'a.mp4').write_bytes(data)
        for frames in (open_frames(d/'a.mp4'), piped_frames(Pipe(bytes(data)))):
            assert np.array_equal(list(frames), [right(f) for f in flat])
    return 'read upright and unmirrored'

@row('Recordings', 'a browser\'s, which claims 1000 frames a second', works=True)
def _(d):
    put_video(d/'a.webm', clip(40), 'libvpx', 'yuv420p', times=[41*t + 3*(t % 2) for t in range(40)], rate=1000)
    for source in (d/'a.webm', Pipe((d/'a.webm').read_bytes())):
        reader = open_reader(source)
        assert len(list(reader.steps())) == 39 and 23 < reader.fps < 26, reader.fps
    return '24 frames a second, as its time stamps say'

for fps in (1000, 2000):
    @row('Recordings', f'slow motion of {fps} frames a second', works=True)
    def _(d, fps=fps):
        put_video(d/'a.mp4', clip(6), 'mpeg4', 'yuv420p', rate=fps)
        assert open_frames(d/'a.mp4').fps == fps
        ltseg('segment', d/'a.mp4', '-o', d/'OUT', '--method', 'em', '-K', 2)
        with av.open(str(d/'OUT'/'overlay.mp4')) as video: assert len(list(video.decode(video=0))) == 5
        return 'segmented'

@row('Recordings', 'uneven frame times', works=True)
def _(d):
    times = [0, 40, 80, 120, 8800, 8840, 8880, 9000]
    put_video(d/'a.mkv', clip(8), 'ffv1', 'bgr0', times)
    for source in (d/'a.mkv', Pipe((d/'a.mkv').read_bytes())):
        reader = open_reader(source)
        list(reader.steps())
        assert np.allclose([reader.time(t) for t in range(8)], np.divide(times, 1000))
    again = open_reader(d/'a.mkv', fps=10)
    list(again.steps())
    assert [again.time(t) for t in (0, 5)] == [0, .5] # what the user says counts
    return 'each frame keeps its time'

@row('Recordings', 'pixels that are not square', works=True)
def _(d):
    write_video(d/'a.mp4', clip(3), aspect=4/3)
    reader, piped = open_reader(d/'a.mp4'), open_reader(Pipe((d/'a.mp4').read_bytes()))
    assert reader.size == piped.size == (48, 64) and abs(reader.aspect - 4/3) < 1e-6 and abs(piped.aspect - 4/3) < 1e-6
    return 'read at the stored size; results keep the aspect'

@row('Recordings', 'interlaced', works=True)
def _(d):
    encoded(d/'a.ts', clip(6), 'mpeg2video', flags='+ilme+ildct')
    with remarks() as said: frames = open_frames(d/'a.ts'); n = len(list(frames))
    assert n == 6 and said == frames.notes and 'interlaced' in said[0] and 'bwdif' in said[0], said
    return 'read, with a remark that says how to deinterlace it'

@row('Recordings', 'a place that is damaged', works=True)
def _(d):
    encoded(d/'a.avi', noise(30), 'mpeg4')
    changed(d/'a.avi', lambda b: b[:len(b)//2] + bytes([b[len(b)//2] ^ 255])*40 + b[len(b)//2 + 40:])
    with remarks() as said: frames = open_frames(d/'a.avi'); n = len(list(frames))
    assert n == 30 and said == frames.notes and f'of {n} frames are damaged' in said[-1], (n, said)
    return 'read, with a remark that counts the damaged frames'

@row('Recordings', 'packets that cannot be decoded', works=True)
def _(d):
    encoded(d/'a.mp4', noise(30))
    changed(d/'a.mp4', lambda b: b[:len(b)//2] + bytes(len(b)//10) + b[len(b)//2 + len(b)//10:])
    with remarks() as said: frames = open_frames(d/'a.mp4'); n = len(list(frames))
    assert 15 < n < 30 and said == frames.notes and 'cannot be decoded' in said[0], (n, said)
    return 'the others are read, with a remark'

@row('Recordings', 'cut in half, index first', works=True)
def _(d):
    write_video(d/'a.mp4', noise(30))
    changed(d/'a.mp4', lambda b: b[:len(b)//2])
    with remarks() as said: frames = open_frames(d/'a.mp4'); n = len(list(frames))
    assert 8 < n < 20 and said == frames.notes and '30 frames (1.20 s) are announced' in said[0], (n, said)
    return 'read as far as it goes, with a remark'

@row('Recordings', 'cut in half, index last: it is gone', 'complete video', 'moov')
def _(d):
    put_video(d/'a.mp4', clip(30), 'mpeg4', 'yuv420p')
    changed(d/'a.mp4', lambda b: b[:len(b)//2])
    yield
    open_frames(d/'a.mp4')

@row('Recordings', 'of which hardly anything is left', '60 frames', 'hardly anything')
def _(d):
    write_video(d/'a.mkv', clip(60))
    changed(d/'a.mkv', lambda b: b[:len(b)//8])
    yield
    open_frames(d/'a.mkv')

@row('Recordings', 'a pipe that ends before what was announced', works=True)
def _(d):
    write_video(d/'a.mkv', noise(60))
    data = (d/'a.mkv').read_bytes()
    with remarks() as said: frames = piped_frames(Pipe(data[:len(data)//2])); n = len(list(frames))
    assert 20 < n < 40 and said == frames.notes and '60 frames (2.40 s) are announced' in said[0], (n, said)
    return 'segmented as far as it came, with a remark'

@row('Recordings', 'an MP4 with its index at the end, through a pipe', works=True)
def _(d):
    put_video(d/'a.mp4', noise(60), 'mpeg4', 'yuv420p') # more than FFmpeg holds while it looks for the index
    data = (d/'a.mp4').read_bytes()
    assert data.index(b'mdat') < data.index(b'moov')
    reader = open_reader(Pipe(data))
    assert len(list(reader.steps())) == 59 and not reader.notes
    return 'put aside in a temporary file, and read from there'

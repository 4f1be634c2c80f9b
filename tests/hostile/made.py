"Hostile input, made by hand."
import pickle
import struct
import zlib
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from ltseg.flow import write_flow
from ltseg.video import estimate_flow

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

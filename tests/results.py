"Results as `ltseg segment` leaves them, made by hand: what is in them is known to the pixel."
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from ltseg.link import label_of
from ltseg.plots import write_palette_png
from ltseg.result import summarise

WINDOW, FPS = 20, 12. # frames, frames per second
NOISE = np.random.default_rng(0).integers(60, 200, (9, 14, 3)).astype(np.uint8)


def disc(shape, x, y, r):
    i, j = np.ogrid[:shape[0], :shape[1]]
    return (i - y)**2 + (j - x)**2 < r*r


def story(t, shape=(61, 95)):
    """Numbers of segments in frame t: 1 leaves and returns, 2 is a ring, and at frame 30 there is a cut,
    after which the background is 3, and 4 has two parts."""
    frame = np.zeros(shape, np.int64)
    if t < 30:
        if t < 12 or t > 19: frame[disc(shape, 10 + 2*t, 20, 9)] = 1
        if t > 4: frame[disc(shape, 60, 40, 14) & ~disc(shape, 60, 40, 6)] = 2
    else:
        frame[:] = 3
        frame[disc(shape, 25, 2*t - 40, 8) | disc(shape, 70, 30, 10)] = 4
    return frame


def crowd(t, shape=(48, 64)):
    "Three hundred segments, of which no more than four are there at once."
    frame = np.zeros(shape, np.int64)
    for n in range(max(1, 10*t - 15), min(300, 10*t + 10) + 1): frame[3*(n % 16):3*(n % 16) + 2, (n//16 % 12)*5:(n//16 % 12)*5 + 4] = n
    return frame


def again(t, shape=(16, 24)):
    "The same few frames over and over."
    return story(t % WINDOW, shape)


def piece(numbers, first): # of one window
    areas = {n: [float((f == n).mean()) for f in numbers] for n in np.unique(numbers).tolist()}
    motion = lambda n: dict(control_points=[float(first)], pieces=[dict(first=first, frames=len(numbers), control_points=1)], parameters=[[0., .1*n, 1. + n, .1*n, 0., -2.]]) # u = 1 + n + .1 n j, v = -2 + .1 n i
    return dict(first=first, frames=[f'{first + t:05d}' for t in range(len(numbers))], times=[(first + t)/FPS for t in range(len(numbers))], speed=1.,
                segments=[dict(id=n, area=a, loss=0., size=1., motion=motion(n)) for n, a in areas.items()])


def made(folder, T, numbers=story, pictures=True, cache=None):
    "Writes a result of T label images, and beside it the pictures that it is of; `cache`: label images that repeat are links to those there."
    folder, shape = Path(folder), numbers(0).shape
    (folder/'labels').mkdir(parents=True)
    table = np.array([label_of(n) for n in range(1000)], np.uint8)
    pieces = []
    for first in range(0, T, WINDOW):
        frames = np.stack([numbers(t) for t in range(first, min(T, first + WINDOW))])
        pieces.append(piece(frames, first))
        for t, frame in enumerate(frames):
            file = folder/'labels'/f'{first + t:05d}.png'
            kept = cache and cache/f'{t}.png'
            if not kept or not kept.exists(): write_palette_png(kept or file, table[frame])
            if kept: os.link(kept, file)
    header = dict(size=list(shape), pixel_aspect=1., fps=FPS, working_size=list(shape), motion_model='Affine', motion_size=list(shape))
    settings = dict(source=None, flow='dis', bad_flow='error')
    if pictures:
        source = folder.parent/f'{folder.name}_frames'
        source.mkdir()
        for t in range(T + 1): Image.fromarray(picture(numbers(t))).save(source/f'{t:05d}.png')
        settings['source'] = str(source)
    (folder/'segments.json').write_text(json.dumps(summarise(header, pieces)))
    (folder/'settings.json').write_text(json.dumps(settings))
    return folder


def picture(numbers): # (H,W) -> (H,W,3) uint8
    h, w = numbers.shape
    ground = np.kron(NOISE, np.ones((-(-h//9), -(-w//14), 1), np.uint8))[:h, :w]
    return np.where(numbers[..., None] > 0, (37*numbers[..., None]*[1, 2, 3] + 60) % 256, ground).astype(np.uint8)

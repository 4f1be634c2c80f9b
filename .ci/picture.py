"""Make the moving picture of the first page, `nbs/images/moving.webp`: a rendered clip, its flow, and the segments that `ltseg` finds in it.

The paths of camera and objects are closed, so the picture loops. The objects never touch; the tutorial *How it fails* shows what happens where they do.
"""
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ltseg.evaluation import match_segments
from ltseg.flow import flow_scale, flow_to_rgb
from ltseg.inference import segment
from ltseg.options import QUALITIES
from ltseg.plots import overlay
from ltseg.synthetic import Camera, Layer, blob, noise, random_alpha, render, turn, world_layer
from ltseg.video import write_video

OUT = Path(__file__).resolve().parent.parent/'nbs'/'images'/'moving.webp'
LOOP, FIRST = 60, 12 # frames, of which this one is shown first: some programs show no other
SIZE, PANEL, FPS = (240, 428), (178, 316), 12
BACKGROUND, TINTS = [104, 122, 112], [[200, 96, 72], [86, 116, 186], [222, 196, 120]]


def texture(rng, tint, n=160):
    grey = 34*noise(rng, (n, n), coarsest=8, octaves=5, rough=.7) + 7*rng.standard_normal((n, n))
    return np.clip(np.float32(tint) + grey[..., None], 0, 255).astype(np.uint8)


def scene():
    "A background and three objects on closed paths; lengths in half frame heights."
    rng, t = np.random.default_rng(1), np.arange(LOOP + 1, dtype=np.float32)*2*np.pi/LOOP
    camera = Camera(turn(.02*np.sin(t)), np.stack([-.22*np.cos(t), .1*np.sin(t)], -1))
    layers = [world_layer(rng, camera, texture(rng, BACKGROUND, 512), .2)]
    ways = [(-1.02 + .3*np.cos(t), -.28 + .3*np.sin(t)), (1.05 + .3*np.sin(t), .22 - .3*np.cos(t)), (.02 + .18*np.sin(t + .8), .12 + .375*np.cos(t + .8))]
    for label, (way, radius, tint) in enumerate(zip(ways, (.5, .58, .4), TINTS), 1):
        matrix, shift = camera.see(turn(.2*np.sin(t + label)), np.stack(way, -1))
        layers.append(Layer(texture(rng, tint), random_alpha(rng, shape=blob), radius, label, matrix, shift, np.zeros((0, 3)), np.zeros((len(t), 0, 2))))
    return render(layers, SIZE)


def panels(frames, flow, labels):
    "(H,W,3) for each flow: frame, flow and segments side by side."
    colours = flow_to_rgb(flow, flow_scale(flow))
    for frame, colour, label in zip(frames, colours, labels):
        pictures = [cv2.resize(p, PANEL[::-1], interpolation=cv2.INTER_AREA) for p in (frame, cv2.resize(colour, frame.shape[1::-1]), overlay(frame, label, alpha=.7))]
        gap = np.full((PANEL[0], 6, 3), 255, np.uint8)
        yield np.hstack([pictures[0], gap, pictures[1], gap, pictures[2]])


def main():
    clip = scene()
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder)/'clip.mp4', clip.frames, fps=FPS)
        result = segment(Path(folder)/'clip.mp4', K='auto', **QUALITIES['best'])
        labels = np.asarray(result.labels)
    print('IoU of background and objects:', [round(iou, 2) for _, iou in match_segments(labels, clip.labels[:-1]).values()])
    pictures = [Image.fromarray(p) for p in panels(clip.frames, result.source.flow, labels)]
    first, *others = pictures[FIRST:] + pictures[:FIRST]
    first.save(OUT, save_all=True, append_images=others, duration=round(1000/FPS), loop=0, quality=35, method=6)
    print(f'{OUT}: {OUT.stat().st_size/1000:.0f} kB')


if __name__ == '__main__': main()

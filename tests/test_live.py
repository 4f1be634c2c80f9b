"`ltseg live`: a camera or a pipe comes at its own speed; what is too fast is dropped, what is shown is bounded in delay, and what is written is playable."
import io
import json
import os
import re
import signal
import threading
import time
import urllib.request
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np
import pytest
import torch
from processes import program  # noqa: F401: a fixture

from ltseg.cli import main
from ltseg.files import InputError
from ltseg.live import Fragments, LatestFrames, Shown, live, live_frames, serve
from ltseg.reader import PassingFrames, is_camera
from ltseg.synthetic import demo_scene

FPS = 12
ROOT = Path(__file__).resolve().parent.parent
QUICK = ['--method', 'em', '-K', '2', '--size', '32x48'] # a window takes a few hundredths of a second


@pytest.fixture(scope='module')
def loop():
    "A clip as MPEG-TS, which can be repeated as often as one likes."
    file = io.BytesIO()
    with av.open(file, 'w', format='mpegts') as out:
        stream = out.add_stream('libx264', rate=FPS, options=dict(preset='ultrafast', tune='zerolatency'))
        stream.height, stream.width, stream.pix_fmt, stream.codec_context.gop_size = 96, 160, 'yuv420p', 12
        for frame in demo_scene(24, (96, 160)).frames: out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        out.mux(stream.encode(None))
    return file.getvalue()


class Feeder:
    "Writes the clip into a named pipe, again and again, at `speed` times its own; until it is stopped, or nobody reads."
    def __init__(self, path, loop, times=10**6, speed=1.):
        self.path, self.loop, self.times, self.speed, self.stopped = path, loop, times, speed, threading.Event()
        os.mkfifo(path)
        self.thread = threading.Thread(target=self._feed, daemon=True)
        self.thread.start()

    def _feed(self):
        try:
            with open(self.path, 'wb', buffering=0) as pipe:
                for _ in range(self.times):
                    for start in range(0, len(self.loop), step := max(188, len(self.loop)//24)):
                        pipe.write(self.loop[start:start + step])
                        if self.stopped.wait(1/FPS/self.speed): return
        except BrokenPipeError: pass


@pytest.fixture
def feed(tmp_path, loop):
    feeders = []
    def start(*args, **kwargs):
        feeders.append(Feeder(tmp_path/'pipe', loop, *args, **kwargs))
        return tmp_path/'pipe'
    yield start
    for f in feeders: f.stopped.set()


def wait_for(out, process):
    while not (out.exists() and out.stat().st_size > 20_000):
        time.sleep(.05)
        assert process.is_alive()


def decoded(path):
    with av.open(str(path)) as video: return [(f.time, f.to_ndarray(format='rgb24')) for f in video.decode(video=0)]


def test_pipe_to_file(feed, tmp_path, capsys):
    "Every frame is in the file or counted as dropped, at the time that it has in the source; the segments are drawn."
    pipe = feed(times=2)
    assert main(['live', str(pipe), '-o', str(tmp_path/'a.mp4'), *QUICK]) == 0
    told = capsys.readouterr().out.split()
    shown, dropped = int(told[0]), int(told[3])
    found = decoded(tmp_path/'a.mp4')
    assert len(found) == shown > 8 and 44 <= shown + dropped + 1 <= 48 # the last frame has no flow; a decoder may lose a frame where the clip begins anew
    assert all(b > a for (a, _), (b, _) in zip(found, found[1:]))
    original = demo_scene(24, (96, 160)).frames
    assert any(np.abs(picture.astype(int) - original[min(range(24), key=lambda t: abs(t/FPS - second % 2))]).mean() > 5 for second, picture in found)


def test_control_c(feed, tmp_path, program):
    "The process ends with 130, says what it did, and what was written is playable, while it is written and afterwards."
    pipe, out = feed(), tmp_path/'a.mp4'
    process = program('live', '-', '-o', out, *QUICK, stdin=pipe, said=tmp_path/'said')
    wait_for(out, process)
    (tmp_path/'early.mp4').write_bytes(out.read_bytes())
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    said = (tmp_path/'said').read_text()
    assert process.exitcode == 130 and 'ltseg: stopped' in said and 'frames shown' in said and 'Traceback' not in said, said
    early, late = decoded(tmp_path/'early.mp4'), decoded(out)
    assert 2 < len(early) <= len(late)


def test_killed(feed, tmp_path, program):
    "Even so, what is there is playable."
    pipe, out = feed(), tmp_path/'a.mp4'
    process = program('live', '-', '-o', out, *QUICK, stdin=pipe)
    wait_for(out, process)
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert len(decoded(out)) > 2


def test_what_is_too_fast_is_dropped():
    "Nothing is queued without bound, however slow the user of the frames is; memory is that of a few frames."
    frames = PassingFrames((np.full((32, 48, 3), n % 256, np.uint8) for n in range(5000)), fps=1000)
    latest, taken, most = LatestFrames(frames, most=8), [], 0
    for frame in latest:
        taken.append(round(latest.time(len(taken))*1000))
        most = max(most, len(latest.waiting))
        if len(taken) % 3 == 0: time.sleep(.002)
    assert most <= 8 and len(taken) + latest.dropped == 5000 and taken == sorted(set(taken)) and taken[-1] == 4999
    assert latest.dropped > 0


def test_a_slow_method_shows_what_is_new():
    "With a method that is far too slow, frames are dropped, and times go on."
    def slow(flow, K):
        time.sleep(.3)
        return flow.new_ones(len(flow), K, *flow.shape[2:])/K
    slow.max_segments, slow.about = 4, dict(method='slow')
    def paced():
        for frame in [*demo_scene(24, (64, 96)).frames]*5:
            time.sleep(.005)
            yield frame
    found = live(PassingFrames(paced(), fps=200), method=slow, K=2, window=8, overlap=2, refine=None)
    times = [second for _, second in found]
    assert found.frames.dropped > 20 and found.shown == len(times) and times == sorted(set(times)) and times[-1] > .3


def test_errors_of_the_thread_come_out():
    def broken():
        yield from demo_scene(4, (64, 96)).frames
        raise InputError('camera', 'it was unplugged')
    with pytest.raises(InputError, match='unplugged'): list(live(PassingFrames(broken()), method='em', K=2, window=4, overlap=1, refine=None))


def test_only_this_machine():
    "The server listens at 127.0.0.1, and a page elsewhere whose name leads here gets nothing."
    with serve(Shown()) as (_, address):
        assert address.startswith('http://127.0.0.1:')
        request = urllib.request.Request(address, headers={'Host': 'evil.example'})
        with pytest.raises(urllib.error.HTTPError, match='403'): urllib.request.urlopen(request)


@pytest.mark.skipif(not list(Path('/dev').glob('video*')), reason='no v4l2 device here (modprobe v4l2loopback)')
def test_camera():
    device = sorted(Path('/dev').glob('video*'))[0]
    assert is_camera(device)
    frames = live_frames(device)(None, 640*480)
    assert next(iter(frames)).shape[2] == 3


def test_snippet_of_the_page(feed, tmp_path, monkeypatch):
    "What the page Into your tool shows in Python runs."
    text = '\n'.join(''.join(c['source']) for c in json.loads((ROOT/'nbs/tutorials/10_into_your_tool.ipynb').read_text('utf8'))['cells'])
    snippet = re.search(r'```python\n(from ltseg.live.*?)```', text, re.DOTALL)[1]
    feed(times=1)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(snippet, names)
    assert names['picture'].shape == (96, 160, 3) and names['second'] > 0


def test_flow_goes_on_beside_the_masks(monkeypatch):
    "While the masks of a window are found, a thread estimates the flow of the frames that come: more than those of the window, and a bounded number."
    seen, window, overlap = [], 8, 2
    def moving(a, b):
        seen.append(1)
        return torch.ones(2, *a.shape[:2])
    moving.threads = 1
    def waiting(flow, K):
        late = time.monotonic() + 20
        while len(seen) < window + 4 and time.monotonic() < late: time.sleep(.01)
        found.append(len(seen))
        return flow.new_ones(len(flow), K, *flow.shape[2:])/K
    waiting.max_segments, waiting.about, found = 4, dict(method='waiting'), []
    def paced():
        for frame in demo_scene(24, (64, 96)).frames:
            time.sleep(.01)
            yield frame
    monkeypatch.setattr('ltseg.live._cores', lambda: 2)
    list(live(PassingFrames(paced(), fps=100), method=waiting, flow=moving, K=2, window=window, overlap=overlap, refine=None))
    assert window + 4 == found[0], 'flow waited for the masks, or did not stop' # the one behind the window, and three


class Roomy(LatestFrames):
    "Nothing is dropped."
    def __init__(self, frames, most): super().__init__(frames, 100)


def test_masks_are_the_same_beside_the_flow():
    "The pictures are those of a stream in which one stage waits for the other, where nothing is dropped."
    frames = demo_scene(14, (64, 96)).frames
    pictures = []
    for cores in (2, 1):
        with patch('ltseg.live.LatestFrames', Roomy), patch('ltseg.live._cores', lambda: cores):
            found = live(PassingFrames(iter(frames), fps=10), method='em', K=2, window=6, overlap=2, refine=None)
        pictures.append([picture for picture, _ in found])
    assert found.frames.dropped == 0 and len(pictures[0]) == len(pictures[1]) == 13
    assert all(map(np.array_equal, *pictures))


def test_who_stops_waits_for_no_frame(monkeypatch):
    "A pipe that has stalled: the thread of the flow ends without another frame."
    monkeypatch.setattr('ltseg.live._cores', lambda: 2)
    shown, go = threading.Event(), threading.Event()
    def stalling():
        for frame in cycle(demo_scene(16, (64, 96)).frames):
            if shown.wait(.2): break # slower than the masks: the thread waits for a frame when the picture is shown
            yield frame
        go.wait(120)
    found = iter(live(PassingFrames(stalling(), fps=100), method='em', K=2, window=6, overlap=2, refine=None))
    next(found)
    shown.set()
    ending = threading.Thread(target=found.close)
    ending.start()
    ending.join(30)
    stuck = ending.is_alive()
    go.set()
    assert not stuck


def test_an_earlier_file_stays_until_there_is_a_new_one(tmp_path, monkeypatch, capsys):
    "`--overwrite`: what fails in its first pictures leaves the folder as it was, byte for byte; what ends by itself replaces it, however short."
    out = tmp_path/'out'/'a.mp4'
    out.parent.mkdir()
    out.write_bytes(b'an earlier recording')
    def ends(error):
        def frames(fps, max_pixels):
            def some():
                yield from demo_scene(14, (64, 96)).frames
                if error: raise error
            return PassingFrames(some(), fps=12)
        monkeypatch.setattr('ltseg.live.live_frames', lambda source: frames)
        monkeypatch.setattr('ltseg.live.LatestFrames', Roomy)
        return main(['live', 'camera', '-o', str(out), '--overwrite', *QUICK, '--window', '4', '--overlap', '1'])
    before = (out.read_bytes(), out.stat().st_mtime_ns)
    with patch('ltseg.live.Fragments._begin', autospec=True, side_effect=Fragments._begin) as begun:
        assert ends(InputError('camera', 'it was unplugged')) == 2 and 'unplugged' in capsys.readouterr().err
    assert begun.called, 'no picture was written, and nothing was tried'
    assert [p.name for p in out.parent.iterdir()] == ['a.mp4'] and (out.read_bytes(), out.stat().st_mtime_ns) == before
    assert ends(None) == 0
    assert [p.name for p in out.parent.iterdir()] == ['a.mp4'] and len(decoded(out)) == 13

"Videos of any length: pieces that fit together, interruptions that cost nothing, memory that does not grow."
import json
import os
import random
import signal
import sys
import time
from itertools import chain, cycle, islice
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from processes import alone, forks, needs_proc, peak_of, program, run_program  # noqa: F401: a fixture

from ltseg.appearance import Appearance
from ltseg.cli import main
from ltseg.inference import make_plan, memory_needed, open_method, segment, stream
from ltseg.options import Finding, SegmentOptions
from ltseg.report import motion_table
from ltseg.result import read_result
from ltseg.synthetic import demo_scene
from ltseg.video import write_video

SMALL = ['--window', '10', '--overlap', '4', '--size', '48x80']
PIECES = dict(window=10, overlap=4, size=(48, 80)) # the same


@pytest.fixture(scope='module')
def scene():
    return demo_scene(31, (96, 160))


@pytest.fixture(scope='module')
def clip(scene, tmp_path_factory):
    path = tmp_path_factory.mktemp('clip')/'clip.mp4'
    write_video(path, scene.frames, 12)
    return path


def run(*words):
    return main([str(w) for w in words])


def tree(folder):
    "Every file with its bytes, but those that hold timings."
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file() and p.name != 'timing.json'}


def labels_of(folder):
    return np.stack([np.array(Image.open(p)) for p in sorted((folder/'labels').iterdir())])


def test_one_window_is_the_whole(clip):
    "A video that fits into a window gives what `segment` gives."
    (piece,), whole = stream(clip, size=(48, 80)), segment(clip, size=(48, 80))
    assert torch.equal(piece.probs, whole.probs) and torch.equal(piece.labels, whole.labels) and torch.equal(piece.theta, whole.theta)


def test_pieces(scene, clip):
    "The pieces lie one behind the other, hold no more than a window, and agree with the whole."
    pieces = list(stream(clip, **PIECES))
    assert [p.first for p in pieces] == [0, 6, 12, 18, 24] and sum(len(p.source.names) for p in pieces) == 30
    labels, whole = torch.cat([p.labels for p in pieces]), segment(clip, size=PIECES['size']).labels
    assert (labels == whole).float().mean() > .9
    assert [len(p.source.frames) for p in pieces] == [p.probs.shape[1] for p in pieces]


def test_sources_agree(clip, tmp_path, program):
    "A file, the same through a pipe, and its frames from a generator."
    expected = [p.labels for p in stream(clip, **PIECES)]
    with av.open(str(clip)) as video: frames = [f.to_ndarray(format='rgb24') for f in video.decode(video=0)]
    with open(clip, 'rb') as file:
        for source in (file, iter(frames)):
            found = [p.labels for p in stream(source, **PIECES)]
            assert len(found) == len(expected) and all(torch.equal(a, b) for a, b in zip(found, expected))
    for source, read, out in ((clip, os.devnull, 'FILE'), ('-', clip, 'PIPE')): # processes: other tests may have changed the threads of this one
        process = program('segment', source, '-o', tmp_path/out, *SMALL, stdin=read)
        process.join()
        assert process.exitcode == 0
    a, b = tree(tmp_path/'FILE'), tree(tmp_path/'PIPE')
    assert a.keys() == b.keys() and [p.name for p in a if a[p] != b[p]] == ['settings.json']  # it names the source


def test_saved(clip, tmp_path):
    "What is saved fits together: a label image and a frame of the overlay per flow, areas, control points in order."
    out = tmp_path/'OUT'
    assert run('segment', clip, '-o', out, *SMALL) == 0
    assert sorted(p.name for p in out.iterdir()) == ['contact_sheet.png', 'labels', 'overlay.mp4', 'segments.json', 'settings.json', 'timing.json']
    labels, story = labels_of(out), json.loads((out/'segments.json').read_text())
    with av.open(str(out/'overlay.mp4')) as video: times = [f.time for f in video.decode(video=0)]
    assert len(times) == len(labels) == len(story['frames']) == 30 and np.allclose(np.diff(times), 1/12)
    for s in story['segments']:
        area = (labels == s['label']).mean((1, 2))[s['first']:][:len(s['area'])]
        assert np.allclose(area, s['area'], atol=1e-5) and np.all(np.diff(s['motion']['control_points']) > 0)
        assert len(s['motion']['parameters']) == len(s['motion']['control_points'])


def test_cut(scene):
    "A cut starts new numbers; its frame keeps the labels of the one before."
    other = demo_scene(16, (96, 160), seed=3)
    pieces = list(stream(chain(scene.frames, other.frames), window=20, overlap=6, refine=None))
    before, after = ([p for p in pieces if test(p.first)] for test in (lambda t: t < 31, lambda t: t >= 31))
    assert after[0].first == 31 and torch.equal(before[-1].labels[-1], before[-1].labels[-2])
    assert {n for p in before for n in p.present} & {n for p in after for n in p.present} == {0}


def test_occlusion():
    "A square that passes behind a bar, hidden for longer than windows overlap, keeps its number."
    rng = np.random.default_rng(0)
    grain = lambda *size: np.kron(rng.integers(60, 200, (size[0]//4, size[1]//4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    ground, thing, bar = grain(96, 200), grain(28, 28), grain(96, 48)
    frames, place = [], []
    for t in range(64):
        frame, x = ground.copy(), 2 + 3*t
        frame[34:62, max(0, x):x + 28] = thing[:, :max(0, min(28, 200 - x))]
        frame[:, 76:124] = bar
        frames.append(frame)
        place.append(x)
    labels = torch.cat([p.labels for p in stream(iter(frames), window=16, overlap=4)]).numpy()
    seen = {t: np.bincount(labels[t, 38:58, place[t] + 4:place[t] + 24].ravel()).argmax() for t in (6, 12, 45, 50)}
    assert len(set(seen.values())) == 1 and 0 not in seen.values(), seen


def count_calls(moment, counted, words):
    "The program; at so many calls of functions it is killed. The file `counted` gets their number, of a run that comes to its end."
    calls = 0
    def count(frame, event, arg):
        nonlocal calls
        calls += event in ('call', 'c_call')
        if calls == moment: os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(count)
    try: run_program(words, os.devnull, os.devnull)
    finally:
        sys.setprofile(None)
        Path(counted).write_text(str(calls))


def test_killed(clip, tmp_path):
    "Killed at random moments (not of the clock, but of what is done) and resumed, the result has the bytes of an uninterrupted one."
    def run_until(moment, *words):
        process = forks().Process(target=count_calls, args=(moment, tmp_path/'calls', [str(w) for w in ('segment', clip, *SMALL, '-o', *words)]))
        process.start()
        process.join()
        return process.exitcode
    assert run_until(None, tmp_path/'OUT') == 0
    calls, rng = int((tmp_path/'calls').read_text()), random.Random(0)
    ends = [run_until(int(rng.uniform(.1, .9)*calls), tmp_path/'BIT', '--resume') for _ in range(4)]
    assert ends[0] == -signal.SIGKILL and run_until(None, tmp_path/'BIT', '--resume') == 0, ends
    assert tree(tmp_path/'BIT') == tree(tmp_path/'OUT')


def test_unfinished(scene, clip, tmp_path, capsys):
    "An unfinished result is not mistaken for another one; only the same run may go on with it."
    with pytest.raises(RuntimeError): interrupt(stream(str(clip), **PIECES), tmp_path/'OUT')
    assert run('segment', clip, '-o', tmp_path/'OUT', *SMALL) == 2
    message = capsys.readouterr().err
    assert '--resume' in message and '--overwrite' in message
    assert run('segment', clip, '-o', tmp_path/'OUT', *SMALL, '-K', 2, '--resume') == 2
    assert 'another K' in capsys.readouterr().err
    assert run('segment', clip, '-o', tmp_path/'OUT', *SMALL, '--resume') == 0
    assert run('segment', clip, '-o', tmp_path/'OUT', *SMALL, '--resume') == 0  # nothing left to do
    assert run('segment', clip, '-o', tmp_path/'OUT', *SMALL) == 2


def interrupt(pieces, out):
    "Fails after the second piece."
    steps = pieces.reader.steps
    def fail(start):
        for t, step in enumerate(steps(start)):
            if t == 18: raise RuntimeError
            yield step
    pieces.reader.steps = fail
    pieces.save(out)


def as_of_an_earlier_version(summary): # of a piece, or of a whole result
    "Without the frames and control points of each piece, which the first versions did not store."
    for segment in summary['segments']: del segment['motion']['pieces']
    return summary


def rewritten(file, change):
    file.write_text(json.dumps(change(json.loads(file.read_text('utf8')))), 'utf8')


def test_earlier_versions_pieces(clip, tmp_path):
    "An unfinished result of an earlier version goes on to the same end; of a finished one, the report knows the motion."
    assert run('segment', clip, '-o', tmp_path/'WHOLE', *SMALL) == 0
    with pytest.raises(RuntimeError): interrupt(stream(clip, **PIECES), tmp_path/'OUT')
    parts = sorted((tmp_path/'OUT/parts').glob('*.json'))
    assert parts
    for file in parts: rewritten(file, as_of_an_earlier_version)
    assert run('segment', clip, '-o', tmp_path/'OUT', *SMALL, '--resume') == 0
    assert tree(tmp_path/'OUT') == tree(tmp_path/'WHOLE')
    right = motion_table(read_result(tmp_path/'WHOLE'), range(30))
    rewritten(tmp_path/'WHOLE/segments.json', as_of_an_earlier_version)
    np.testing.assert_array_equal(motion_table(read_result(tmp_path/'WHOLE'), range(30)), right)
    assert np.isfinite(right[0]).all()


def test_full_disk(clip, tmp_path, capsys, monkeypatch):
    "A full disk is told in words; what is finished stays, and the run can go on."
    from ltseg import result
    write, written = result.write_palette_png, []
    def full(path, labels):
        if len(written) == 15: raise OSError(28, 'No space left on device')
        written.append(path)
        write(path, labels)
    monkeypatch.setattr(result, 'write_palette_png', full)
    assert run('segment', clip, '-o', tmp_path/'OUT', *SMALL) == 2
    message = capsys.readouterr().err
    assert 'room on the disk' in message and '--resume' in message and 'Traceback' not in message
    monkeypatch.undo()
    assert run('segment', clip, '-o', tmp_path/'OUT', *SMALL, '--resume') == 0
    assert run('segment', clip, '-o', tmp_path/'OTHER', *SMALL) == 0
    assert tree(tmp_path/'OUT') == tree(tmp_path/'OTHER')


def test_two_runs(scene, tmp_path, capsys, program):
    "Two runs into one folder: the second is refused, and the first, which waits for the rest of its video, does not notice."
    film, out, pipe = tmp_path/'film.mkv', tmp_path/'OUT', tmp_path/'pipe'
    write_video(film, [*scene.frames]*2, 12)
    os.mkfifo(pipe)
    first, whole = program('segment', '-', '-o', out, *SMALL, stdin=pipe), film.read_bytes()
    with open(pipe, 'wb') as video:
        video.write(whole[:len(whole)//2])
        video.flush()
        for _ in range(6000): # until it is there
            if (out/'.lock').exists() or not first.is_alive(): break
            time.sleep(.02)
        assert run('segment', film, '-o', out, *SMALL, '--resume') == 2
        video.write(whole[len(whole)//2:])
    first.join()
    assert 'locked' in capsys.readouterr().err and first.exitcode == 0


def test_window_options(clip, tmp_path, capsys):
    for words in (['--overlap', '5', '--window', '8'], ['--overlap', '0'], ['--window', '1', '--overlap', '1'], ['--most', '0']):
        assert run('segment', clip, '-o', tmp_path/'OUT', *words) == 2
        assert words[0][2:] in capsys.readouterr().err and not (tmp_path/'OUT').exists()
    assert run('segment', clip, '-o', tmp_path/'OUT', '--most', '5000', '--size', '32x48') == 0
    assert Image.open(tmp_path/'OUT/labels/00000.png').size == (91, 54)


def peak_of_a_video(n):
    "Bytes that a video of so many frames takes at most."
    frames = demo_scene(10, (384, 512)).frames
    def segmented(n):
        for _ in stream(islice(cycle([*frames, *frames[::-1]]), n), window=8, overlap=2, size=(96, 128), flow='dis-fast'): pass
    segmented(8) # what is loaded once
    return peak_of(lambda: segmented(n))


@needs_proc
def test_memory():
    "Six times the frames take no more memory; measured: to keep their masks or labels took 40 MB more, to keep frames 140."
    short, long = (alone(peak_of_a_video, n) for n in (24, 144))
    assert long < short + 15e6, (short, long)


def times_of(video):
    with av.open(str(video)) as c:
        stream = c.streams.video[0]
        return [f.time for f in c.decode(stream)], float(stream.sample_aspect_ratio or 1), float(c.duration/av.time_base)


def test_frame_times_and_aspect(scene, tmp_path):
    "Uneven frame times and the shape of pixels go into segments.json and the overlay, also of pieces, and of a run that was interrupted."
    times = np.cumsum([0, *[.04, .5, .1, .033]*6])
    film = tmp_path/'film.mp4'
    write_video(film, [f[:48, :80] for f in scene.frames[:24]], 12, times=times, aspect=4/3)
    own, aspect, _ = times_of(film)
    job = lambda: stream(film, K=1, method='em', window=8, overlap=2)
    job().save(tmp_path/'OUT')
    with pytest.raises(RuntimeError): interrupt(job(), tmp_path/'BIT')
    assert json.loads((tmp_path/'BIT/progress.json').read_text())['frames'] > 0
    job().save(tmp_path/'BIT', resume=True)
    assert tree(tmp_path/'OUT') == tree(tmp_path/'BIT')
    story = json.loads((tmp_path/'OUT/segments.json').read_text())
    shown, shape, duration = times_of(tmp_path/'OUT/overlay.mp4')
    assert len(story['times']) == 23 and np.allclose(story['times'], own[:-1], atol=1e-6)
    assert np.allclose(shown, own[:-1], atol=1.01/90000) and abs(duration - own[-1]) < 2e-3
    assert abs(aspect - 4/3) < 1e-3 and abs(shape - 4/3) < 1e-3 and abs(story['pixel_aspect'] - 4/3) < 1e-3
    segment(film, K=1, method='em').save(tmp_path/'ONE') # at once, too
    assert np.allclose(times_of(tmp_path/'ONE/overlay.mp4')[0], own[:-1], atol=1.01/90000)


def test_truncated(scene, tmp_path, caplog):
    "The frames that are there are segmented, and the warning that some are missing is kept; so with `--resume`."
    rng = np.random.default_rng(0)
    write_video(tmp_path/'cut.mkv', [rng.integers(0, 255, (48, 80, 3), dtype=np.uint8) for _ in range(48)], 12)
    (tmp_path/'cut.mkv').write_bytes((tmp_path/'cut.mkv').read_bytes()[:-40000])
    words = ['segment', tmp_path/'cut.mkv', '--method', 'em', '-K', 1, '--window', 8, '--overlap', 2]
    assert run(*words, '-o', tmp_path/'OUT') == 0
    kept = json.loads((tmp_path/'OUT/settings.json').read_text())['warnings']
    assert len(kept) >= 1 and all(text in caplog.text and 'cut.mkv' in text for text in kept)
    assert not (tmp_path/'OUT/progress.json').exists() and 2 < len(labels_of(tmp_path/'OUT')) < 47
    video = stream(tmp_path/'cut.mkv', K=1, method='em', window=8, overlap=2)
    with pytest.raises(RuntimeError): interrupt(video, tmp_path/'BIT')
    assert run(*words, '-o', tmp_path/'BIT', '--resume') == 0
    assert tree(tmp_path/'OUT') == tree(tmp_path/'BIT')


def test_frames_in_memory_and_a_method(scene):
    "`segment` takes what `stream` takes: lists, arrays and generators of frames, open files, and a `Method`."
    class Left:
        max_segments, about = 2, dict(method='left')
        def __call__(self, flow, K):
            left = torch.zeros_like(flow[:, :1])
            left[..., :20] = 1
            return torch.cat([left, 1 - left], 1)
    frames = list(scene.frames[:4])
    for source in (frames, np.stack(frames), iter(frames), (f for f in frames)):
        whole = segment(source, K=2, method=Left(), refine='image', fps=10)
        assert whole.settings['method'] == 'left' and whole.settings['source'] == 'frames' and whole.settings['fps'] == 10
        assert whole.labels.shape == (3, 96, 160) and torch.equal(whole.labels, next(iter(stream(frames, K=2, method=Left(), refine='image', fps=10))).labels)
    with pytest.raises(ValueError, match='uint8'): segment(['a.png', 'b.png'])
    big = [np.kron(f, np.ones((2, 2, 1), np.uint8)) for f in frames]
    assert segment(big, K=2, method=Left(), most=5000).labels.shape[1:] == (54, 91)


def test_again(scene, clip):
    "A stream of what can be read again begins anew, with the same pieces; of what cannot, it says so."
    again = stream(list(scene.frames[:12]), K=2, method='em', window=6, overlap=2)
    one, two = list(again), list(again)
    assert len(one) == len(two) > 1 and all(torch.equal(a.probs, b.probs) and a.first == b.first for a, b in zip(one, two))
    assert len({id(p.seconds) for p in one}) == len(one)
    with open(clip, 'rb') as file:
        once = stream(file, K=1, method='em', window=16)
        assert len(list(once)) > 1
        with pytest.raises(ValueError, match='cannot be read again'): list(once)


def test_recorded_is_what_acted(scene, tmp_path):
    "Settings tell of no option that had no effect, and a warning tells that it had none."
    flow = torch.randn(2, 4, 32, 48, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match='flow already, so flow and max_pixels had no effect'):
        found = segment(flow, K=2, method='em', flow='dis-fine', most=1000)
    assert [found.settings[k] for k in ('flow', 'max_pixels', 'device')] == [None]*3 and found.source.notes
    assert segment(list(scene.frames[:3]), K=2).settings['device'] == ('cuda:0' if torch.cuda.is_available() else 'cpu')
    plans = [segment(flow, K=2, adapt=1, motion_model=name, device='cpu').probs for name in ('QuadraticFull_fk3', 'Constant')]
    assert not torch.equal(*plans) # the adaptation is by the model that was asked for
    np.save(tmp_path/'a.npy', flow.numpy())
    for option in (['--appearance', 'quick'], ['--weights', 'x'], ['--device', 'cpu']):
        assert run('segment', tmp_path/'a.npy', '-o', tmp_path/'OUT', '--method', 'em', *option) == 2
    assert not (tmp_path/'OUT').exists()


def test_appearance_of_a_window(clip, tmp_path, capsys):
    "A window learns from its own frames: an interrupted run goes on to the same result, and not with other steps."
    job = lambda: stream(str(clip), **PIECES, appearance=Appearance(3))
    job().save(tmp_path/'OUT')
    with pytest.raises(RuntimeError): interrupt(job(), tmp_path/'BIT')
    with pytest.raises(ValueError, match='another appearance'): stream(str(clip), **PIECES).save(tmp_path/'BIT', resume=True)
    job().save(tmp_path/'BIT', resume=True)
    assert tree(tmp_path/'OUT') == tree(tmp_path/'BIT')


def peak_and_estimate(method, K, T, adapt, appearance, out):
    "Bytes that a job takes at most, and what is expected before."
    method = open_method(SegmentOptions(method=method, device='cpu'))
    frames = np.random.default_rng(0).integers(0, 256, (T + 1, 128, 224, 3), dtype=np.uint8)
    flow = torch.randn(2, T, 128, 224)
    list(stream(torch.randn(2, 3, 32, 32), K=2, method=method)) # what is loaded once
    peak = peak_of(lambda: stream([*frames] if appearance else flow, K=K, method=method, adapt=adapt, appearance=appearance, window=64, flow='dis', refine=None).save(out))
    return peak, memory_needed(method, make_plan(method, Finding(K=K, adapt=adapt, appearance=appearance)), T, (128, 224), (128, 224))


@needs_proc
@pytest.mark.parametrize('method, K, T, adapt, appearance', [('network', 4, 40, 0, None), ('em', 6, 24, 0, None), ('network', 4, 12, 1, None), ('em', 2, 6, 0, Appearance(2))])
def test_estimate_of_memory(method, K, T, adapt, appearance, tmp_path):
    "The estimate is near the peak of a job; measured: within 20 % at three sizes, four lengths, K from 2 to 8."
    peak, estimate = alone(peak_and_estimate, method, K, T, adapt, appearance, tmp_path/'OUT')
    assert .6*peak < estimate < 1.6*peak, (peak, estimate)

"Stages that overlap: the same bytes as one after the other, nothing left behind when they are stopped, and a fixed number of things in flight."
import contextvars
import os
import signal
import threading
import traceback
import warnings
import weakref
from contextlib import closing
from dataclasses import replace
from threading import enumerate as threads

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from ltseg import adapt, appearance, result
from ltseg.adapt import Adaptation
from ltseg.appearance import Appearance
from ltseg.inference import stream
from ltseg.pipeline import ahead
from ltseg.synthetic import demo_scene
from ltseg.video import DIS, GuidedDIS, flow_pairs, write_video


class Fast:
    "A method of no cost: what moves faster than the average."
    max_segments, about = 2, dict(method='fast')
    def __call__(self, flow, K):
        speed = flow.norm(dim=1)
        fast = (speed > speed.mean()).float()
        return torch.stack([1 - fast, fast], 1)


PIECES = dict(window=8, overlap=2, K=2, method=Fast(), size=(32, 48), flow='dis-fast')


@pytest.fixture(scope='module')
def scene():
    return demo_scene(33, (64, 96))


@pytest.fixture(scope='module')
def clip(scene, tmp_path_factory):
    path = tmp_path_factory.mktemp('clip')/'clip.mp4'
    write_video(path, scene.frames, 12)
    return path


@pytest.fixture(autouse=True)
def no_threads_left():
    "Of whatever happens in these tests."
    before = running()
    yield
    assert running() <= before


def running():  # threads, but that which tqdm keeps for its bars
    return {t for t in threads() if t.name != 'tqdm_monitor'}


def tree(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file() and p.name != 'timing.json'}


class Thing:
    "Something large; who counts them knows how many there are."
    alive = weakref.WeakSet()
    def __init__(self, n):
        self.n = n
        self.alive.add(self)


@pytest.mark.parametrize('most', [0, 1, 3, 100])
def test_order_and_number(most):
    "Items come in order; besides the one in use there are never more than were allowed, and the one that is awaited."
    made, seen = [], []
    def things():
        for n in range(20):
            made.append(n)
            yield Thing(n)
    for thing in ahead(things(), most):
        seen.append(thing.n)
        assert len(made) <= len(seen) + most + 1
        assert len(Thing.alive) <= most + 2
    assert seen == list(range(20)) and list(ahead([], most)) == []


def test_really_ahead():
    "The next items are made while nobody asks; with none allowed, only on demand."
    more = threading.Event()
    def numbers():
        yield 0
        more.set()
        yield 1
    with closing(ahead(numbers(), 1)) as some:
        next(some)
        assert more.wait(60)
    more.clear()
    with closing(ahead(numbers(), 0)) as some:
        next(some)
        assert not more.is_set()


def torn():
    yield 'whole'
    raise RuntimeError('torn')


class Stubborn:
    "An iterator that goes on after an error."
    n = 0
    def __iter__(self): return self
    def __next__(self):
        self.n += 1
        if self.n == 2: raise RuntimeError('torn')
        return self.n


@pytest.mark.parametrize('most', [0, 1, 5])
def test_errors(most):
    "An error comes behind the items before it, with the lines that raised it, and nothing is made after it."
    seen, source = [], Stubborn()
    for items in (torn(), source):
        with pytest.raises(RuntimeError, match='torn') as e:
            for item in ahead(items, most): seen.append(item)
    assert seen == ['whole', 1] and source.n == 2
    assert '__next__' in [frame.name for frame in traceback.extract_tb(e.tb)]


@pytest.mark.parametrize('most', [0, 1, 5])
@pytest.mark.parametrize('stop', [KeyboardInterrupt, GeneratorExit, RuntimeError])
def test_stopped_early(most, stop):
    "Whoever takes the items fails, is interrupted or has enough: the source is closed, behind stages in between, too."
    ended = []
    def numbers():
        try: yield from range(10**9)
        finally: ended.append(True)
    def doubled(items):
        with closing(items): yield from (2*n for n in items)
    for items in (ahead(numbers(), most), ahead(doubled(ahead(numbers(), most)), most)):
        with pytest.raises(stop), closing(items):
            for n in items:
                if n >= 4: raise stop
    assert ended == [True, True]


def test_context():
    "Context variables are those of whoever asks, such as NumPy's error handling; gradients and the number of threads of torch are as usual."
    word = contextvars.ContextVar('word')
    word.set('mine')
    def states():
        yield word.get(), np.geterr()['over'], torch.is_grad_enabled(), torch.get_num_threads()
    with np.errstate(over='raise'): (found,) = ahead(states(), 1)
    assert found == ('mine', 'raise', True, torch.get_num_threads())


@pytest.mark.parametrize('refine', [None, 'flow-then-image'])
def test_same_bytes(clip, scene, tmp_path, refine):
    "Every file has the same bytes, ahead or not, with any number of threads for the flow: of a video, pictures in memory, and a scene that ends."
    several = [*scene.frames[:14], *demo_scene(12, (64, 96), seed=3).frames]
    for number, source in enumerate((str(clip), several)):
        trees = []
        for early, pairs in ((0, 1), (1, 4), (2, 2)):
            estimator = DIS('fast')
            estimator.threads = pairs
            job = replace(stream(source, **PIECES | dict(flow=estimator, refine=refine)), early=early)
            out = tmp_path/f'{number}-{early}-{pairs}'
            assert job.save(out).flows == (32, 25)[number]
            trees.append(tree(out))
        assert all(t == trees[0] for t in trees) and len(trees[0]) > 25


def test_who_may_be_ahead(clip, scene, monkeypatch):
    "What can be read again, if the memory holds it; what passes once is read where it is used."
    again = [str(clip), list(scene.frames[:4]), torch.ones(2, 3, 32, 48)]
    assert [stream(source, **PIECES).early for source in again] == [1, 1, 1]
    with open(clip, 'rb') as pipe: assert [stream(source, **PIECES).early for source in (iter(scene.frames[:4]), pipe)] == [0, 0]
    film = [np.zeros((600, 800, 3), np.uint8)]*9
    monkeypatch.setattr('ltseg.inference.free_memory', lambda: 110_000_000)  # a window takes 82 MB, three of them as many and 26 MB of frames
    few = PIECES | dict(refine=None)
    assert stream(film, **few).early == 0
    monkeypatch.setattr('ltseg.inference.free_memory', lambda: 200_000_000)
    assert stream(film, **few).early == 1


def test_a_generator_is_read_here(scene, tmp_path):
    "Frames from a generator are asked for in the thread that saves, whatever they belong to."
    seen = set()
    def frames():
        for frame in scene.frames[:20]:
            seen.add(threading.current_thread())
            yield frame
    stream(frames(), **PIECES).save(tmp_path/'OUT')
    assert seen == {threading.current_thread()}


class Frames:
    "Frames that can be read again, of which somebody counts those in memory."
    def __init__(self, frames): self.frames, self.alive, self.most = frames, weakref.WeakSet(), 0
    def __iter__(self):
        class Frame(np.ndarray): pass  # arrays can be referred to weakly, and are compared by what they are
        Frame.__hash__ = object.__hash__
        for frame in self.frames:
            one = frame.copy().view(Frame)
            self.alive.add(one)
            self.most = max(self.most, len(self.alive))
            yield one


@pytest.mark.parametrize('n', [64, 128])
def test_frames_in_flight(scene, tmp_path, n):
    "However long the video, there are never more than three windows of frames in memory, and those on their way from one hand to the next."
    frames = Frames([f for _ in range(n//32) for f in scene.frames[:32]])
    job = stream(frames, **PIECES | dict(refine=None))
    assert job.early == 1
    job.save(tmp_path/'OUT')
    assert 8 < frames.most <= 3*8 + DIS().threads + 8


def broken_at(n, error):
    "An estimator that fails at the n-th pair of frames, in the thread that reads."
    class Broken(DIS):
        count = 0
        def __call__(self, first, second):
            self.count += 1
            if self.count == n: error()
            return super().__call__(first, second)
    broken = Broken('fast')
    broken.threads = 1
    return broken


def fail(): raise RuntimeError('no flow')
def interrupt(): os.kill(os.getpid(), signal.SIGINT)


class Word:
    "A callable of one name, as settings say it, in place of another."
    def __init__(self, call): self.call = call
    def __call__(self, *args): return self.call(*args)
    def __repr__(self): return 'flow'


def saved_frames(out): return result._read_json(out/'progress.json')['frames'] if (out/'progress.json').exists() else 0


def test_error_of_the_flow(clip, tmp_path):
    "What is saved when the flow fails is what one after the other would have saved, and the run goes on to the same bytes."
    job = lambda n, early: replace(stream(clip, **PIECES | dict(flow=Word(broken_at(n, fail)))), early=early)
    job(0, 0).save(tmp_path/'WHOLE')
    for n in (2, 11, 28):
        for early in (0, 1):
            with pytest.raises(RuntimeError, match='no flow'): job(n, early).save(tmp_path/f'{n}-{early}')
        assert saved_frames(tmp_path/f'{n}-1') == saved_frames(tmp_path/f'{n}-0')
        job(0, 1).save(tmp_path/f'{n}-1', resume=True)
        assert tree(tmp_path/f'{n}-1') == tree(tmp_path/'WHOLE')
    assert not (tmp_path/'2-0').exists()


def test_ctrl_c(clip, tmp_path):
    "Ctrl-C while flow is estimated in another thread: no thread and no lock stays, and the run goes on to the same bytes."
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    job = lambda n: stream(clip, **PIECES | dict(flow=Word(broken_at(n, interrupt))))
    try:
        job(0).save(tmp_path/'WHOLE')
        with pytest.raises(KeyboardInterrupt): job(20).save(tmp_path/'OUT')
    finally: signal.signal(signal.SIGINT, heard)
    assert not (tmp_path/'OUT/.lock').exists() and not (tmp_path/'OUT/segments.json').exists()
    job(0).save(tmp_path/'OUT', resume=True)
    assert tree(tmp_path/'OUT') == tree(tmp_path/'WHOLE')


@pytest.mark.parametrize('error', [KeyboardInterrupt(), RuntimeError('broken'), OSError(28, 'No space left on device')], ids=repr)
def test_saving_fails(clip, tmp_path, monkeypatch, error):
    "Where saving fails, the stages before stop as well; what is saved stays."
    write, written = result.write_palette_png, []
    def failing(path, labels):
        if len(written) == 15: raise error
        written.append(path)
        write(path, labels)
    stream(clip, **PIECES).save(tmp_path/'WHOLE')
    with monkeypatch.context() as m, pytest.raises((type(error), ValueError)) as e:
        m.setattr(result, 'write_palette_png', failing)
        stream(clip, **PIECES).save(tmp_path/'OUT')
    assert saved_frames(tmp_path/'OUT') == 12
    assert '--resume goes on at frame 12' in ''.join([str(e.value), *getattr(e.value, '__notes__', [])]) or isinstance(error, RuntimeError)
    stream(clip, **PIECES).save(tmp_path/'OUT', resume=True)
    assert tree(tmp_path/'OUT') == tree(tmp_path/'WHOLE')


def test_pieces_left_early(clip):
    "Whoever iterates and has enough leaves no thread behind; one that waits meanwhile stops nothing."
    for piece in stream(clip, **PIECES): break
    pieces = iter(stream(clip, **PIECES))
    assert next(pieces).first == 0 and next(pieces).first == 6
    pieces.close()


@pytest.mark.parametrize('work', ['adapt', 'appearance'])
def test_long_work_stops(work, scene, monkeypatch):
    "A window that learns gives up as soon as nobody waits for it."
    steps, masks = [], torch.stack([torch.ones(4, 32, 48)*.5, torch.eye(48).repeat(4, 1, 1)[:, :32]])
    begun = threading.Event()
    def step(*_):
        steps.append(0)
        begun.set()
        return torch.zeros((), requires_grad=True)
    monkeypatch.setattr(adapt, 'window_loss', step)
    monkeypatch.setattr(appearance, '_piece', lambda *args, piece=appearance._piece: (step(), piece(*args))[1])
    def learnt():
        yield 'first'
        if work == 'adapt': Adaptation(20_000)(torch.nn.Linear(1, 1), torch.zeros(2, 4, 32, 48), 2)
        else: Appearance(20_000)(masks/masks.sum(0), list(scene.frames[:4]))
        yield 'second'
    with closing(ahead(learnt(), 1)) as items:
        next(items)
        assert begun.wait(60)
    assert len(steps) < 10_000


def test_seconds(clip, tmp_path):
    "Each piece has the times of its own steps; the times of the stages overlap, so the whole is said beside them, and is no sum."
    job = stream(clip, **PIECES)
    pieces = list(job)
    assert all(set(p.seconds) == {'flow', 'masks', 'linking', 'motion'} and min(p.seconds.values()) > 0 for p in pieces)
    for stage in ('flow', 'masks'): assert sum(p.seconds[stage] for p in pieces) == pytest.approx(job.clock.seconds[stage])
    done = stream(clip, **PIECES).save(tmp_path/'OUT')
    assert set(done.seconds) == {'flow', 'masks', 'linking', 'motion', 'saving', 'all'}
    assert done.seconds['all'] >= done.seconds['saving'] > 0
    assert result._read_json(tmp_path/'OUT/timing.json') == {stage: round(s, 3) for stage, s in done.seconds.items()}


def test_warnings_beside_pictures(scene, tmp_path):
    "While pictures are read in another thread, warnings are heard, and filters that somebody sets here are gone afterwards."
    for t, frame in enumerate(scene.frames[:20]): Image.fromarray(frame).save(tmp_path/f'{t:02d}.png')
    def others(): return [f for f in warnings.filters if 'PIL' not in str(f[3])]
    before = others()
    heard, pieces = [], 0
    for pieces, piece in enumerate(stream(tmp_path, **PIECES), 1):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            for n in range(50): warnings.warn(f'{piece.first} {n}', stacklevel=1)
        heard += caught
    assert pieces > 2 and len(heard) == 50*pieces
    assert others() == before


def test_flow_whatever_the_threads():
    "The default flow has the same bytes with any number of OpenCV's threads, and of pairs at once."
    frames, threads, found = demo_scene(4, (180, 320)).frames, cv2.getNumThreads(), []
    try:
        for n, pairs in ((1, 1), (2, 1), (3, 1), (2, 2), (4, 3)):
            cv2.setNumThreads(n)
            found.append(torch.stack(list(flow_pairs(frames, GuidedDIS(), pairs))))
            assert cv2.getNumThreads() == n
    finally: cv2.setNumThreads(threads)
    assert all(torch.equal(f, found[0]) for f in found)

"Training for real: stopped, killed and resumed, spoilt, on videos, with every logger, from the notebook."
import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hostile import snapshot
from PIL import Image
from processes import alone, program, run_file  # noqa: F401: a fixture

import ltseg.data as ltseg_data
from ltseg.cli import build_parser, main
from ltseg.segmenter import Segmenter
from ltseg.splits import fill_flow, read_split, split_folder
from ltseg.synthetic import SceneMaker, demo_scene, make_shard
from ltseg.train import TrainSettings, read_metrics, train
from ltseg.video import DIS

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT/'nbs'/'88_train.ipynb'

STEPS, EPOCH = 6, 2
OPTIONS = f'--steps {STEPS} --epoch-steps {EPOCH} --batch-size 2 --val 1 --accelerator cpu'.split()
SMALL = ['--size', '32x48', '--length', '5']


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    "As the processes that are started here: the same operations in the same order."
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ltseg(*words):
    try: return main(['train', *map(str, words)])
    except SystemExit as e: return e.code


def wait_for(path, process, seconds=600):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.is_alive(), 'the run ended by itself'
        assert time.monotonic() < end, f'{path.name} did not appear'
        time.sleep(.02)


@pytest.fixture(scope='module')
def shard(tmp_path_factory):
    folder = tmp_path_factory.mktemp('shard')
    make_shard(folder, SceneMaker(DIS('fast'), 5, (32, 48), frame_size=(64, 96)), 6)
    return folder


@pytest.fixture(scope='module')
def straight(shard, tmp_path_factory):
    "A run that is never stopped."
    out = tmp_path_factory.mktemp('runs')/'straight'
    assert ltseg('-o', out, '--shards', shard, *OPTIONS) == 0
    return out


def same_run(a, b):
    a, b = (torch.load(folder/'last.ckpt', weights_only=True) for folder in (a, b))
    assert a['global_step'] == b['global_step'] == STEPS
    for name in a['state_dict']: torch.testing.assert_close(a['state_dict'][name], b['state_dict'][name])
    assert a['lr_schedulers'][0]['last_epoch'] == b['lr_schedulers'][0]['last_epoch']


def test_kill_and_resume(shard, straight, tmp_path, capsys, program):
    "A run that is killed and goes on ends with the weights and the optimiser of one that was never stopped."
    parts = tmp_path/'parts'
    data = ['-o', parts, '--shards', shard, *OPTIONS]
    process = program('train', *data, '--steps', 1000)
    wait_for(parts/'last.ckpt', process)
    process.kill()
    process.join()
    assert not (parts/'weights.safetensors').exists()
    assert torch.load(parts/'last.ckpt', weights_only=True)['global_step'] > 0  # what is there is whole
    before = snapshot(tmp_path)
    assert ltseg(*data) == 2 and '--resume' in capsys.readouterr().err  # not by accident
    assert ltseg(*data, '--resume', '--lr', '1') == 2 and 'lr=' in capsys.readouterr().err  # not as another run
    assert snapshot(tmp_path) == before


def test_ctrl_c(shard, tmp_path, program):
    "One line says what is kept; no traceback of Lightning's, and not its status 1."
    out, file = tmp_path/'run', tmp_path/'said'
    process = program('train', '-o', out, '--shards', shard, *OPTIONS, '--steps', 1000, said=file)
    wait_for(out/'last.ckpt', process)
    os.kill(process.pid, signal.SIGINT)
    process.join(600)
    said = file.read_text('utf8')
    assert re.search(r'stopped; what was trained until step \d+ is kept, and --resume goes on', said) and 'Traceback' not in said, said
    assert process.exitcode in (130, -signal.SIGINT) and not (out/'weights.safetensors').exists()


class Stop:
    "Raises an error in a training step."
    def __init__(self, monkeypatch, error, step):
        own, self.n = Segmenter.training_step, 0

        def training_step(module, batch, n):
            self.n += 1
            if self.n > step: raise error
            return own(module, batch, n)
        monkeypatch.setattr(Segmenter, 'training_step', training_step)


def settings(out, **more):
    return TrainSettings(str(out), **dict(steps=STEPS, epoch_steps=EPOCH, batch_size=2, val=1, trainer=dict(accelerator='cpu')) | more)


def test_interrupt_and_resume(shard, straight, tmp_path, monkeypatch):
    "Ctrl-C in an epoch keeps the one before; the run goes on from there to the very end of one that was never stopped."
    run, handler = settings(tmp_path/'run', shards=[str(shard)]), signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt) as e:
        Stop(m, KeyboardInterrupt(), 3)
        train(run, progress=False)
    assert 'until step 2 is kept, and --resume goes on' in e.value.__notes__[0]
    assert signal.getsignal(signal.SIGINT) == handler  # Lightning would be deaf to the next one
    assert {p.name for p in (tmp_path/'run').iterdir()} == {'best.ckpt', 'last.ckpt', 'settings.json', 'logs'}
    train(run, resume=True, progress=False)
    same_run(straight, tmp_path/'run')
    log = read_metrics(tmp_path/'run')
    assert (log['step'].diff().dropna() > 0).all() and log['val/loss'].count() == STEPS//EPOCH
    assert not [p for p in (tmp_path/'run').rglob('.*') if p.is_file()]  # no temporary files


@pytest.mark.parametrize('error', [KeyboardInterrupt(), RuntimeError('out of memory'), OSError(28, 'No space left on device')], ids=repr)
def test_nothing_trained_nothing_left(error, video, tmp_path, monkeypatch):
    "Before the first checkpoint, a failed start leaves the folder as it was; scenes and flow that are ready outlast what is no refusal."
    out = tmp_path/'OUT'
    run = settings(out, synthetic=5, videos=[str(video)], unsupervised=1., length=3, size=(32, 48))
    with monkeypatch.context() as m, pytest.raises(type(error)) as e:
        Stop(m, error, 1)
        train(run, progress=False)
    if isinstance(error, OSError):
        assert not out.exists()
        return
    assert sorted(p.name for p in out.iterdir()) == ['flows', 'shard']
    if isinstance(error, KeyboardInterrupt): assert 'shard and flows are kept' in e.value.__notes__[0]
    before = snapshot(out)
    monkeypatch.setattr(ltseg_data, 'estimate_flow', None)  # nothing is made again
    monkeypatch.setattr(SceneMaker, '__call__', None)
    train(run, progress=False)
    assert before.items() <= snapshot(out).items()


def test_resume_that_fails_leaves_the_run(straight, shard, tmp_path, monkeypatch):
    shutil.copytree(straight, tmp_path/'run', dirs_exist_ok=True)
    before = snapshot(tmp_path)
    Stop(monkeypatch, RuntimeError('out of luck'), 0)
    with pytest.raises(RuntimeError):
        train(settings(tmp_path/'run', shards=[str(shard)], steps=2*STEPS), resume=True, progress=False)
    assert snapshot(tmp_path) == before


def advised(message, *options):
    "The words of the options that a message recommends."
    return [w for o in options for w in (o, re.search(rf'{o} ([^\s;,)]+)', message)[1])]


def test_loss_that_is_no_number(shard, tmp_path, monkeypatch, capsys):
    "Training ends at once, with status 2 and without weights; what was good before is kept, and the advice can be followed."
    own, data = Segmenter.training_step, ['--shards', shard, *OPTIONS]
    with monkeypatch.context() as m:
        m.setattr(Segmenter, 'training_step', lambda self, batch, n: own(self, batch, n)*(1 if self.trainer.global_step < 3 else torch.nan))
        assert ltseg('-o', tmp_path/'run', *data) == 2
    message = capsys.readouterr().err
    assert 'the loss is NaN or infinite at step 4' in message
    assert not (tmp_path/'run'/'weights.safetensors').exists()
    for name in ('best', 'last'): Segmenter.from_pretrained(tmp_path/'run'/f'{name}.ckpt')  # which checks it
    assert ltseg('-o', tmp_path/'new', *data, *advised(message, '--finetune', '--lr')) == 0


def test_gradients_that_are_no_numbers(shard, tmp_path, monkeypatch, capsys):
    "The loss may be fine where its gradient is not."
    own = Segmenter.training_step

    def training_step(self, batch, n):
        loss = own(self, batch, n)
        return loss + torch.sqrt(0*next(self.parameters()).sum()**2) # of which the derivative at 0 is 0/0
    monkeypatch.setattr(Segmenter, 'training_step', training_step)
    assert ltseg('-o', tmp_path/'run', '--shards', shard, *OPTIONS) == 2
    assert 'a weight is NaN or infinite at step 1' in capsys.readouterr().err and not (tmp_path/'run').exists()


def test_damaged_checkpoint(straight, shard, tmp_path, capsys):
    "The way out that the message names is one."
    shutil.copytree(straight, tmp_path/'run', dirs_exist_ok=True)
    (tmp_path/'run'/'last.ckpt').write_bytes(b'')
    data = ['--shards', shard, *OPTIONS]
    assert ltseg('-o', tmp_path/'run', *data, '--resume') == 2
    message = capsys.readouterr().err
    assert ltseg('-o', tmp_path/'new', *data, *advised(message, '--finetune')) == 0


def test_the_record(straight, shard):
    "What did not act is not in it; what was made earlier says what it was made from."
    record = json.loads((straight/'settings.json').read_text('utf8'))
    assert not {'flow', 'real_share', 'textures', 'cache', 'base_dir', 'bad_flow'} & set(record['settings'])
    assert (record['settings']['length'], record['settings']['size']) == (5, [32, 48])  # those of the shard
    assert record['shards'][str(shard)]['flow'] == "DIS('fast')" and record['warnings'] == []


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp('video')/'clip'
    folder.mkdir()
    for n, frame in enumerate(demo_scene(40, (48, 80)).frames): Image.fromarray(frame).save(folder/f'{n}.png')
    return folder


def test_videos_and_loggers(video, tmp_path, monkeypatch, capsys):
    "Real flow without labels beside synthetic volumes, with Weights & Biases offline."
    out = tmp_path/'run'
    monkeypatch.setenv('WANDB_MODE', 'offline')
    assert ltseg('-o', out, '--videos', video, *OPTIONS, *SMALL) == 2 and 'unsupervised' in capsys.readouterr().err  # nothing to learn from
    options = ['--videos', video, '--synthetic', '6', '--unsupervised', '1', '--logger', 'wandb', *OPTIONS, *SMALL]
    assert ltseg('-o', out, *options) == 0
    assert list((out/'flows').glob('clip-*.npy')) and list(out.glob('wandb/offline-run-*'))
    log = pd.read_csv(out/'logs'/'version_0'/'metrics.csv')
    assert log['train/loss'].notna().any() and log['val/loss'].notna().sum() == STEPS//EPOCH
    assert Segmenter.from_pretrained(out/'weights.safetensors').recipe.unsupervised == 1


def test_remarks_on_videos(video, tmp_path, monkeypatch):
    "They are in the record, also where the flow was estimated by an earlier start."
    own = ltseg_data.open_frames

    def open_frames(path):
        frames = own(path)
        frames.notes = [f'{Path(path).name}: ends early']
        return frames
    monkeypatch.setattr(ltseg_data, 'open_frames', open_frames)
    run = settings(tmp_path/'run', videos=[str(video)], unsupervised=1., length=3, size=(32, 48), steps=1, epoch_steps=1)
    with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
        Stop(m, KeyboardInterrupt(), 0)
        train(run, progress=False)
    train(run, progress=False)
    assert json.loads((tmp_path/'run'/'settings.json').read_text('utf8'))['warnings'] == ['clip: ends early']


def papermill(*words):
    "Its command, in this process, the cells too, where nothing is exported anew."
    from execnb.shell import CaptureShell
    from papermill.cli import papermill
    from papermill.engines import Engine, papermill_engines

    class Here(Engine):
        @classmethod
        def execute_managed_notebook(cls, manager, kernel_name, **options):
            shell = CaptureShell()
            for cell in manager.nb.cells:
                if cell.cell_type == 'code': shell.run(cell.source)
                if shell.exc: raise RuntimeError(shell.prettytb())
    papermill_engines.register('here', Here)
    os.environ['IN_TEST'] = '1' # of nbdev
    os.chdir(NOTEBOOK.parent)
    papermill.main([*words, '--engine', 'here', '--no-progress-bar'], standalone_mode=False)


def test_notebook_headless(video, tmp_path):
    "The training notebook with parameters, through papermill: the published network, without truth."
    settings = dict(videos=[str(video)], network='ltms', steps=2, epoch_steps=2, batch_size=1, size=[32, 48], length=5, trainer=dict(accelerator='cpu'))
    alone(papermill, str(NOTEBOOK), str(tmp_path/'out.ipynb'), '-p', 'out', str(tmp_path/'run'), '-p', 'settings', json.dumps(settings))
    segmenter = Segmenter.from_pretrained(tmp_path/'run'/'weights.safetensors')
    assert segmenter.config.backbone == 'unet3d' and segmenter.recipe.supervised == 0


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    "Two annotated clips with tables and flow; SPLIT_train.csv and SPLIT_val.csv as in the notes of the method's users."
    top = tmp_path_factory.mktemp('base')
    for name, frames, seed in (('a', 12, 7), ('b', 8, 3)):
        scene = demo_scene(frames, (48, 80), seed)
        for kind, pictures in dict(JPEGImages=scene.frames, Annotations=(scene.labels > 0)*np.uint8(255)).items():
            (top/kind/'480p'/name).mkdir(parents=True)
            for t, picture in enumerate(pictures): Image.fromarray(picture).save(top/kind/'480p'/name/f'{t:05d}.png')
    split_folder(top, 'SPLIT', val=['b'], progress=False)
    fill_flow('SPLIT', top, 'dis-fast', progress=False)
    return top


FLOWS = ' '.join(f'Flow{n:+d}' if n else 'Flow' for n in range(-2, 3))
PUBLISHED = f"""--data_file SPLIT -L 4 --inputs {FLOWS} --flows_volume {FLOWS} --len_seq 5 --param_model QuadraticFull_fk3
    --flow_augmentation globalmotion.QuadraticFull_fk3.light --experimental_flag PerturbInputFlowNoise PerturbInputFlowNull
    --limit_train_batches 0.1 --image_size 32 48 --accelerator cpu""".split()
LOSS = ['--regularisation', '{"EulerPottsl1R3" : 1}']


def published(base, out, *more):
    words = ['--base_dir', base, '--save_dir', out, *PUBLISHED, *LOSS, *more]
    assert ltseg(*words) == 0


def test_published_command(base, tmp_path):
    "The command of the released program: published network and loss, scores of every frame, the same after a stop."
    straight, parts, more = tmp_path/'straight', tmp_path/'parts', tmp_path/'more'
    published(base, straight, '--max_epochs', 2, '--logger', 'tensorboard')
    settings = json.loads((straight/'settings.json').read_text())['settings']
    assert (settings['network'], settings['recipe'], settings['batch_size']) == ('ltms', 'ltms', 3)
    assert list(straight.glob('tensorboard/*/events*'))
    results = pd.read_csv(straight/'results.csv')
    assert list(results.columns) == ['epoch', 'Sequence', 'Sequence_Index', 'loss', 'jaccard', 'jaccard_best', 'masks_used']
    assert len(results) == 2*3 and (results.Sequence == 'b').all()  # of 7 flows, 3 have two on either side
    assert results.loss.between(0, 2).all() and (results.jaccard <= results.jaccard_best + 1e-6).all()
    for epochs in (1, 2): published(base, parts, '--max_epochs', epochs, '--resume')
    pd.testing.assert_frame_equal(pd.read_csv(parts/'results.csv'), results)
    weights = Segmenter.from_pretrained(straight/'weights.safetensors')
    assert weights.network.max_segments == 4 and weights.recipe.supervised == 0
    published(base, more, '--max_epochs', 1, '--finetune', straight/'weights.safetensors', '-L', 3, '--lr', 1e-9)
    tuned = Segmenter.from_pretrained(more/'weights.safetensors')
    assert tuned.network.max_segments == 3
    for (name, a), b in zip(weights.network.named_parameters(), tuned.network.parameters()):
        assert name.startswith('decoder.queries') or torch.allclose(a, b, atol=1e-5), name


@pytest.mark.parametrize('options', [
    ['--queries', 'gaussian', '--decoder', 'slots', '--norm', 'cBlockNorm3d', '--scheduler', 'StepLR'],
    ['--scheduler', 'CyclicLR', '--distance', 'charb', '--loss', 'pieceFit', '--norm', 'instance', '--boundaries', 'Periodic'],
    ['--network', 'lean', '--recipe', 'ltms', '--regularisation', '{"Potts": 0.1, "Entropy": 0.01}', '--cache', 'memory',
     '--logger', 'csv', '--flow_augmentation', 'flip', 'rotate', 'crop', 'scaletemporal.mediumi', '--experimental_flag', 'PerturbInputFlowErase']])
def test_other_options(options, base, tmp_path):
    "The options of the released program, each from the command line."
    published(base, tmp_path/'run', '--max_epochs', 1, *options)
    assert np.isfinite(pd.read_csv(tmp_path/'run'/'results.csv').loss).all()


@pytest.mark.parametrize('options,words', [
    (['--regularization', '1'], 'did you mean --regularisation?'), (['--max_epoch', '2'], 'did you mean --max-epochs?'),
    (['--len_seq', '4'], 'expected 4 requests'), (['--distance', 'l3'], 'did you mean'),
    (['--flow_augmentation', 'globalmotion.QuadraticFul.light'], 'QuadraticFull'), (['--data_file', 'SPLITS'], 'SPLITS'),
    (['--distance', 'l2_normed_alt'], 'pieceFit'), (['--recipe', 'synthetic'], 'unsupervised'), (['--lr', '-1'], 'lr'),
    (['--steps', '3'], 'steps'), (['--finetune', 'default', '--norm', 'block'], 'norm'), (['-L', '0'], 'from 2 to 255'),
    (['--image_size', 'half'], 'half'), (['--image_size', '0'], '0'), (['--image_size', 'nan'], 'nan'), (['--image_size', '3', '4', '5'], 'a height and a width'),
    (['--precision', 'banana'], 'banana'), (['--max_time', 'soon'], 'soon'), (['--inputs', 'Flw', '--len_seq', '1', '--flows_volume', 'Flow'], 'Flw')])
def test_wrong_options(options, words, base, tmp_path, capsys):
    "Each is answered with what would have been right, before anything is written."
    try: status = main(['train', '--base_dir', str(base), '--save_dir', str(tmp_path/'run'), *PUBLISHED, *options])
    except SystemExit as e: status = e.code
    assert status == 2 and words in capsys.readouterr().err
    assert not (tmp_path/'run').exists()  # the corrected line may use the folder


def test_volumes_are_as_asked_for(base, tmp_path, monkeypatch):
    "Training explains volumes of the length asked for, however long."
    seen = set()
    loss = Segmenter.loss
    monkeypatch.setattr(Segmenter, 'loss', lambda self, batch, K: seen.add(batch.flow.shape[2]) or loss(self, batch, K))
    words = ['train', '--base_dir', base, '--save_dir', tmp_path/'run', '--data_file', 'SPLIT', '--len_seq', 7, '--image_size', 32, 48,
             '--network', 'lean', '--max_epochs', 1, '--accelerator', 'cpu']
    assert main([str(w) for w in words]) == 0 and seen == {7}


def test_without_validation(base, tmp_path):
    "Where nothing is validated, the last weights are kept."
    published(base, tmp_path/'run', '--max_epochs', 1, '--limit_val_batches', 0)
    assert Segmenter.from_pretrained(tmp_path/'run'/'weights.safetensors').network.max_segments == 4


def test_two_processes(base, tmp_path, program):
    "Lightning's options pass through: two processes, one folder, every validation frame once."
    file = Path(sys.executable).parent/'ltseg'  # Lightning starts further processes by its name
    process = program(file, 'train', '--base_dir', base, '--save_dir', tmp_path/'run', *PUBLISHED, *LOSS, '--max_epochs', 1, '--limit_train_batches', '1.0',
                      '--devices', 2, '--strategy', 'ddp', run=run_file, said=tmp_path/'said')
    process.join()
    assert process.exitcode == 0, (tmp_path/'said').read_text('utf8')
    results = pd.read_csv(tmp_path/'run'/'results.csv')
    assert sorted(results.Sequence_Index) == list(range(2, 5)) and (tmp_path/'run'/'weights.safetensors').exists()


def test_bad_flow(base, tmp_path, capsys):
    "--bad-flow zero acts on the files of a DataSplit."
    split_folder(base, 'BAD', val=['b'], progress=False)
    fill_flow('BAD', base, 'dis-fast', format='flo', out=base/'Flow'/'exact', progress=False)
    file = read_split('BAD', base).path(4, 'Flow')
    values = np.fromfile(file, '<f4')
    values[50] = np.nan
    values.tofile(file)
    words = ['-o', tmp_path/'run', '--data-file', 'BAD', '--base-dir', base, '--length', 5, '--size', '32x48', '--max-epochs', 1, '--accelerator', 'cpu']
    assert ltseg(*words) == 2
    message = capsys.readouterr().err
    assert file.name in message and 'zero' in message and not (tmp_path/'run').exists()
    assert ltseg(*words, '--bad-flow', 'zero') == 0


def test_advice_can_be_followed():
    "Every option that a message of these modules names exists in a command that reaches it."
    commands = build_parser()._subparsers._group_actions[0].choices
    of = {'train': ['train'], 'synthetic': ['train'], 'augment': ['train'], 'splits': ['split', 'flow'], 'segmenter': ['train'], 'data': ['train']}
    for module, names in of.items():
        known = {o for n in names for o in commands[n]._option_string_actions}
        tree = ast.parse((ROOT/'ltseg'/f'{module}.py').read_text('utf8'))
        prose = {n.value for n in ast.walk(tree) if isinstance(n, ast.Expr)}  # docstrings
        texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str) and n not in prose]
        named = {o for t in texts for o in re.findall('(?<![-\\w])--[a-z][-_a-z]*', t)}
        assert named <= known, (module, named - known)


def test_workers_of_a_process_that_has_used_opencv(tmp_path):
    "OpenCV's threads do not survive a fork: workers would wait for them for ever."
    code = """import cv2, sys
from ltseg.synthetic import SceneMaker, make_shard
from ltseg.video import DIS
cv2.setNumThreads(2)
maker = SceneMaker(DIS(), T=2, size=(64, 112), imitated=0.)
maker(0)
make_shard(sys.argv[1], maker, 2, workers=1)
assert cv2.getNumThreads() == 2"""
    subprocess.run([sys.executable, '-c', code, tmp_path/'shard'], check=True, timeout=300, capture_output=True)
    assert (tmp_path/'shard'/'flow.npy').exists()

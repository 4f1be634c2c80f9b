"Training for real: killed and resumed, on videos, with every logger, from the notebook."
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ltseg.cli import main
from ltseg.segmenter import Segmenter
from ltseg.splits import fill_flow, split_folder
from ltseg.synthetic import demo_scene
from ltseg.train import read_metrics

NOTEBOOK = Path(__file__).resolve().parent.parent/'nbs'/'70_train.ipynb'

STEPS, EPOCH = 12, 3
OPTIONS = f'--steps {STEPS} --epoch-steps {EPOCH} --batch-size 2 --val 1 --size 32x48 --accelerator cpu'.split()
ENV = {**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}


def command(out, *more):
    return [sys.executable, '-c', 'import sys; from ltseg.cli import main; sys.exit(main())', 'train', '-o', str(out), *OPTIONS, *more]


def wait_for(path, process, seconds=300):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, 'the run ended by itself'
        assert time.monotonic() < end, f'{path.name} did not appear'
        time.sleep(.05)


def test_kill_and_resume(tmp_path):
    "A run that is killed and goes on ends with the weights and the optimiser of one that was never stopped."
    whole, parts = tmp_path/'whole', tmp_path/'parts'
    subprocess.run(command(whole, '--synthetic', '6'), check=True, env=ENV)
    data = ['--shards', str(whole/'shard')]
    straight = tmp_path/'straight'
    subprocess.run(command(straight, *data), check=True, env=ENV)
    process = subprocess.Popen(command(parts, *data), env=ENV)
    wait_for(parts/'last.ckpt', process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (parts/'weights.safetensors').exists()
    done = torch.load(parts/'last.ckpt', weights_only=True)['global_step']  # what is there is whole
    assert 0 < done < STEPS
    again = subprocess.run(command(parts, *data), env=ENV, capture_output=True, text=True)
    assert again.returncode == 2 and '--resume' in again.stderr  # not by accident
    other = subprocess.run(command(parts, *data, '--resume', '--lr', '1'), env=ENV, capture_output=True, text=True)
    assert other.returncode == 2 and 'lr=' in other.stderr  # not as another run
    subprocess.run(command(parts, *data, '--resume'), check=True, env=ENV)
    a, b = (torch.load(folder/'last.ckpt', weights_only=True) for folder in (straight, parts))
    assert a['global_step'] == b['global_step'] == STEPS
    for name in a['state_dict']: torch.testing.assert_close(a['state_dict'][name], b['state_dict'][name])
    assert a['lr_schedulers'][0]['last_epoch'] == b['lr_schedulers'][0]['last_epoch']
    log = read_metrics(parts)
    assert (log['step'].diff().dropna() > 0).all() and log['val/loss'].count() == STEPS//EPOCH
    assert not [p for p in parts.rglob('.*') if p.is_file()]  # no temporary files


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp('video')/'clip'
    folder.mkdir()
    for n, frame in enumerate(demo_scene(40, (48, 80)).frames): Image.fromarray(frame).save(folder/f'{n}.png')
    return folder


def test_videos_and_loggers(video, tmp_path):
    "Real flow without labels beside synthetic volumes, with Weights & Biases offline."
    out = tmp_path/'run'
    env = {**ENV, 'WANDB_MODE': 'offline'}
    none = subprocess.run(command(out, '--videos', str(video)), env=env, capture_output=True, text=True)
    assert none.returncode == 2 and 'unsupervised' in none.stderr  # nothing to learn from
    options = ['--videos', str(video), '--synthetic', '6', '--unsupervised', '1', '--length', '5', '--logger', 'wandb']
    subprocess.run(command(out, *options), check=True, env=env)
    assert (out/'flows'/'clip.npy').exists() and list(out.glob('wandb/offline-run-*'))
    log = pd.read_csv(out/'logs'/'version_0'/'metrics.csv')
    assert log['train/loss'].notna().any() and log['val/loss'].notna().sum() == STEPS//EPOCH
    assert Segmenter.from_pretrained(out/'weights.safetensors').recipe.unsupervised == 1


def test_notebook_headless(video, tmp_path):
    "The training notebook with parameters, through papermill: the published network, without truth."
    settings = dict(videos=[str(video)], network='ltms', steps=2, epoch_steps=2, batch_size=1, size=[32, 48], length=5, trainer=dict(accelerator='cpu'))
    subprocess.run([sys.executable, '-m', 'papermill', str(NOTEBOOK), str(tmp_path/'out.ipynb'), '--no-progress-bar',
                    '-p', 'out', str(tmp_path/'run'), '-p', 'settings', json.dumps(settings)], check=True, env=ENV, cwd=NOTEBOOK.parent)
    segmenter = Segmenter.from_pretrained(tmp_path/'run'/'weights.safetensors')
    assert segmenter.config.backbone == 'unet3d' and segmenter.recipe.supervised == 0


@pytest.fixture(scope='module')
def base(tmp_path_factory):
    "Two annotated clips with tables and flow; SPLIT_train.csv and SPLIT_val.csv as in the notes of the method's users."
    top = tmp_path_factory.mktemp('base')
    for name, seed in {'a': 7, 'b': 3}.items():
        scene = demo_scene(12, (48, 80), seed)
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
    words = ['train', '--base_dir', str(base), '--save_dir', str(out), *PUBLISHED, *LOSS, *map(str, more)]
    program = Path(sys.executable).parent/'ltseg'  # Lightning starts further processes by its name
    return subprocess.run([sys.executable, program, *words], env=ENV, capture_output=True, text=True)


def test_published_command(base, tmp_path):
    "The command of the released program: published network and loss, scores of every frame, the same after a stop."
    straight, parts, more = tmp_path/'straight', tmp_path/'parts', tmp_path/'more'
    done = published(base, straight, '--max_epochs', 3, '--logger', 'tensorboard')
    assert done.returncode == 0, done.stderr
    settings = json.loads((straight/'settings.json').read_text())['settings']
    assert (settings['network'], settings['recipe'], settings['batch_size']) == ('ltms', 'ltms', 3)
    assert list(straight.glob('tensorboard/*/events*'))
    results = pd.read_csv(straight/'results.csv')
    assert list(results.columns) == ['epoch', 'Sequence', 'Sequence_Index', 'loss', 'jaccard', 'jaccard_best', 'masks_used']
    assert len(results) == 3*7 and (results.Sequence == 'b').all()  # of 11 flows, 7 have two on either side
    assert results.loss.between(0, 2).all() and (results.jaccard <= results.jaccard_best + 1e-6).all()
    for epochs in (2, 3):
        assert published(base, parts, '--max_epochs', epochs, '--resume').returncode == 0
    pd.testing.assert_frame_equal(pd.read_csv(parts/'results.csv'), results)
    weights = Segmenter.from_pretrained(straight/'weights.safetensors')
    assert weights.network.max_segments == 4 and weights.recipe.supervised == 0
    done = published(base, more, '--max_epochs', 1, '--finetune', straight/'weights.safetensors', '-L', 3, '--lr', 1e-9)
    assert done.returncode == 0, done.stderr
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
    done = published(base, tmp_path/'run', '--max_epochs', 1, *options)
    assert done.returncode == 0, done.stderr
    assert np.isfinite(pd.read_csv(tmp_path/'run'/'results.csv').loss).all()


@pytest.mark.parametrize('options,words', [
    (['--regularization', '1'], 'did you mean --regularisation?'), (['--max_epoch', '2'], 'did you mean --max-epochs?'),
    (['--len_seq', '4'], 'expected 4 requests'), (['--distance', 'l3'], 'did you mean'),
    (['--flow_augmentation', 'globalmotion.QuadraticFul.light'], 'QuadraticFull'), (['--data_file', 'SPLITS'], 'SPLITS'),
    (['--distance', 'l2_normed_alt'], 'pieceFit'), (['--recipe', 'synthetic'], 'unsupervised'), (['--lr', '-1'], 'lr'),
    (['--steps', '3'], 'steps'), (['--finetune', 'default', '--norm', 'block'], 'norm'), (['-L', '0'], 'at least 2'),
    (['--precision', 'banana'], 'banana'), (['--max_time', 'soon'], 'soon'), (['--inputs', 'Flw', '--len_seq', '1', '--flows_volume', 'Flow'], 'Flw')])
def test_wrong_options(options, words, base, tmp_path, capsys):
    "Each is answered with what would have been right, before anything is written."
    try: status = main(['train', '--base_dir', str(base), '--save_dir', str(tmp_path/'run'), *PUBLISHED, *options])
    except SystemExit as e: status = e.code
    assert status == 2 and words in capsys.readouterr().err
    assert not (tmp_path/'run'/'settings.json').exists()  # the corrected line may use the folder


def test_volumes_are_as_asked_for(base, tmp_path, monkeypatch):
    "Training explains volumes of the length asked for, however long."
    seen = set()
    loss = Segmenter.loss
    monkeypatch.setattr(Segmenter, 'loss', lambda self, batch, K: seen.add(batch.flow.shape[2]) or loss(self, batch, K))
    words = ['train', '--base_dir', base, '--save_dir', tmp_path/'run', '--data_file', 'SPLIT', '--len_seq', 10, '--image_size', 32, 48,
             '--network', 'lean', '--max_epochs', 1, '--accelerator', 'cpu']
    assert main([str(w) for w in words]) == 0 and seen == {10}


def test_without_validation(base, tmp_path):
    "Where nothing is validated, the last weights are kept."
    done = published(base, tmp_path/'run', '--max_epochs', 1, '--limit_val_batches', 0)
    assert done.returncode == 0, done.stderr
    assert Segmenter.from_pretrained(tmp_path/'run'/'weights.safetensors').network.max_segments == 4


def test_two_processes(base, tmp_path):
    "Lightning's options pass through: two processes, one folder, every validation frame once."
    done = published(base, tmp_path/'run', '--max_epochs', 1, '--limit_train_batches', '1.0', '--devices', 2, '--strategy', 'ddp')
    assert done.returncode == 0, done.stderr
    results = pd.read_csv(tmp_path/'run'/'results.csv')
    assert sorted(results.Sequence_Index) == list(range(2, 9)) and (tmp_path/'run'/'weights.safetensors').exists()

"Training for real: killed and resumed, on videos, with every logger, from the notebook."
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from ltseg.segmenter import Segmenter
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
    options = ['--videos', str(video), '--synthetic', '6', '--unsupervised', '1', '--length', '5', '--wandb']
    subprocess.run(command(out, *options), check=True, env=env)
    assert (out/'flows'/'clip.npy').exists() and list(out.glob('wandb/offline-run-*'))
    log = pd.read_csv(out/'logs'/'version_0'/'metrics.csv')
    assert log['train/loss'].notna().any() and log['val/loss'].notna().sum() == STEPS//EPOCH
    assert Segmenter.from_pretrained(out/'weights.safetensors').recipe.unsupervised == 1


def test_notebook_headless(video, tmp_path):
    "The training notebook with parameters, through papermill: the published network, without truth."
    settings = dict(videos=[str(video)], network='ltms', steps=2, epoch_steps=2, batch_size=1, size=[32, 48], length=5, accelerator='cpu')
    subprocess.run([sys.executable, '-m', 'papermill', str(NOTEBOOK), str(tmp_path/'out.ipynb'), '--no-progress-bar',
                    '-p', 'out', str(tmp_path/'run'), '-p', 'settings', json.dumps(settings)], check=True, env=ENV, cwd=NOTEBOOK.parent)
    segmenter = Segmenter.from_pretrained(tmp_path/'run'/'weights.safetensors')
    assert segmenter.config.backbone == 'unet3d' and segmenter.recipe.supervised == 0

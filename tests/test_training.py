"A training run that is killed and resumed ends with the weights of one that was never stopped."
import os, signal, subprocess, sys, time
from pathlib import Path

import torch
from safetensors.torch import load_file

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
    whole, parts = tmp_path/'whole', tmp_path/'parts'
    subprocess.run(command(whole, '--synthetic', '6'), check=True, env=ENV)
    data = ['--shards', str(whole/'shard')]
    process = subprocess.Popen(command(parts, *data), env=ENV)
    wait_for(parts/'last.ckpt', process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (parts/'weights.safetensors').exists()
    torch.load(parts/'last.ckpt', weights_only=True)  # what is there is whole
    again = subprocess.run(command(parts, *data), env=ENV, capture_output=True, text=True)
    assert again.returncode == 2 and '--resume' in again.stderr  # not by accident
    subprocess.run(command(parts, *data, '--resume'), check=True, env=ENV)
    a, b = (load_file(folder/'weights.safetensors') for folder in (whole, parts))
    assert a.keys() == b.keys()
    for name in a: torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-5)
    assert not [p for p in parts.rglob('.*') if p.is_file()]  # no temporary files

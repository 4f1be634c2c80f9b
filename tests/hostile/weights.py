"Files of trained weights."
import json
import pickle

import torch

from ltseg.network import NetworkConfig, build_network
from ltseg.pretrained import load_network, write_weights
from ltseg.video import RAFT

from .made import changed, sprung
from .table import row


TINY = NetworkConfig(channels=(8, 8, 16, 16), layers=1, width=32, n_queries=3)

def put_tiny(path): write_weights(path, TINY, build_network(TINY).state_dict())

def put_weights(path, change=lambda header, tensors: None):
    "Weights as saved, with their header or tensors changed."
    from safetensors import safe_open
    from safetensors.torch import save_file
    put_tiny(path)
    with safe_open(path, 'pt') as f: header, tensors = f.metadata(), {k: f.get_tensor(k) for k in f.keys()}
    change(header, tensors)
    save_file(tensors, path, header)
    return path

@row('Weights', 'a checkpoint with code inside', 'a.ckpt', 'checkpoint of ltseg')
def _(d):
    with sprung(d) as trap:
        torch.save(dict(state_dict={}, hyper_parameters=trap), d/'a.ckpt')
        yield
        load_network(d/'a.ckpt')

@row('Weights', 'a bare pickle called `.ckpt`', 'a.ckpt', 'checkpoint of ltseg')
def _(d):
    with sprung(d) as trap:
        (d/'a.ckpt').write_bytes(pickle.dumps(trap, protocol=2))
        yield
        load_network(d/'a.ckpt')

@row('Weights', 'a pickle called `.safetensors`', 'weights written by ltseg')
def _(d):
    with sprung(d) as trap:
        (d/'a.safetensors').write_bytes(pickle.dumps(trap, protocol=2))
        yield
        load_network(d/'a.safetensors')

@row('Weights', 'RAFT weights with code inside', 'state dict')
def _(d):
    from types import SimpleNamespace
    from unittest.mock import patch
    model = SimpleNamespace(raft_large=lambda weights: torch.nn.Linear(2, 2))
    with sprung(d) as trap, patch('importlib.import_module', return_value=model):
        torch.save(trap, d/'a.pth')
        yield
        RAFT(d/'a.pth')

@row('Weights', 'zero bytes', 'weights written by ltseg')
def _(d):
    (d/'a.safetensors').touch()
    yield
    load_network(d/'a.safetensors')

@row('Weights', 'a file cut short', 'weights written by ltseg')
def _(d):
    path = changed(put_weights(d/'a.safetensors'), lambda b: b[:-100])
    yield
    load_network(path)

@row('Weights', 'a header of eight bytes that claims to be endless', 'weights written by ltseg')
def _(d):
    (d/'a.safetensors').write_bytes(b'\xff'*8)
    yield
    load_network(d/'a.safetensors')

for what, config in {'a network of a billion channels': dict(channels=(10**9,)*4), 'a billion layers': dict(layers=10**9),
                     'no numbers': dict(width='wide'), 'unknown words': dict(code='import os'),
                     'an unknown backbone': dict(backbone='os.system')}.items():
    @row('Weights', f'weights whose header asks for {what}', 'a.safetensors')
    def _(d, config=config):
        def change(header, tensors): header['config'] = json.dumps(json.loads(header['config']) | config)
        path = put_weights(d/'a.safetensors', change)
        yield
        load_network(path)

@row('Weights', 'tensors of another network', 'weights written by ltseg')
def _(d):
    path = put_weights(d/'a.safetensors', lambda header, tensors: tensors.clear())
    yield
    load_network(path)

@row('Weights', 'a name that is unknown', 'default')
def _(d):
    yield
    load_network('defualt')

@row('Weights', 'a checkpoint of weights that are not numbers', 'w.safetensors', 'NaN or infinite')
def _(d):
    def spoil(header, tensors): next(iter(tensors.values())).view(-1)[0] = torch.nan
    path = put_weights(d/'w.safetensors', spoil)
    yield
    load_network(path)

"Weights of the Hugging Face Hub, from and to a server that answers as the Hub does; nothing leaves this machine."
import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from hostile import snapshot
from hostile.weights import TINY, put_tiny

import ltseg.pretrained
from ltseg.cli import main
from ltseg.files import InputError
from ltseg.inference import NetworkMethod, segment
from ltseg.network import build_network
from ltseg.pretrained import load_network, push_to_hub, weights_path
from ltseg.synthetic import demo_scene

pytest.importorskip('huggingface_hub', reason='no huggingface_hub here: pip install "ltseg[hub]"')
COMMIT = '0123456789'*4


class Hub(BaseHTTPRequestHandler):
    "Repositories in memory: name -> file -> bytes."
    repositories: dict = {}
    asked: list = []

    def log_message(self, *_): pass

    def reply(self, status, body=b'', **headers):
        self.send_response(status)
        for k, v in {'Content-Length': len(body), 'X-Repo-Commit': COMMIT, **{k.replace('_', '-'): v for k, v in headers.items()}}.items(): self.send_header(k, str(v))
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)

    def do_HEAD(self):
        self.asked.append((self.command, self.path))
        words = self.path.strip('/').split('?')[0].split('/', 4)
        if words[0] == 'api': return self.reply(401 if self.headers.get('Authorization') != 'Bearer hf_mine' else 200, b'{"id": "user/name", "sha": "%s"}' % COMMIT.encode(), Content_Type='application/json')
        user, name, _, revision, file = words
        files = self.repositories.get(f'{user}/{name}')
        if files is None: return self.reply(404, X_Error_Code='RepoNotFound')
        if revision not in ('main', 'v1', COMMIT): return self.reply(404, X_Error_Code='RevisionNotFound')
        if file not in files: return self.reply(404, X_Error_Code='EntryNotFound')
        self.reply(200, files[file], ETag=f'"{hashlib.sha256(files[file]).hexdigest()}"')

    do_GET = do_HEAD

    def do_POST(self):
        self.asked.append((self.command, self.path))
        body = self.rfile.read(int(self.headers['Content-Length']))
        told = lambda **values: self.reply(200, json.dumps(values).encode(), Content_Type='application/json')
        if self.headers.get('Authorization') != 'Bearer hf_mine': return self.reply(401, b'{"error": "who are you?"}', Content_Type='application/json')
        if self.path == '/api/repos/create':
            told_of = json.loads(body)
            name = f"{told_of.get('organization') or 'user'}/{told_of['name']}"
            self.repositories.setdefault(name, {})
            return told(url=f'https://huggingface.co/{name}', id=name)
        if self.path == '/api/validate-yaml': return told(errors=[], warnings=[]) # of the page's head
        name = '/'.join(self.path.split('/')[3:5])
        if 'preupload' in self.path: return told(files=[dict(path=f['path'], uploadMode='regular', shouldIgnore=False) for f in json.loads(body)['files']])
        for line in map(json.loads, body.splitlines()):
            if line['key'] == 'file': self.repositories[name][line['value']['path']] = base64.b64decode(line['value']['content'])
        told(success=True, commitOid=COMMIT, commitUrl=f'https://huggingface.co/{name}/commit/{COMMIT}', hookOutput='')


@pytest.fixture
def hub(tmp_path, monkeypatch):
    "The server, with no repository; an empty cache."
    server = ThreadingHTTPServer(('127.0.0.1', 0), type('Handler', (Hub,), dict(repositories={}, asked=[])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv('HF_ENDPOINT', f'http://127.0.0.1:{server.server_port}')
    monkeypatch.setenv('HF_TOKEN', 'hf_mine')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path/'cache'))
    ltseg.pretrained._fetched.cache_clear()
    yield server.RequestHandlerClass
    server.shutdown()
    server.server_close()


@pytest.fixture
def tiny(tmp_path):
    torch.manual_seed(0)
    put_tiny(tmp_path/'mine.safetensors')
    return tmp_path/'mine.safetensors'


def test_up_and_down(hub, tiny, caplog):
    "What is put there comes back, byte by byte; the hash is shown, and stands on the page and in the settings of a result."
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    assert push_to_hub(tiny, 'user/name') == f'https://huggingface.co/user/name/commit/{COMMIT}'
    assert hub.repositories.keys() == {'user/name'} and hub.repositories['user/name']['weights.safetensors'] == tiny.read_bytes()
    assert digest in (page := hub.repositories['user/name']['README.md'].decode()) and '--weights user/name' in page
    for name in ('user/name', 'user/name@v1'):
        assert weights_path(name).read_bytes() == tiny.read_bytes() and digest in caplog.text
    method = NetworkMethod.from_pretrained('user/name', 'cpu')
    assert method.about == dict(method='network', weights='user/name', weights_sha256=digest)
    result = segment(demo_scene(5, (48, 80)).frames, K=3, weights='user/name', device='cpu')
    assert result.settings['weights_sha256'] == digest
    fetched = {path.split('/')[-1] for kind, path in hub.asked if kind == 'GET' and '/resolve/' in path} # of the repository
    assert fetched == {'weights.safetensors'}


def test_page_that_is_there_stays(hub, tiny):
    hub.repositories['user/name'] = {'README.md': b'mine'}
    push_to_hub(tiny, 'user/name')
    assert hub.repositories['user/name']['README.md'] == b'mine'


def test_checkpoints_go_as_safetensors(hub, tmp_path):
    torch.manual_seed(0)
    network = build_network(TINY).eval()
    torch.save(dict(state_dict={f'network.{k}': v for k, v in network.state_dict().items()}, hyper_parameters=dict(network=vars(TINY), recipe={})), tmp_path/'a.ckpt')
    push_to_hub(tmp_path/'a.ckpt', 'user/name')
    back = load_network('user/name').state_dict()
    assert all(torch.equal(v, back[k]) for k, v in network.state_dict().items()) and set(hub.repositories['user/name']) == {'weights.safetensors', 'README.md'}


def test_what_is_wrong_is_said(hub, tiny, tmp_path, monkeypatch, capsys):
    hub.repositories |= {'user/empty': {}, 'user/pickle': {'weights.ckpt': b'x'}, 'user/noise': {'weights.safetensors': b'noise'}, 'user/good': {'weights.safetensors': tiny.read_bytes()}}
    for name, words in {'user/none': 'no such repository', 'user/empty': 'no weights.safetensors', 'user/pickle': 'no weights.safetensors',
                        'user/good@v2': 'no such revision', 'user/noise': 'weights written by ltseg'}.items():
        with pytest.raises(InputError, match=words): load_network(name)
    before = snapshot(tmp_path/'cache')
    for words in (['segment', str(tmp_path), '-o', str(tmp_path/'OUT'), '--weights', 'user/none'], ['export', 'onnx', '-o', str(tmp_path/'a.onnx'), '--weights', 'user/none']):
        assert main(words) == 2 and 'weights user/none: there is no such repository' in capsys.readouterr().err
    assert not (tmp_path/'OUT').exists() and not (tmp_path/'a.onnx').exists() and snapshot(tmp_path/'cache') == before
    (tmp_path/'bad.safetensors').write_bytes(b'noise')
    with pytest.raises(InputError, match='weights written by ltseg'): push_to_hub(tmp_path/'bad.safetensors', 'user/bad')
    monkeypatch.setenv('HF_TOKEN', 'hf_other')
    with pytest.raises(InputError, match='the Hub answered'): push_to_hub(tiny, 'user/new')
    assert 'user/bad' not in hub.repositories and 'user/new' not in hub.repositories


def test_without_a_network(hub, tiny, monkeypatch):
    "What was fetched before is found; what was not is refused in words."
    hub.repositories['user/good'] = {'weights.safetensors': tiny.read_bytes()}
    weights_path('user/good')
    ltseg.pretrained._fetched.cache_clear()
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:9')
    assert weights_path('user/good').read_bytes() == tiny.read_bytes()
    with pytest.raises(InputError, match='cannot be reached'): weights_path('user/other')


def test_a_path_comes_first(hub, tiny, tmp_path, monkeypatch):
    "A file or folder of that name here; nobody is asked."
    monkeypatch.chdir(tmp_path)
    (tmp_path/'user/name').mkdir(parents=True)
    (tmp_path/'user/name/weights.safetensors').write_bytes(tiny.read_bytes())
    assert str(weights_path('user/name')) == 'user/name/weights.safetensors' and not hub.asked
    (tmp_path/'user/name/weights.safetensors').rename(tmp_path/'user/w.safetensors')
    assert str(weights_path('user/w.safetensors')) == 'user/w.safetensors'
    with pytest.raises(InputError, match='a folder'): weights_path('user/name')
    assert not hub.asked

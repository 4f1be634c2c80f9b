"Packaging: everything that changes from release to release stands in `settings.ini`."
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=['='])
parser.read(here/'settings.ini', encoding='utf8')
cfg = parser['DEFAULT']
status = {'3': '3 - Alpha', '4': '4 - Beta', '5': '5 - Production/Stable'}[cfg['status']]

setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=(here/'README.md').read_text(encoding='utf8'),
    long_description_content_type='text/markdown',
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    license='Apache-2.0',
    keywords=cfg['keywords'],
    classifiers=[
        f'Development Status :: {status}',
        f"Intended Audience :: {cfg['audience']}",
        f"Natural Language :: {cfg['language']}",
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
    ],
    packages=find_packages(include=['ltseg', 'ltseg.*']),
    package_data={'ltseg': ['weights/*.safetensors', 'weights/*.json', 'report_template.html', 'index_template.html']},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg['requirements'].split(),
    extras_require={'dev': cfg['dev_requirements'].split(), 'raft': ['torchvision'], 'onnx': ['onnx>=1.17', 'onnxruntime>=1.20'],
                    'hub': ['huggingface_hub>=2'], 'app': ['gradio>=6.31,<7']},
    entry_points={'console_scripts': cfg['console_scripts'].split(),
                  'nbdev': ['ltseg=ltseg._modidx:d']},
    zip_safe=False,
)

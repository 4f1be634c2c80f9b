"The page of `ltseg live`, in a browser."
import time
import urllib.request

import numpy as np
from browser import chromium  # noqa: F401: a fixture

from ltseg.live import Shown, serve


def test_viewers(chromium):
    "A browser shows the pictures, which change; a viewer that lags skips; one that goes away disturbs nobody."
    shown = Shown(most=4)
    red, blue = (np.full((48, 64, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    with serve(shown) as (_, address):
        urllib.request.urlopen(address + 'live.mjpg').close()
        shown.add(red, 0.)
        chromium.get(address)
        colour = lambda: chromium.execute_script("""
            const image = document.querySelector('img'), canvas = document.createElement('canvas')
            if (!image.naturalWidth) return [0, 0, 0]
            canvas.width = canvas.height = 1
            canvas.getContext('2d').drawImage(image, 0, 0, 1, 1)
            return [...canvas.getContext('2d').getImageData(0, 0, 1, 1).data.slice(0, 3)]""")
        for picture, n in ((red, 0), (blue, 2)):
            for t in range(400):
                shown.add(picture, t/25)
                if colour()[n] > 200: break
                time.sleep(.05)
            assert colour()[n] > 200
        before = shown.n
        for t in range(100): shown.add(red, t/25)
        assert len(shown.pictures) == 4 and shown.n == before + 100
        chromium.get('about:blank')

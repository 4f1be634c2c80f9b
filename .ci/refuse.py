"""Quarto runs this before it renders anything, and stops where it fails. `nbdev_docs`, `nbdev_preview` and `nbdev_readme` call Quarto too, but without what
`.ci/site.py` does to the pages: they would ask other hosts for scripts, lead to wrong addresses, and put another README.md in the place of ours."""
import os
import sys

if os.environ.get('LTSEG_SITE') != '1':
    sys.exit('These pages need more than nbdev and Quarto. Build the site with: python .ci/site.py (README.md with: python .ci/generate.py)')

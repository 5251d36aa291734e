"""Does once what every command would do first for itself, where the fork server imports this.

A first figure makes matplotlib import most of itself and read its fonts, and a first command line
makes tyro look at every setting there is.
"""

import contextlib
import io

from prefrl.cli.run import run_command
from prefrl.errors import PrefrlError
from prefrl.media.canvas import new_figure

figure = new_figure("warm")
figure.subplots().plot([0.0, 1.0], label="up")
figure.axes[0].legend()
figure.savefig(io.BytesIO(), format="png")
with contextlib.suppress(PrefrlError):
    run_command(["--env", "NoSuchThing-v0"])

"""Writes a database of the present version, once, before that version is released."""

from pathlib import Path

from prefrl.labelling.rows import StoreSettings
from prefrl.labelling.store import LabelStore
from prefrl.labelling.store.schema import SCHEMA_VERSION
from tests.session.made_up import segments
from tests.session.stores import Clock

if __name__ == "__main__":
    clock = Clock()
    store = LabelStore(Path(__file__).with_name(f"{SCHEMA_VERSION}.sqlite"), clock=clock)
    store.set_settings(StoreSettings(needs_clips=False, overlap=0.5))
    for name in ("ann", "bob"):
        store.add_annotator(name)
        store.renew(name)
    store.put(segments(4), segments(4, seed=1), session=0, policy_step=500)
    store.give("ann", 0, "left", response_time_s=1.5)
    store.give("ann", 1, "tie")
    clock.now_s += 1
    store.give("bob", 1, "right")
    store.give("bob", 2, "skip")
    store.withdraw([3])
    store.put_repeat(0, session=1, policy_step=900)
    store.give("ann", 4, "right")
    store.add_clips(2, b"left", b"right")
    store.put_clip(store.add_clip(b"left"), b"film", {"fps": 30})
    store.set_predictions([0], [[0.75, 0.5]], model_version=1)
    store.set_status("step", 900)
    store.close()

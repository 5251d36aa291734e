"""Labelling by people: a store, clips, a service and its page; needs the extra `human`."""

"""Environments made ready for preferences: wrappers, recorders, fixed horizons, new tasks.

The folder stands beside `prefrl/`, but the package is `prefrl.envs`: others own the bare name.
"""

if __name__ == "envs":
    raise ImportError("this package is imported as `prefrl.envs`, never as `envs`")

"""Heights of a Hopper's foot and of the rest of it, from what Hopper-v5 observes.

Axes: any leading ones, O observation dims.
"""

from dataclasses import dataclass

import numpy as np

from prefrl.types import Float64Array

# Of Gymnasium's hopper.xml, in metres: links from joint to joint, the foot from its joint to heel
# and toe, and the radii of the capsules around them.
_TORSO_M, _THIGH_M, _LEG_M = 0.4, 0.45, 0.5
_HEEL_M, _TOE_M = -0.13, 0.26
_TORSO_RADIUS_M, _THIGH_RADIUS_M, _LEG_RADIUS_M, _FOOT_RADIUS_M = 0.05, 0.05, 0.04, 0.06


@dataclass(frozen=True)
class Pose:
    """Poses of a Hopper.

    Args:
        turned_rad: (...) by how much its torso has turned backwards, of which full turns are part.
        foot_m: (...) height of the foot's lowest point above the floor.
        rest_m: (...) likewise, of torso, thigh and leg.
    """

    turned_rad: Float64Array
    foot_m: Float64Array
    rest_m: Float64Array


def pose_of(observations: Float64Array) -> Pose:
    """Returns the poses in observations (..., O) of Hopper-v5: z, pitch, and the joint angles."""
    z, pitch, thigh, leg, foot = np.moveaxis(np.asarray(observations, dtype=float)[..., :5], -1, 0)
    leg_pitch = pitch - thigh - leg
    half_torso = _TORSO_M / 2 * np.cos(pitch)
    head, hip = z + half_torso, z - half_torso
    knee = hip - _THIGH_M * np.cos(pitch - thigh)
    ankle = knee - _LEG_M * np.cos(leg_pitch)
    rise = -np.sin(leg_pitch - foot)  # of the foot, from its joint towards the toe
    heel, toe = ankle + _HEEL_M * rise, ankle + _TOE_M * rise
    rest = (
        np.minimum(head, hip) - _TORSO_RADIUS_M,
        np.minimum(hip, knee) - _THIGH_RADIUS_M,
        np.minimum(knee, ankle) - _LEG_RADIUS_M,
    )
    return Pose(-pitch, np.minimum(heel, toe) - _FOOT_RADIUS_M, np.minimum.reduce(rest))

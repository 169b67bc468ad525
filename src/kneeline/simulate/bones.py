"""Femur, tibia, patella and fibula as distance fields of a right knee (x lateral, y anterior, z superior).

The femur's articular part is one function: the distance R(theta, x) of its surface from the condylar axis, over the
angle about that axis and the place along it. Condyles, trochlear groove and notch are all features of R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from kneeline.simulate.parameters import Knee
from kneeline.simulate.shapes import Frame, Grid, curve, smooth_max, smooth_min, smooth_step, to_distance

FAR = np.float32(99)
_JOINT_GAP_MM = 0.15  # between cartilages in contact
_BARE_GAP_MM = 1.4  # between bones where neither has cartilage
_BEDDED_MM = 1.1  # the femur sits this deep in the tibia's cartilage dish, which makes contact an area


@dataclass(frozen=True)
class Pose:
    """Where the bones are in the world."""

    femur: Frame
    tibia: Frame
    patella: Frame
    lateral_height_mm: float  # lateral plateau above the medial one


@dataclass(frozen=True)
class Bones:
    """Distance fields (mm, negative inside), all on the knee's grid, and what cartilage needs to know about places."""

    femur: np.ndarray
    tibia: np.ndarray
    patella: np.ndarray
    fibula: np.ndarray
    femoral_thickness: np.ndarray
    tibial_thickness: np.ndarray
    patellar_thickness: np.ndarray
    pose: Pose


# --- femur ----------------------------------------------------------------------------------------------------------


def sagittal_profile(knee: Knee, theta_deg: np.ndarray) -> np.ndarray:
    """Radius of the medial condyle's outline about its axis; 0 deg is anterior, -90 inferior, 180 posterior."""
    p, d, t = knee.posterior_radius_mm, knee.distal_radius_mm, knee.trochlea_radius_mm
    knots = [
        (-180, p),
        (-150, p * 0.995),
        (-120, p + 0.25 * (d - p)),
        (-90, d),
        (-65, d + 0.06 * (t - d)),
        (-45, d + 0.25 * (t - d)),
        (-28, d + 0.56 * (t - d)),
        (-8, d + 0.93 * (t - d)),
        (12, t * 0.985),
        (40, t * 0.70),
        (75, t * 0.55),
        (105, p * 0.98),
        (140, p * 0.975),
        (180, p),
    ]
    angle, radius = np.array(knots).T
    return CubicSpline(angle, radius, bc_type="periodic")(theta_deg)


def condyle_centre(knee: Knee, side: int, theta_deg):
    """x of a condyle's crown: the condyles diverge backwards. `side` is -1 medial, +1 lateral."""
    back = smooth_step(np.asarray(theta_deg, float), 10, -100) * (np.asarray(theta_deg) < 95)
    back = np.where(np.asarray(theta_deg) >= 95, 1.0, back)
    return side * knee.epicondylar_width_mm * (0.21 + 0.065 * back)


def surface_radius(knee: Knee, theta_deg: np.ndarray, x: np.ndarray) -> np.ndarray:
    """R(theta, x): (nx, nt) for x (nx,) and theta (nt,)."""
    theta, x = theta_deg[None, :], x[:, None]
    profile = sagittal_profile(knee, theta_deg)[None, :]
    front = smooth_step(theta, -55, -20) * smooth_step(theta, 60, 30)
    lateral = smooth_step(x, -10, 10)
    below = smooth_step(theta, -20, -60) * smooth_step(theta, -165, -130)
    profile = profile + lateral * (front * knee.trochlea_lateral_lift_mm + below * knee.lateral_condyle_offset_mm)
    crown = np.where(x < 0, condyle_centre(knee, -1, theta), condyle_centre(knee, 1, theta))
    off = np.abs(x - crown)
    outside = np.abs(x) > np.abs(crown)
    radius = profile - off**2 / (2 * knee.condyle_crown_radius_mm) * np.where(outside, 1.0, 0.8) * (1 - front)
    # Trochlear groove, shallow at the top, deepest before the notch.
    groove_x = 1.0
    span = np.where(x < groove_x, groove_x - crown, crown - groove_x)
    dip = 0.5 * (1 + np.cos(np.pi * np.clip(np.abs(x - groove_x) / np.abs(span), 0, 1)))
    depth = knee.trochlea_depth_mm * smooth_step(theta, 42, 10)
    radius = radius - dip * depth * smooth_step(theta, -100, -70)
    # Intercondylar notch.
    in_notch = smooth_step(theta, -44, -66) * (theta < 90) + (theta >= 90)
    half = knee.notch_width_mm / 2 * (0.82 + 0.18 * smooth_step(theta, -60, -100))
    wall = 1 / (1 + np.exp(np.clip((np.abs(x - 0.5) - half) / 1.0, -30, 30)))
    radius = radius * (1 - in_notch * wall)
    # Sides.
    width = knee.epicondylar_width_mm / 2 * (1 - 0.04 * (x > 0) * smooth_step(np.abs(theta), 110, 150))
    power = 4.8 - 1.9 * smooth_step(theta, -60, -5) * smooth_step(theta, 160, 30)
    edge = np.maximum(1 - np.clip(np.abs(x) / width, 0, 1) ** power, 0) ** (1 / power)
    beyond = np.maximum(np.abs(x) - width, 0)  # past the epicondyles there is no femur
    return (radius * edge - beyond).astype(np.float32)


_THETA = np.arange(-180.0, 180.01, 0.5)


def _angle(y, z):
    return np.rad2deg(np.arctan2(z, y)).astype(np.float32)


def _from_table(table: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """table (X, nt) at angles (1, Y, Z) -> (X, Y, Z), linear."""
    place = (theta[0] + 180) * 2
    low = np.clip(place.astype(np.intp), 0, len(_THETA) - 2)
    part = (place - low).astype(np.float32)
    values = table[:, low]
    values += (table[:, low + 1] - values) * part
    return values


def _femur(knee: Knee, grid: Grid, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the femur and thickness that its cartilage would have, (X, Y, Z) each."""
    s = knee.scale
    y, z = frame.coordinates(grid)
    x = grid.x
    theta, rho = _angle(y, z), np.hypot(y, z)
    radius = _from_table(surface_radius(knee, _THETA, x.ravel().astype(float)), theta)
    field = rho - radius
    thickness = _from_table(_femoral_thickness(knee, _THETA, x.ravel().astype(float)), theta)
    thickness *= np.abs(field) < 12

    shaft = knee.shaft_radius_mm
    w = knee.epicondylar_width_mm / 2
    t = knee.trochlea_radius_mm
    knots = np.array(
        [  # z, centre y, half-width, half-depth
            (-14, 0.58 * t, 0.80 * w, 0.30 * t),
            (0, 0.56 * t, 0.90 * w, 0.37 * t),
            (10 * s, 0.555 * t, 0.86 * w, 0.395 * t),
            (20 * s, 0.555 * t, 0.72 * w, 0.40 * t),
            (32 * s, 0.56 * t, 0.56 * w, 0.385 * t),
            (48 * s, 0.565 * t, shaft * 1.18, shaft * 1.02),
            (68 * s, 0.56 * t, shaft * 1.02, shaft * 0.97),
            (110 * s, 0.55 * t, shaft, shaft * 0.96),
        ]
    )
    yc, a, b = curve(knots, z)
    lean = np.float32(0.6) * smooth_step(z, 0, 60)  # the shaft stands a little lateral
    body = _squarish((x - lean) / a, (y - yc) / b) * np.minimum(a, b)
    # Roof of the notch (Blumensaat's line): below and behind it there is no bone between the condyles.
    roof = (-0.743 * (y - 0.50 * t) - 0.669 * (z + 0.24 * t)).astype(np.float32)
    roof = roof - np.float32(4) * np.minimum((x / np.float32(knee.notch_width_mm / 2)) ** 2, 4)
    body = smooth_max(body, np.maximum(roof, -12 - z), 3)
    return to_distance(smooth_min(field, body, 5), grid.spacing_mm), thickness


def _squarish(u, v) -> np.ndarray:
    """Field of a rounded rectangle |u|^2.5 + |v|^2.5 = 1, of about unit slope at its border."""
    u, v = np.abs(u), np.abs(v)
    return (u * u * np.sqrt(u) + v * v * np.sqrt(v) - 1) * np.float32(0.4)


def _femoral_thickness(knee: Knee, theta_deg: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Cartilage thickness over the articular surface, 0 where bone is bare: (nx, nt)."""
    theta, x = theta_deg[None, :], x[:, None]
    front = smooth_step(theta, -62, -30)
    full = knee.femoral_cartilage_mm + (knee.trochlear_cartilage_mm - knee.femoral_cartilage_mm) * front
    loss = np.where(x < 0, knee.medial_thinning, 0) * smooth_step(theta, -50, -65) * smooth_step(theta, -135, -115)
    half = knee.epicondylar_width_mm / 2
    limit = half * (0.93 - 0.33 * smooth_step(theta, -70, -15))
    sideways = smooth_step(np.abs(x), limit, limit - 3.5)
    behind = smooth_step(theta, -44, -66) * (theta < 90) + (theta >= 90)
    notch = knee.notch_width_mm / 2
    away = smooth_step(np.abs(x - 0.5), notch - 0.3, notch + 2.2)
    inner = 1 - behind * (1 - away)
    along = np.where(theta > 90, smooth_step(theta, 138, 158), smooth_step(theta, 30, 14))
    return (full * (1 - loss) * sideways * inner * along).astype(np.float32)


# --- tibia ----------------------------------------------------------------------------------------------------------


def _plateau(knee: Knee, x: np.ndarray, y: np.ndarray, lateral_height_mm: float) -> np.ndarray:
    """Height of the tibia's upper surface, tibial frame."""
    s = knee.scale
    half = knee.tibial_width_ratio * knee.epicondylar_width_mm / 2
    slope = np.float32(np.tan(np.deg2rad(knee.tibial_slope_deg)))
    depth = knee.tibial_depth_mm / 2
    u, v = (x + 0.55 * half) / (0.42 * half), y / (0.9 * depth)
    medial = knee.medial_dish_mm * np.clip(u * u * 0.6 + v * v, 0, 1.6)
    u, v = (x - 0.55 * half) / (0.42 * half), (y + 1) / (0.9 * depth)
    lateral = lateral_height_mm - knee.lateral_dome_mm * np.clip(v * v, 0, 2) + 1.2 * np.clip(u * u, 0, 1.4) * 0.6
    side = smooth_step(x, -6, 6)
    top = medial * (1 - side) + lateral * side + slope * y
    h = knee.eminence_height_mm
    for px, py, height in ((-5.5 * s, 0.0, 1.0), (5.5 * s, -1.5, 0.85)):
        top = top + height * h * np.exp(-(((x - px) / (4.0 * s)) ** 2) - ((y - py) / (9.0 * s)) ** 2)
    saddle = np.exp(-((x / (9 * s)) ** 2))
    return top - saddle * (2.0 * smooth_step(y, 6, 16) + 7.0 * smooth_step(y, -12, -24))


def _tibia(knee: Knee, grid: Grid, frame: Frame, lateral_height_mm: float) -> tuple[np.ndarray, np.ndarray]:
    s = knee.scale
    box = grid.box((-99, -99, -999), (99, 99, 22))
    part = grid.crop(box)
    y, z = frame.coordinates(part)
    x = part.x
    half, depth = knee.tibial_width_ratio * knee.epicondylar_width_mm / 2, knee.tibial_depth_mm / 2
    knots = np.array(
        [  # z, centre y, half-width, half-depth
            (-120 * s, 0.0, 12.5 * s, 14.5 * s),
            (-70 * s, 0.5, 14.5 * s, 16.0 * s),
            (-48 * s, 2.0, 18.0 * s, 17.5 * s),
            (-34 * s, 2.5, 0.64 * half, 0.80 * depth),
            (-22 * s, 1.5, 0.80 * half, 0.90 * depth),
            (-11 * s, 0.0, 0.945 * half, 0.98 * depth),
            (-4 * s, -0.5, half, depth),
            (4 * s, -0.5, 0.985 * half, 0.985 * depth),
            (14 * s, -0.5, 0.9 * half, 0.9 * depth),
        ]
    )
    yc, a, b = curve(knots, z)
    side = _squarish(x / a, (y - yc) / b) * np.minimum(a, b)
    # Popliteal notch between the plateaus; the medial plateau reaches further back.
    notch = 9.0 * s - np.sqrt((x - 1) ** 2 + ((y + depth + 4.5 * s) * 1.0) ** 2) - 0.25 * np.maximum(-6 - z, 0)
    side = smooth_max(side, notch, 3)
    tuberosity = (
        np.sqrt(
            ((x - 3) / 12) ** 2 + ((y - (0.80 * depth + knee.tuberosity_mm - 6)) / 9) ** 2 + ((z + 33 * s) / 17) ** 2
        )
        - 1
    ) * 9
    side = smooth_min(side, tuberosity.astype(np.float32), 6)
    top = z - _plateau(knee, x, y, lateral_height_mm).astype(np.float32)
    bone = to_distance(smooth_max(side, top, 3), grid.spacing_mm)

    # Articular surface: an ellipse on each plateau; the lateral one is short, the posterior horn covers the rest.
    across = (np.abs(x) - np.float32(0.555 * half)) / np.float32(0.42 * half)
    centre, reach = np.where(x < 0, -0.5, -2.0 * s), np.where(x < 0, 0.88, 0.70) * depth
    inside = smooth_step(np.sqrt(across**2 + ((y - centre) / reach) ** 2), 1.02, 0.80)
    full = np.where(
        x < 0,
        knee.medial_tibial_cartilage_mm * (1 - knee.medial_thinning),
        knee.lateral_tibial_cartilage_mm,
    )
    bulge = 0.75 + 0.28 * np.exp(-(((np.abs(x) - 0.5 * half) / 9) ** 2) - (y / 12) ** 2)
    thickness = (full * bulge * inside).astype(np.float32)
    thickness *= (top > -4) & (top < 12)
    fields = np.full(grid.shape, FAR), np.zeros(grid.shape, np.float32)
    fields[0][box], fields[1][box] = bone, thickness
    return fields


# --- patella and fibula ---------------------------------------------------------------------------------------------


def _patella(knee: Knee, grid: Grid, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Distance and cartilage thickness; the patella's own axes are u lateral, v outwards, w along the trochlea."""
    frame = pose.patella
    half = np.array([knee.patella_width_mm * 0.62, knee.patella_thickness_mm * 2.2, knee.patella_height_mm * 0.72])
    centre = np.array([knee.patella_shift_mm, frame.y, frame.z])
    box = grid.box(centre - half - 6, centre + half + 6)
    part = grid.crop(box)
    v, w = frame.coordinates(part)
    u = part.x - np.float32(knee.patella_shift_mm)
    a, b, h = knee.patella_width_mm / 2, knee.patella_thickness_mm, knee.patella_height_mm / 2
    # Seen from the front: a disc with a pointed lower pole.
    low = np.clip(-w / h, 0, 1.2)
    width = a * (1 - 0.42 * low**1.6)
    outline = ((np.abs(u / width) ** 2.4 + np.abs(w / h) ** 2.4) ** (1 / 2.4) - 1) * min(a, h)
    ridge = np.abs(u + 2.0)
    behind = 0.30 * ridge - 0.6 + 0.16 * np.maximum(-w - 0.45 * h, 0) * 2.2  # the pole has no facet
    front = b * (1 - 0.17 * (u / a) ** 2 - 0.10 * (w / h) ** 2)
    bone = smooth_max(outline, smooth_max(v - front, behind - v, 3), 5).astype(np.float32)

    facet = smooth_step(np.abs(u) / a, 0.97, 0.72) * smooth_step(w / h, -0.62, -0.36) * smooth_step(w / h, 0.93, 0.7)
    thickness = knee.patellar_cartilage_mm * (0.72 + 0.28 * np.exp(-((ridge / 8) ** 2))) * facet
    thickness = thickness * (v < 0.5 * b)
    fields = np.full(grid.shape, FAR), np.zeros(grid.shape, np.float32)
    fields[0][box], fields[1][box] = to_distance(bone, grid.spacing_mm), thickness
    return fields


def _fibula(knee: Knee, grid: Grid, tibia: Frame) -> np.ndarray:
    s, r = knee.scale, knee.fibular_head_radius_mm
    half = knee.tibial_width_ratio * knee.epicondylar_width_mm / 2
    x0 = 0.93 * half
    own = np.array(
        [  # z, x, y, half-width, half-depth
            (-130 * s, x0 - 3, -20, 6.2, 6.8),
            (-62 * s, x0 - 2, -20, 6.2, 6.8),
            (-42 * s, x0 - 0.5, -20, 6.6, 7.0),
            (-30 * s, x0, -19.5, 0.78 * r, 0.82 * r),
            (-20 * s, x0, -19, r, r * 1.05),
            (-13 * s, x0 - 0.5, -18.5, 0.85 * r, 0.9 * r),
            (-8.5 * s, x0 - 1, -19, 0.5 * r, 0.5 * r),
            (-6.5 * s, x0 - 1, -19.5, 0.1, 0.1),
        ]
    )
    box = grid.box((0, -99, -999), (99, 99, 20))
    part = grid.crop(box)
    y, z = tibia.coordinates(part)
    x, yc, a, b = curve(own, z)
    bone = (np.sqrt(((part.x - x) / a) ** 2 + ((y - yc * s) / b) ** 2) - 1) * np.minimum(a, b)
    bone = np.maximum(bone, z + 6.5 * np.float32(s))
    field = np.full(grid.shape, FAR)
    field[box] = to_distance(bone.astype(np.float32), grid.spacing_mm)
    return field


# --- the whole ------------------------------------------------------------------------------------------------------


def pose_bones(knee: Knee) -> Pose:
    """Set the femur on the tibia so that both compartments are in contact, bend it, and place the patella."""
    theta = np.arange(-170.0, 0.1, 0.5)
    heights, angle = {}, knee.flexion_deg
    rad = np.deg2rad(theta + angle)
    for side in (-1, 1):
        x = np.array([condyle_centre(knee, side, -90.0)]).ravel()
        heights[side] = float((-surface_radius(knee, theta, x)[0] * np.sin(rad)).max())
    lateral = heights[-1] - heights[1]
    thickness = knee.femoral_cartilage_mm + _JOINT_GAP_MM - _BEDDED_MM
    medial_stack = thickness + knee.medial_tibial_cartilage_mm
    up = (
        heights[-1]
        + medial_stack
        - (knee.femoral_cartilage_mm + knee.medial_tibial_cartilage_mm) * (0.9 * knee.medial_thinning)
    )
    lateral += medial_stack - thickness - knee.lateral_tibial_cartilage_mm
    # Half of the bend shows in each bone: a knee on its support stands forward.
    tibia = Frame(-angle / 2 + knee.patient_tilt_deg, 0.0, 0.0)
    own = np.array([0.0, -3.5 * knee.scale, up])
    at = tibia.to_world(own)
    femur = Frame(angle / 2 + knee.patient_tilt_deg, float(at[1]), float(at[2]))
    return Pose(femur, tibia, _patella_frame(knee, femur, knee.patella_height_angle_deg - 0.8 * angle), lateral)


def _patella_frame(knee: Knee, femur: Frame, angle_deg: float) -> Frame:
    """The patella rides in the groove at an angle along it; its ridge just clears the trochlea."""
    groove = float(surface_radius(knee, np.array([angle_deg]), np.array([1.0]))[0, 0])
    clear = groove + knee.trochlear_cartilage_mm + knee.patellar_cartilage_mm + 0.6
    rad = np.deg2rad(angle_deg)
    _, y, z = femur.to_world(np.array([0.0, clear * np.cos(rad), clear * np.sin(rad)]))
    return Frame(femur.angle_deg + angle_deg * 0.62, float(y), float(z))


def build_bones(knee: Knee, grid: Grid) -> Bones:
    full, pose = grid, pose_bones(knee)
    reach = knee.epicondylar_width_mm / 2 + 9
    box = full.box((-reach, -999, -999), (reach, 999, 999))
    grid = full.crop(box)
    femur, femoral_thickness = _femur(knee, grid, pose.femur)
    tibia, tibial_thickness = _tibia(knee, grid, pose.tibia, pose.lateral_height_mm)
    patella, patellar_thickness = _patella(knee, grid, pose)
    # Bones yield to the femur's cartilage and their own, so that opposed surfaces fit and never cut each other.
    room = np.maximum(femoral_thickness + np.float32(_JOINT_GAP_MM), np.float32(_BARE_GAP_MM))
    np.maximum(tibia, room + tibial_thickness - femur, out=tibia)
    np.maximum(patella, room + patellar_thickness + np.float32(0.2) - femur, out=patella)
    fibula = np.maximum(_fibula(knee, grid, pose.tibia), np.float32(1.5) - tibia)
    fields = [
        _embed(full, box, field, outside)
        for field, outside in (
            (femur, FAR),
            (tibia, FAR),
            (patella, FAR),
            (fibula, FAR),
            (femoral_thickness, 0),
            (tibial_thickness, 0),
            (patellar_thickness, 0),
        )
    ]
    return Bones(*fields, pose)


def _embed(grid: Grid, box, part: np.ndarray, outside: float) -> np.ndarray:
    field = np.full(grid.shape, np.float32(outside))
    field[box] = part
    return field

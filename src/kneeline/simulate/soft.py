"""What surrounds the joint: muscles, tendons, ligaments, fat, vessels and skin, painted on the tissue volume."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kneeline.simulate.bones import Bones
from kneeline.simulate.parameters import Knee
from kneeline.simulate.shapes import Grid, curve, rod, smooth_min, smooth_step, tube
from kneeline.simulate.tissues import Tissue

# Muscles of a middle-sized right knee: rows of z, x, y, half-width, half-depth (mm) from the plateau's centre;
# z above 0 bends with the femur, below with the tibia.
_MUSCLES = {
    "vastus_medialis": [(22, -35, 18, 3, 4), (38, -35, 18, 12, 16), (60, -32, 18, 18, 24), (120, -28, 16, 23, 30)],
    "vastus_lateralis": [(44, 29, 26, 3, 5), (60, 32, 20, 14, 18), (80, 32, 18, 19, 24), (120, 30, 16, 23, 28)],
    "vastus_intermedius": [(66, 0, 43, 12, 3), (85, 0, 44, 26, 11), (120, 0, 42, 28, 14)],
    "semimembranosus": [
        (-14, -27, -27, 3, 3),
        (5, -30, -33, 7, 7),
        (25, -27, -38, 14, 13),
        (55, -24, -40, 20, 19),
        (120, -20, -40, 23, 24),
    ],
    "semitendinosus": [(30, -12, -51, 3, 3), (52, -9, -54, 12, 9), (120, -4, -56, 17, 15)],
    "biceps_femoris": [
        (-8, 37, -22, 4, 5),
        (12, 36, -28, 8, 13),
        (36, 32, -34, 14, 18),
        (75, 26, -40, 20, 22),
        (120, 22, -42, 22, 24),
    ],
    "sartorius": [(-45, -37, -2, 2, 8), (-15, -43, -10, 3, 11), (20, -47, -18, 5, 13), (120, -50, -22, 9, 16)],
    "gracilis": [(20, -42, -31, 2.5, 3), (80, -42, -40, 6, 8), (120, -42, -42, 7, 9)],
    "gastrocnemius_medial": [
        (34, -19, -19, 4, 3),
        (14, -19, -32, 12, 8),
        (-10, -20, -40, 18, 14),
        (-40, -20, -46, 25, 20),
        (-110, -20, -46, 28, 24),
    ],
    "gastrocnemius_lateral": [
        (32, 21, -18, 4, 3),
        (14, 21, -31, 11, 7),
        (-10, 21, -38, 16, 12),
        (-40, 22, -44, 22, 18),
        (-110, 22, -44, 26, 21),
    ],
    "popliteus": [(-9, 16, -25, 8, 3), (-22, 6, -27, 21, 7), (-45, 0, -23, 20, 8), (-75, -2, -20, 10, 5)],
    "soleus": [(-16, 26, -31, 4, 3), (-40, 18, -34, 21, 10), (-110, 8, -34, 30, 13)],
    "tibialis_anterior": [(-16, 26, 13, 3, 3), (-40, 25, 8, 13, 14), (-110, 24, 8, 16, 17)],
    "peroneus": [(-22, 43, -8, 3, 4), (-50, 38, -8, 10, 13), (-110, 36, -10, 12, 15)],
}
_FAR_OUT = np.float32(12)
_SKIN = [  # z, half-width, front y, back y
    (-100, 52, 33, -74),
    (-60, 52, 37, -72),
    (-30, 51, 43, -67),
    (0, 52, 53, -62),
    (25, 54, 60, -60),
    (50, 57, 66, -63),
    (75, 61, 65, -70),
    (110, 67, 64, -78),
]


def paint_soft(knee: Knee, bones: Bones, grid: Grid, bulge_mm: np.ndarray) -> np.ndarray:
    """Tissue of everything outside bones, cartilage, menisci and fluid; `bulge_mm` (X, 1, Z) is how far a full
    pouch pushes the front of the thigh forwards."""
    s = knee.scale
    tissue = np.full(grid.shape, np.uint8(Tissue.AIR))
    envelope = _envelope(knee, bones, grid, bulge_mm)
    tissue[envelope < 0] = Tissue.FAT
    tissue[(envelope < 0) & (envelope > -1.6)] = Tissue.SKIN
    noise = Noise(knee.texture_seed, grid)

    nearest_bone = np.minimum(np.minimum(bones.femur, bones.tibia), np.minimum(bones.patella, bones.fibula))
    room = (nearest_bone > 1.2) & (envelope < -np.float32(knee.fat_mm * 0.55 + 1.2))
    first, second = np.full(grid.shape, np.float32(9)), np.full(grid.shape, np.float32(9))
    for name, rows in _MUSCLES.items():
        front = name in ("vastus_medialis", "vastus_lateralis", "vastus_intermedius")
        box, field = _muscle(knee, bones, grid, rows, bulge_mm if front else None)
        old = first[box]
        second[box] = np.minimum(second[box], np.maximum(old, field))
        first[box] = np.minimum(old, field)
    first += noise.smooth(9.0, 1.0)
    muscle = (first < 0) & room & (second - first > 1.3) & (bones.femur > 2.0)
    tissue[muscle] = Tissue.MUSCLE
    streaks = noise.fibres()
    tissue[muscle & (streaks > 2.15)] = Tissue.FAT
    # Septa in fat: thin sheets where a noise field changes sign.
    septa = (
        (np.abs(noise.smooth(7.0, 1.0)) < 0.03)
        & (noise.smooth(12.0, 1.0) > 0.9)
        & (tissue == Tissue.FAT)
        & (envelope < -3)
    )
    tissue[septa] = Tissue.LIGAMENT

    _paint_capsule(knee, bones, grid, tissue)
    for box, inside in _cords(knee, bones, grid):
        tissue[box][inside & (tissue[box] != Tissue.AIR)] = Tissue.LIGAMENT
    for band, shift in _front_bands(knee, bones):
        _paint_band(grid, tissue, band, bulge_mm if shift else None)
    for points, radius, kind in _bundles(s, bones):
        box, inside = rod(grid, points, radius)
        wall = rod(grid, points, radius + 0.8)
        for (part, cells), value in (
            (wall, Tissue.LIGAMENT if kind is Tissue.VESSEL else Tissue.FAT),
            ((box, inside), kind),
        ):
            here = tissue[part]
            here[cells & (here != Tissue.AIR) & (here != Tissue.SKIN)] = value
    return tissue


class Noise:
    """Smooth random fields with unit spread, always the same for a seed, made coarse and enlarged (fast)."""

    def __init__(self, seed: int, grid: Grid):
        self._rng = np.random.default_rng(seed)
        self._grid = grid

    def _field(self, cell_mm) -> np.ndarray:
        shape, h = self._grid.shape, self._grid.spacing_mm
        coarse = [max(int(np.ceil(n * h / c)) + 3, 4) for n, c in zip(shape, cell_mm, strict=True)]
        field = self._rng.standard_normal(coarse).astype(np.float32)
        # Separable linear enlargement of a cubic-smoothed lattice.
        for axis, (n, c) in enumerate(zip(shape, cell_mm, strict=True)):
            field = ndimage.gaussian_filter1d(field, 0.7, axis=axis, mode="nearest")
            at = np.arange(n) * (h / c) + 1
            low = at.astype(int)
            part = (at - low).astype(np.float32)
            part = part * part * (3 - 2 * part)
            part = part.reshape([-1 if k == axis else 1 for k in range(3)])
            a, b = np.take(field, low, axis), np.take(field, low + 1, axis)
            field = a + (b - a) * part
        return field / field.std()

    def smooth(self, cell_mm: float, spread: float) -> np.ndarray:
        return self._field((cell_mm,) * 3) * np.float32(spread)

    def fibres(self) -> np.ndarray:
        """Long in z: muscle bundles."""
        return self._field((2.4, 2.4, 18.0))


def _to_world(bones: Bones, points: np.ndarray, scale: float) -> np.ndarray:
    """Points given from the plateau's centre; those above bend with the femur about its axis."""
    points = np.asarray(points, float) * scale
    femur, tibia = bones.pose.femur, bones.pose.tibia
    low = tibia.to_world(points)
    axis = np.array([0, femur.y, femur.z])
    high = femur.to_world(points - np.array([0.0, *(_unrotated_axis(femur, tibia))])) if len(points) else points
    weight = smooth_step(points[:, 2:3], -axis[2], axis[2])
    return low * (1 - weight) + high * weight


def _unrotated_axis(femur, tibia) -> np.ndarray:
    """The condylar axis' y and z in the tibia's frame."""
    c, s = np.cos(np.deg2rad(tibia.angle_deg)), np.sin(np.deg2rad(tibia.angle_deg))
    return np.array([c * femur.y + s * femur.z, -s * femur.y + c * femur.z])


def _muscle(knee, bones, grid, rows, bulge_mm):
    rows = np.array(rows, float)
    centre = _to_world(bones, rows[:, [1, 2, 0]], knee.scale)
    size = rows[:, 3:5] * knee.scale * knee.muscle_bulk
    knots = np.column_stack([centre[:, 2], centre[:, 0], centre[:, 1], size])
    return tube(grid, knots, 2.0) if bulge_mm is None else tube(grid, knots, 2.0, bulge_mm)


def _envelope(knee: Knee, bones: Bones, grid: Grid, bulge_mm: np.ndarray) -> np.ndarray:
    rows = np.array(_SKIN, float)
    thick = knee.fat_mm - 8.0
    s = knee.scale
    middle = _to_world(bones, np.column_stack([np.zeros(len(rows)), (rows[:, 2] + rows[:, 3]) / 2, rows[:, 0]]), s)
    half_y = (rows[:, 2] - rows[:, 3]) / 2 * s + thick * 0.8
    half_x = rows[:, 1] * s + thick
    order = np.argsort(middle[:, 2])
    knots = np.column_stack([middle[:, 2], middle[:, 1], half_x, half_y])[order]
    yc, a, b = curve(knots, grid.z)
    y = grid.y - yc
    y = y - bulge_mm * smooth_step(y, 0, 30)
    n = np.where(y > 0, np.float32(1.85), np.float32(2.25))  # the front of a leg is narrower than its back
    round_ = ((np.abs(grid.x / a) ** n + np.abs(y / b) ** n) ** (1 / n) - 1) * np.minimum(a, b)
    cover = np.float32(3.5 + 0.25 * knee.fat_mm)
    shin = np.minimum(np.minimum(bones.tibia, bones.fibula) - cover - np.float32(0.5), _FAR_OUT)
    v, w = bones.pose.patella.coordinates(grid)
    a, b, h = knee.patella_width_mm * 0.62, knee.patella_thickness_mm * 0.62, knee.patella_height_mm * 0.62
    u = (grid.x - np.float32(knee.patella_shift_mm)) / np.float32(a)
    cap = (np.sqrt(u * u + ((v - knee.patella_thickness_mm / 2) / b) ** 2 + (w / h) ** 2) - 1) * np.float32(b)
    cap = cap - np.float32(0.2 * knee.fat_mm)
    return smooth_min(smooth_min(round_.astype(np.float32), shin, 10), cap.astype(np.float32), 22)


def _paint_capsule(knee: Knee, bones: Bones, grid: Grid, tissue: np.ndarray) -> None:
    """Posterior capsule behind the condyles, collateral retinacula beside them."""
    s = knee.scale
    y, z = bones.pose.femur.coordinates(grid)
    d = bones.femur - np.maximum(bones.femoral_thickness, 0.5)
    behind = (y < -12 * s) & (z > -26 * s) & (z < 13 * s) & (np.abs(grid.x) > 10)
    beside = (np.abs(grid.x) > 0.43 * knee.epicondylar_width_mm) & (np.abs(z - 4) < 24 * s) & (y > -8) & (y < 36 * s)
    tissue[(behind | beside) & (d > 1.6) & (d < 2.8) & (tissue != Tissue.AIR)] = Tissue.LIGAMENT


def _cords(knee: Knee, bones: Bones, grid: Grid):
    """Cruciate and collateral ligaments, popliteus and hamstring tendons: boxes and masks."""
    s, w = knee.scale, knee.epicondylar_width_mm / 2
    half = knee.tibial_width_ratio * w
    axis = _unrotated_axis(bones.pose.femur, bones.pose.tibia)[1] / s
    notch = knee.notch_width_mm / 2 / s

    def at(*points):
        return _to_world(bones, np.array(points, float), s)

    def femoral(x, y, z):
        """A point fixed to the femur, from its axis."""
        return bones.pose.femur.to_world(np.array([x, y, z], float) * s)

    def tibial(x, y, z):
        return bones.pose.tibia.to_world(np.array([x, y, z], float) * s)

    yield rod(grid, [femoral(notch - 1.5, -9, 2), femoral(notch - 5, -2, -9), tibial(-1, 9, 3.5)], 3.9 * s)
    yield rod(
        grid,
        [
            femoral(-notch + 2.5, 7, -6),
            femoral(-notch + 5.5, -3, -5),
            femoral(-notch + 7.5, -13, -10),
            tibial(-1, -22, 0),
            tibial(-1, -25.5, -8),
        ],
        np.array([4.6, 4.6, 4.2, 3.8]) * s,
    )
    yield rod(grid, [femoral(-w / s - 0.5, 0, 3), at((-half / s - 2.2, 2, 0))[0], tibial(-half / s + 9, 8, -46)],
              1.5, (1, 0.22, 1))  # fmt: skip
    yield rod(grid, [femoral(w / s - 0.5, -3, 3), tibial(half / s * 0.93 + 3, -18, -11)], 2.0)
    yield rod(grid, [femoral(w / s - 2, 5, -7), tibial(half / s - 3, -15, 3), tibial(18, -25, -9)], 2.2)
    yield rod(grid, [at((w / s + 6, 4, 100))[0], femoral(w / s + 2.5, 10, 0), tibial(half / s - 6, 17, -11)],
              1.3, (1, 0.16, 1))  # fmt: skip
    yield rod(grid, at((-13, -50, 40), (-28, -40, axis), (-37, -12, -40)), 1.9)
    yield rod(grid, at((36, -24, 20), (37, -20, -11)), 3.0, (1, 0.7, 1))


def _front_bands(knee: Knee, bones: Bones):
    """Patellar ligament and quadriceps tendon: points, half-thickness, half-width, whether a full pouch moves it."""
    patella, tibia, femur = bones.pose.patella, bones.pose.tibia, bones.pose.femur
    s, h, b = knee.scale, knee.patella_height_mm / 2, knee.patella_thickness_mm
    x = knee.patella_shift_mm
    half = knee.patellar_tendon_thickness_mm / 2
    front = 0.80 * knee.tibial_depth_mm / 2 + knee.tuberosity_mm - 6 + 9
    apex = patella.to_world(np.array([x, 0.62 * b, -h * 0.90]))
    over = patella.to_world(np.array([x, 1.0 * b, h * 0.10]))
    down = tibia.to_world(np.array([3.0, front + 0.5, -31 * s]))
    below = tibia.to_world(np.array([3.0, front - 5.0, -44 * s]))
    yield (np.array([over, apex, down, below]), half, 13.5 * s), False
    base = patella.to_world(np.array([x, 0.62 * b, h * 0.93]))
    own = 0.565 * knee.trochlea_radius_mm * 1.72 + knee.prefemoral_fat_mm + knee.quadriceps_fat_mm + 5
    up = [femur.to_world(np.array([x * 0.5, min(own, 62 * s), z * s])) for z in (62.0, 110.0)]
    mid = patella.to_world(np.array([x, 1.0 * b, -h * 0.10]))
    yield (np.array([mid, base, *up]), 3.4 * s, 17.0 * s), True


def _paint_band(grid: Grid, tissue: np.ndarray, band, bulge_mm) -> None:
    points, half, wide = band
    knots = np.column_stack([points[:, 2], points[:, 0], points[:, 1], np.full(len(points), wide)])
    slope = np.gradient(points[:, 1], points[:, 2])
    knots = np.column_stack([knots, half * np.sqrt(1 + slope**2)])
    box, field = tube(grid, knots, 2.6) if bulge_mm is None else tube(grid, knots, 2.6, bulge_mm)
    tissue[box][(field < 0) & (tissue[box] != Tissue.AIR)] = Tissue.LIGAMENT


def _bundles(s: float, bones: Bones):
    """Popliteal artery and vein, tibial and peroneal nerve, great saphenous vein."""

    def path(*points):
        return _to_world(bones, np.array(points, float), s)

    yield (
        path((4, -25, 110), (0, -31, 70), (3, -34, 35), (1, -37, 5), (5, -33, -25), (3, -35, -60), (5, -33, -100)),
        3.0 * s,
        Tissue.VESSEL,
    )
    yield (
        path((7, -31, 110), (3, -37, 75), (6, -41, 40), (4, -44, 8), (8, -39, -25), (6, -41, -60), (8, -38, -100)),
        4.0 * s,
        Tissue.VESSEL,
    )
    yield (
        path((10, -40, 110), (7, -46, 70), (9, -49, 40), (5, -51, 8), (8, -46, -25), (5, -46, -100)),
        3.2 * s,
        Tissue.NERVE,
    )
    yield path((20, -44, 100), (32, -42, 30), (42, -26, -22)), 2.0 * s, Tissue.NERVE
    yield (
        path((-45, -28, 110), (-45, -34, 50), (-42, -33, 0), (-43, -26, -50), (-41, -22, -100)),
        2.0 * s,
        Tissue.VESSEL,
    )

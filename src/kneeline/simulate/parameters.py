"""What may vary from one simulated knee to the next, and how much it does in people."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from kneeline.volume import Laterality


@dataclass(frozen=True)
class Knee:
    """Parameters of one knee; lengths in mm, angles in degrees.

    Bones are described as a right knee; a left knee is its mirror image. Defaults are a middle-sized adult.
    Sizes of bones and cartilage follow osteometry and MR morphometry of adults as general textbooks give them;
    proportions were checked against label maps of real knees.
    """

    laterality: Laterality = "R"
    # Femur
    epicondylar_width_mm: float = 82.0  # women about 75, men about 84
    posterior_radius_mm: float = 21.5  # the condyle's nearly circular back
    distal_radius_mm: float = 24.0  # at the weight-bearing point in extension
    trochlea_radius_mm: float = 40.0  # from the condylar axis to the trochlea's front
    trochlea_depth_mm: float = 5.5
    trochlea_lateral_lift_mm: float = 2.0  # the lateral facet stands higher
    condyle_crown_radius_mm: float = 21.5  # medio-lateral rounding of a condyle
    notch_width_mm: float = 20.0
    lateral_condyle_offset_mm: float = 0.6  # lateral minus medial distal radius
    shaft_radius_mm: float = 14.5
    # Tibia and fibula
    tibial_width_ratio: float = 0.925  # of the epicondylar width
    tibial_depth_mm: float = 49.0
    tibial_slope_deg: float = 6.0
    medial_dish_mm: float = 2.2  # depth of the concave medial plateau
    lateral_dome_mm: float = 1.0  # height of the slightly convex lateral plateau
    eminence_height_mm: float = 9.0
    tuberosity_mm: float = 6.0  # how far the tuberosity stands out
    fibular_head_radius_mm: float = 11.0
    # Patella
    patella_width_mm: float = 43.0
    patella_height_mm: float = 41.0
    patella_thickness_mm: float = 20.0
    patella_height_angle_deg: float = 13.0  # place along the trochlea in extension; patella alta has more
    patella_shift_mm: float = 2.5  # lateral
    patellar_tendon_thickness_mm: float = 4.5
    # Cartilage and cortex
    femoral_cartilage_mm: float = 2.2
    trochlear_cartilage_mm: float = 2.8
    medial_tibial_cartilage_mm: float = 2.2
    lateral_tibial_cartilage_mm: float = 3.0
    patellar_cartilage_mm: float = 3.4
    medial_thinning: float = 0.0  # share of thickness lost in the medial compartment
    cortex_mm: float = 1.3
    shaft_cortex_mm: float = 3.6
    # Menisci
    meniscus_height_mm: float = 6.9  # at the periphery
    medial_anterior_width_mm: float = 9.6
    medial_body_width_mm: float = 10.2
    medial_posterior_width_mm: float = 13.5
    lateral_width_mm: float = 12.2
    medial_extrusion_mm: float = 0.5  # past the tibial margin
    medial_opening_deg: float = 118.0  # half the arc of the C
    lateral_opening_deg: float = 148.0
    # Soft tissue
    fat_mm: float = 8.0  # subcutaneous
    muscle_bulk: float = 1.0
    prefemoral_fat_mm: float = 5.0
    quadriceps_fat_mm: float = 4.0
    pouch_height_mm: float = 34.0  # of the suprapatellar recess above the patella's upper pole
    # Mean thickness of the synovial membrane: 0.4 (0 to 1.8) in 57 healthy knees of children after contrast agent
    # (Eur Radiol 2018, doi 10.1007/s00330-017-5067-6).
    synovium_mm: float = 0.4
    # Pose
    flexion_deg: float = 8.0
    patient_tilt_deg: float = 0.0  # of the whole knee in the sagittal plane
    texture_seed: int = 0

    @property
    def scale(self) -> float:
        """Size relative to the middle-sized knee."""
        return self.epicondylar_width_mm / 82.0


# mean, standard deviation, low, high of what does not simply grow with the bone; (project decision, from the
# spread that textbooks and morphometric papers give for adults).
_SPREAD = {
    "trochlea_depth_mm": (5.5, 0.9, 3.0, 8.0),
    "trochlea_lateral_lift_mm": (2.0, 0.8, 0.0, 4.0),
    "condyle_crown_radius_mm": (21.5, 2.0, 17.5, 26.0),
    "notch_width_mm": (20.0, 1.6, 16.5, 24.0),
    "lateral_condyle_offset_mm": (0.6, 0.6, -0.8, 1.8),
    "tibial_width_ratio": (0.925, 0.015, 0.89, 0.96),
    "tibial_slope_deg": (6.0, 2.5, 0.0, 12.0),
    "medial_dish_mm": (2.2, 0.5, 1.0, 3.5),
    "lateral_dome_mm": (1.0, 0.5, 0.0, 2.2),
    "eminence_height_mm": (9.0, 1.2, 6.5, 12.0),
    "tuberosity_mm": (6.0, 1.3, 3.0, 9.0),
    "patella_height_angle_deg": (13.0, 4.0, 5.0, 22.0),
    "patella_shift_mm": (2.5, 1.5, -1.0, 6.0),
    "patellar_tendon_thickness_mm": (4.5, 0.6, 3.4, 6.0),
    "femoral_cartilage_mm": (2.2, 0.3, 1.5, 3.0),
    "trochlear_cartilage_mm": (2.8, 0.45, 1.8, 4.0),
    "medial_tibial_cartilage_mm": (2.2, 0.3, 1.5, 3.0),
    "lateral_tibial_cartilage_mm": (3.0, 0.4, 2.0, 4.0),
    "patellar_cartilage_mm": (3.4, 0.55, 2.0, 4.8),
    "cortex_mm": (1.3, 0.15, 1.0, 1.7),
    "shaft_cortex_mm": (3.6, 0.6, 2.4, 5.0),
    "meniscus_height_mm": (6.9, 0.5, 5.8, 8.0),
    "medial_anterior_width_mm": (9.6, 0.8, 8.0, 11.5),
    "medial_body_width_mm": (10.2, 0.7, 9.0, 12.0),
    "medial_posterior_width_mm": (13.5, 1.1, 11.0, 16.0),
    "lateral_width_mm": (12.2, 0.8, 10.5, 14.0),
    "medial_extrusion_mm": (0.5, 0.8, -1.0, 3.0),
    "medial_opening_deg": (118.0, 5.0, 108.0, 128.0),
    "lateral_opening_deg": (148.0, 5.0, 138.0, 158.0),
    "fat_mm": (8.0, 3.5, 3.0, 18.0),
    "muscle_bulk": (1.0, 0.08, 0.82, 1.16),
    "prefemoral_fat_mm": (5.0, 1.2, 2.5, 8.0),
    "quadriceps_fat_mm": (4.0, 0.8, 2.5, 6.0),
    "pouch_height_mm": (34.0, 5.0, 24.0, 42.0),
    "flexion_deg": (8.0, 5.0, 0.0, 20.0),
    "patient_tilt_deg": (0.0, 2.5, -5.0, 5.0),
}
# Lengths that grow with the epicondylar width, and their own relative spread around that.
_GROWING = {
    "posterior_radius_mm": 0.035,
    "distal_radius_mm": 0.035,
    "trochlea_radius_mm": 0.03,
    "shaft_radius_mm": 0.05,
    "tibial_depth_mm": 0.03,
    "fibular_head_radius_mm": 0.07,
    "patella_width_mm": 0.05,
    "patella_height_mm": 0.05,
    "patella_thickness_mm": 0.05,
}


def sample_parameters(
    rng: np.random.Generator, laterality: Laterality | None = None, sex: str | None = None, **fixed
) -> Knee:
    """A knee as people have them; `fixed` parameters are taken as given.

    >>> knee = sample_parameters(np.random.default_rng(1), "L", flexion_deg=5.0)
    >>> knee.laterality, knee.flexion_deg
    ('L', 5.0)
    """
    unknown = set(fixed) - {f.name for f in fields(Knee)}
    if unknown:
        raise TypeError(f"a knee has no parameter {', '.join(sorted(unknown))}")
    side, sex_drawn = ("L", "R")[rng.integers(2)], ("F", "M")[rng.integers(2)]
    mean_width = {"F": 76.5, "M": 85.0}[sex or sex_drawn]
    width = float(np.clip(rng.normal(mean_width, 3.2), 71, 93))
    values: dict = {"laterality": laterality or side, "epicondylar_width_mm": width}
    middle = Knee()
    for name, spread in _GROWING.items():
        values[name] = getattr(middle, name) * width / 82 * float(np.clip(rng.normal(1, spread), 0.85, 1.15))
    for name, (mean, sd, low, high) in _SPREAD.items():
        values[name] = float(np.clip(rng.normal(mean, sd), low, high))
    for name in ("notch_width_mm", "medial_posterior_width_mm", "lateral_width_mm", "condyle_crown_radius_mm"):
        values[name] *= (width / 82) ** 0.7
    values["texture_seed"] = int(rng.integers(2**31))
    return replace(middle, **{**values, **fixed})

"""Scales and thresholds: how stored measurements become grades.

Every number here has a unit, a reason and a source. A grade is a pure function of columns that the score tables
hold, so that a table can be graded again without its images. A threshold that is ours and not a published rule says
"project decision". A missing measurement gives a missing grade (None), never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MENISCI = ("medial", "lateral")
REGIONS = ("anterior_horn", "body", "posterior_horn")
# Parts of the joint's cavity; `{recess}_ml` of all of them add up to `fluid_ml`.
RECESSES = ("suprapatellar", "patellofemoral", "medial_gutter", "lateral_gutter", "femorotibial", "posterior")
STRIKE_STYLES = ("rearfoot", "midfoot", "forefoot", "mixed")
STRIKE_GROUPS = ("non_rearfoot", "rearfoot")
GRADES = (0, 1, 2, 3)
# Only readers grade ligaments: normal, changed, torn. Three points as in Schueller-Weidekamm et al. 2006, whose anchors
# could not be read.
LIGAMENT_GRADES = (0, 1, 2)
SIGNAL_SHAPES = ("globular", "linear")
SURFACES = ("superior", "inferior", "both")
# Images further apart than this are flagged `thick_slices`, of whatever is read from them: a meniscal horn is 5 to 8 mm
# wide, so they miss half of it, and leave a single one in the midline of the patella. The usual knee protocol has 3 to
# 4 mm; the rest is room for rounding. Project decision.
THICK_SLICE_MM = 4.1


@dataclass(frozen=True)
class SignalRule:
    """Intrameniscal signal 0-3 (Lotysch / Crues / Stoller / Reicher family).

    0 uniformly dark; 1 focal or globular signal without contact; 2 linear signal without contact; 3 signal that
    reaches the superior or inferior articular surface on at least two images (two-slice-touch rule, De Smet and
    Tuite, AJR 2006). Contact on a single image is grade 2 with the flag `contact_one_slice` ("2b").
    """

    name: str = "signal_grade"
    version: str = "2"
    source: str = "Shellock AJR 1991;157:1239 for 0-3; two-slice-touch: De Smet and Tuite AJR 2006"
    # Signal ratio (0 dark meniscus, 1 hyaline cartilage beside it) from which tissue is hyperintense: `deep_ratio`
    # where no neighbour shares the voxel, so that a lesion thinner than the slice is still seen, and the more the more
    # neighbours may add to it, up to `hyperintense_ratio` where half of it may be tissue as bright as cartilage.
    # Project decision, chosen on simulated knees (docs/scoring.md).
    hyperintense_ratio: float = 0.65
    deep_ratio: float = 0.35
    # Depth below the meniscus' border at which signal is its own, not that of a neighbour sharing the pixel: one and
    # a half common pixels. A component needs a core this deep; from it, it may reach the border. Project decision.
    rim_mm: float = 0.7
    # Contrast of the two reference levels against noise below which signal is not read at all. Project decision
    # (Rose's criterion for seeing a detail is about 5; components of ten voxels need less).
    min_contrast_to_noise: float = 3.0
    # Smallest hyperintense component that counts: below it noise and partial volume decide. Project decision.
    min_component_mm3: float = 8.0
    # A component at least this long is linear, a shorter one focal or globular. Project decision.
    linear_extent_mm: float = 6.0
    # At or below this distance between component and articular surface it counts as contact: half a
    # common in-plane pixel pair. Project decision.
    contact_mm: float = 0.6
    # Images with contact that make a tear.
    touch_slices: int = 2


@dataclass(frozen=True)
class EffusionDepthRule:
    """Effusion grade 0-3 from the suprapatellar antero-posterior depth (mm).

    Grade 1 begins at 4 mm on the midline or 10 mm laterally: what 4 mL of injected fluid measure
    (Schweitzer AJR 1992;159:361). The steps to 2 and 3 are project decisions, in the spirit of MOAKS.
    """

    name: str = "effusion_depth"
    version: str = "2"
    source: str = "Schweitzer AJR 159:361 for grade 1; steps 2 and 3 project decision"
    midline_mm: tuple[float, float, float] = (4.0, 8.0, 14.0)
    lateral_mm: tuple[float, float, float] = (10.0, 15.0, 22.0)


@dataclass(frozen=True)
class EffusionVolumeRule:
    """Effusion grade 0-3 from the fluid volume (mL).

    Normal knees hold up to 5-8 mL (Balazs, cited by Weston and Palmer). Cut-points are a project decision
    until they are learned against reader grades.
    """

    name: str = "effusion_volume"
    version: str = "2"
    source: str = "normal volume: Weston and Palmer, knee chapter; steps project decision"
    fluid_ml: tuple[float, float, float] = (8.0, 16.0, 32.0)


@dataclass(frozen=True)
class CartilageRule:
    """Focal cartilage defects 0-4, the five points of Noyes as read on MR images.

    0 normal; 1 signal change or swelling with an intact surface; 2 defect of up to half of the thickness; 3 deeper, not
    to the bone; 4 bare bone. Thickness cannot show grade 1: measured grades are 0, 2, 3 and 4. The anchors of
    the five-point scale of Schueller-Weidekamm et al. 2006 could not be read; theirs may differ.
    """

    name: str = "cartilage_defect"
    version: str = "1"
    source: str = "Noyes as used on MR by Duc, Radiology 2007;243:475; least depth and area project decision"
    # Thinning, as a share of the cartilage around it, from which a place belongs to a defect; and the least area of
    # such a place. Project decision, chosen so that intact plates are grade 0 (docs/scoring.md).
    min_depth_pct: float = 35.0
    min_area_mm2: float = 20.0
    # Share of the plate that must have been looked at. Project decision.
    min_judged_pct: float = 30.0
    # Depth from which a defect is deep, and from which nothing is left that a pixel can show.
    half_depth_pct: float = 50.0
    full_depth_pct: float = 90.0


@dataclass(frozen=True)
class MarrowRule:
    """Bright marrow under the cartilage, 0-2: none, small, large.

    Three points as in Schueller-Weidekamm et al. 2006, whose anchors could not be read. The steps are those at which
    the Knee Osteoarthritis Scoring System (Kornaat 2005) is said to grade the diameter of marrow oedema, 5 and 20 mm;
    they were not checked in that paper.
    """

    name: str = "marrow"
    version: str = "1"
    source: str = "diameters as quoted of Kornaat, Skeletal Radiol 2005;34:95; three points project decision"
    extent_mm: tuple[float, float] = (5.0, 20.0)
    # Marrow this bright (0 the bone's marrow, 1 hyaline cartilage) and this many times as bright as the bone's marrow
    # is hyperintense. Red marrow stays below: the first decides at short echo times, the second at long ones, where
    # cartilage is dark. Project decision, from relaxation times (simulate/tissues.py).
    hyperintense_ratio: float = 0.5
    times_marrow: float = 1.8
    # A ball of 5 mm. Project decision.
    min_component_mm3: float = 65.0
    # Contrast of marrow and cartilage against the spread of marrow, below which nothing is read. Project decision.
    min_contrast_to_noise: float = 3.0


@dataclass(frozen=True)
class TotalRule:
    """Total lesion score of a knee: the plain sum of the grades of all parts of five structures.

    The structures are those of Schueller-Weidekamm et al. 2006; how their grades were added could not be read, so the
    parts and the plain sum are a project decision. A missing part makes its structure's sum missing, and a missing
    structure the total: what was not looked at is not healthy.
    """

    name: str = "total_lesion_score"
    version: str = "1"
    source: str = "structures: Schueller-Weidekamm, Eur J Radiol 2006;58:286; parts and plain sum project decision"
    parts: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("menisci", ("medial_meniscus", "lateral_meniscus")),
        (
            "cartilage",
            ("femoral_cartilage", "medial_tibial_cartilage", "lateral_tibial_cartilage", "patellar_cartilage"),
        ),
        ("marrow", ("femur", "tibia", "patella")),
        ("ligaments", ("acl", "pcl", "mcl", "lcl")),
        ("effusion", ("effusion",)),
    )
    # Grades of the machine that have not been validated: they count only if the user says so.
    experimental: tuple[str, ...] = ("cartilage", "marrow")

    @property
    def structures(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.parts)


@dataclass(frozen=True)
class StrikeRule:
    """Strike style from measurement.

    Strike index (% of foot length from the heel; Cavanagh and Lafortune 1980): rearfoot to 33.3, midfoot to 66.6,
    then forefoot. Foot strike angle (degrees; Altman and Davis 2012): rearfoot above 8.0, forefoot below -1.6.
    """

    name: str = "strike_style"
    version: str = "1"
    source: str = "strike index: Cavanagh and Lafortune 1980; angle: Altman and Davis 2012"
    index_pct: tuple[float, float] = (33.3, 66.6)
    angle_deg: tuple[float, float] = (-1.6, 8.0)


SIGNAL = SignalRule()
EFFUSION_DEPTH = EffusionDepthRule()
EFFUSION_VOLUME = EffusionVolumeRule()
CARTILAGE = CartilageRule()
MARROW = MarrowRule()
TOTAL = TotalRule()
STRIKE = StrikeRule()


def grade_signal(
    hyperintense_mm3: float | None,
    signal_extent_mm: float | None,
    surface_slices: int | None,
    rule: SignalRule = SIGNAL,
) -> int | None:
    """Grade of one meniscal region from its largest-graded hyperintense component.

    >>> [grade_signal(0, 0, 0), grade_signal(20, 3, 0), grade_signal(40, 9, 0), grade_signal(40, 9, 2)]
    [0, 1, 2, 3]
    """
    if hyperintense_mm3 is None or signal_extent_mm is None or surface_slices is None:
        return None
    if hyperintense_mm3 < rule.min_component_mm3:
        return 0
    if surface_slices >= rule.touch_slices:
        return 3
    return 2 if surface_slices or signal_extent_mm >= rule.linear_extent_mm else 1


def highest_grade(grades: Iterable[int | None]) -> int | None:
    """Highest grade of several regions; missing while a region without grade could still be higher.

    >>> highest_grade([0, 1, 0]), highest_grade([0, None, 1]), highest_grade([3, None])
    (1, None, 3)
    """
    grades = list(grades)
    known = [grade for grade in grades if grade is not None]
    if len(known) == len(grades) or max(known, default=-1) == max(GRADES):
        return max(known, default=None)
    return None


def _steps(value: float, cuts: tuple[float, ...]) -> int:
    return sum(value >= cut for cut in cuts)


def grade_effusion_depth(
    midline_depth_mm: float | None,
    lateral_depth_mm: float | None,
    rule: EffusionDepthRule = EFFUSION_DEPTH,
    *,
    pouch_in_view: bool | None = True,
) -> int | None:
    """The higher of the grades of the two depths.

    None when neither could be measured, or when the suprapatellar pouch is not known to lie inside the image: what is
    cut off is not small. Only what reaches the highest grade already has it.

    >>> grade_effusion_depth(5.0, 2.0), grade_effusion_depth(None, None)
    (1, None)
    >>> [grade_effusion_depth(depth, 2.0, pouch_in_view=False) for depth in (5.0, 15.0)]
    [None, 3]
    """
    grades = [
        _steps(depth, cuts)
        for depth, cuts in ((midline_depth_mm, rule.midline_mm), (lateral_depth_mm, rule.lateral_mm))
        if depth is not None
    ]
    return _of_what_is_seen(max(grades, default=None), pouch_in_view)


def grade_effusion_volume(
    fluid_ml: float | None, rule: EffusionVolumeRule = EFFUSION_VOLUME, *, fluid_in_view: bool | None = True
) -> int | None:
    """Grade of the fluid volume; None when it is missing, or when the joint's cavity is not known to lie inside the
    image and what is seen does not reach the highest grade.

    >>> grade_effusion_volume(3.0), grade_effusion_volume(20.0), grade_effusion_volume(None)
    (0, 2, None)
    >>> [grade_effusion_volume(volume, fluid_in_view=False) for volume in (20.0, 40.0)]
    [None, 3]
    """
    return _of_what_is_seen(None if fluid_ml is None else _steps(fluid_ml, rule.fluid_ml), fluid_in_view)


def _of_what_is_seen(grade: int | None, whole: bool | None) -> int | None:
    """A grade of something that may be cut off: more of it could raise any grade but the highest."""
    if whole is None or grade is None:
        return None
    return grade if whole or grade == max(GRADES) else None


def grade_cartilage(
    defect_area_mm2: float | None,
    defect_depth_pct: float | None,
    defect_judged_pct: float | None = 100.0,
    rule: CartilageRule = CARTILAGE,
) -> int | None:
    """Grade of a plate from the area of its defects and the depth of the deepest; None if too little was looked at.

    >>> [grade_cartilage(0, 0), grade_cartilage(40, 40), grade_cartilage(40, 60), grade_cartilage(40, 95)]
    [0, 2, 3, 4]
    >>> grade_cartilage(0, 0, 10)
    """
    if None in (defect_area_mm2, defect_depth_pct, defect_judged_pct) or defect_judged_pct < rule.min_judged_pct:
        return None
    if defect_area_mm2 < rule.min_area_mm2 or defect_depth_pct < rule.min_depth_pct:
        return 0
    return 2 + _steps(defect_depth_pct, (rule.half_depth_pct, rule.full_depth_pct))


def grade_marrow(
    hyperintense_mm3: float | None, hyperintense_extent_mm: float | None, rule: MarrowRule = MARROW
) -> int | None:
    """Grade of one bone from the volume of its hyperintense components and the extent of the longest.

    >>> [grade_marrow(0, 0), grade_marrow(300, 9), grade_marrow(4000, 24), grade_marrow(None, None)]
    [0, 1, 2, None]
    """
    if hyperintense_mm3 is None or hyperintense_extent_mm is None:
        return None
    return 0 if hyperintense_mm3 < rule.min_component_mm3 else _steps(hyperintense_extent_mm, rule.extent_mm)


def total_grade(grades: Iterable[int | None]) -> int | None:
    """Sum of grades; missing if any of them is, or if there are none.

    >>> total_grade([1, 0, 2]), total_grade([1, None]), total_grade([])
    (3, None, None)
    """
    grades = list(grades)
    return sum(grades) if grades and None not in grades else None


def strike_from_index(strike_index_pct: float, rule: StrikeRule = STRIKE) -> str:
    """
    >>> strike_from_index(20), strike_from_index(50), strike_from_index(80)
    ('rearfoot', 'midfoot', 'forefoot')
    """
    low, high = rule.index_pct
    return "rearfoot" if strike_index_pct <= low else "midfoot" if strike_index_pct <= high else "forefoot"


def strike_from_angle(foot_strike_angle_deg: float, rule: StrikeRule = STRIKE) -> str:
    """
    >>> strike_from_angle(12), strike_from_angle(2), strike_from_angle(-5)
    ('rearfoot', 'midfoot', 'forefoot')
    """
    low, high = rule.angle_deg
    return "rearfoot" if foot_strike_angle_deg > high else "forefoot" if foot_strike_angle_deg < low else "midfoot"


def strike_group(style: str | None) -> str | None:
    """Rearfoot against all others (midfoot, forefoot, mixed); None when the style is unknown.

    >>> strike_group("rearfoot"), strike_group("mixed"), strike_group(None)
    ('rearfoot', 'non_rearfoot', None)
    """
    return None if style is None else STRIKE_GROUPS[style == "rearfoot"]


def distance_groups(cut_km: float) -> tuple[str, str]:
    """Names of the weekly distances below the cut, and at and above it.

    >>> distance_groups(32)
    ('below_32_km', 'from_32_km')
    """
    return f"below_{cut_km:g}_km", f"from_{cut_km:g}_km"


def distance_group(distance_km: float | None, cut_km: float) -> str | None:
    """Which side of the cut; a distance at the cut counts as above.

    >>> distance_group(31.9, 32), distance_group(32.0, 32), distance_group(None, 32)
    ('below_32_km', 'from_32_km', None)
    """
    return None if distance_km is None else distance_groups(cut_km)[distance_km >= cut_km]

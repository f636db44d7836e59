"""The phantom: the chest of nobody, as a table of structures.

Each has its body and what scanners would measure in it. They are painted one over the other in the
order of the table; `None` leaves what is below. What has a colour is drawn as an ROI, as `drawn`,
or as its body.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .shapes import Column, Common, Ellipsoid, Grown, Pipe, Point, Rib, Shape, Slab, Union, Without

AIR = -1000.0  # HU
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Structure:
    """One kind of tissue, or one volume that somebody has drawn."""

    name: str
    bodies: tuple[Shape, ...]
    hu: float | None = None
    t1: float | None = None  # grey of a T1-weighted MR image
    t2: float | None = None
    suv: float | None = None  # of fluorodeoxyglucose, an hour after it was given
    colour: Colour | None = None
    kind: str = "ORGAN"  # RT ROI Interpreted Type, PS3.3 C.8.8.8
    drawn: Shape | None = None

    @cached_property
    def outline(self) -> Shape:
        return self.drawn or Union(self.bodies)


# --- the trunk -------------------------------------------------------------------------------

TRUNK = Column((
    (-200, 0, 0, 158, 112), (-120, 0, 0, 163, 116), (-40, 0, 0, 170, 116), (40, 0, 2, 176, 112),
    (95, 0, 8, 176, 102), (125, 0, 14, 150, 88), (145, 0, 20, 98, 74), (160, 0, 22, 68, 64),
    (200, 0, 22, 60, 62),
))  # fmt: skip
WALL = Column((
    (-200, 0, 4, 136, 92), (-120, 0, 4, 140, 95), (-40, 0, 4, 138, 93), (40, 0, 6, 124, 84),
    (90, 0, 12, 96, 68), (125, 0, 20, 62, 48), (145, 0, 24, 34, 34), (200, 0, 24, 20, 20),
))  # fmt: skip


def grown_column(column: Column, margin: float) -> Column:
    """A column whose cross-sections are wider by a margin; a negative one makes them narrower."""
    return Column(tuple((z, x, y, a + margin, b + margin) for z, x, y, a, b in column.rows))


SHOULDERS = tuple(Ellipsoid((side * 140, 16, 118), (46, 44, 52)) for side in (-1, 1))
BODY = Union((TRUNK, *SHOULDERS))
MUSCLES: tuple[Shape, ...] = (
    grown_column(WALL, 17),
    *(Ellipsoid((side * 70, 78, 20), (58, 24, 170)) for side in (-1, 1)),  # the back's
    *(Ellipsoid((side * 74, -78, 62), (56, 22, 62)) for side in (-1, 1)),  # the chest's
    *(Ellipsoid((side * 136, 18, 112), (34, 32, 48)) for side in (-1, 1)),
    Pipe(((0, 22, 120), (0, 22, 210)), 46),
)
CAVITY = grown_column(WALL, -5)

# --- bones -----------------------------------------------------------------------------------

STEP = 27  # mm from one vertebra to the next
LEVELS = tuple(range(-189, 200, STEP))  # their middles


def back(z: float) -> float:
    """Where the middle of the vertebral bodies lies at a height: the spine is bent."""
    return 72 - (z - 10) ** 2 / 1100


def vertebra(z: float) -> tuple[Shape, ...]:
    y = back(z)
    body = Column(((z - 11, 0, y, 20, 16), (z, 0, y, 18, 14.5), (z + 11, 0, y, 20, 16)))
    arch = Common((Column(((z - 9, 0, y + 23, 17, 14), (z + 7, 0, y + 23, 17, 14))), BODY))
    spine = Ellipsoid((0, y + 44, z - 10), (3.5, 16, 8))
    wings = Pipe(((-34, y + 30, z), (0, y + 20, z), (34, y + 30, z)), 5)
    return body, arch, spine, wings


def marrow(z: float) -> Shape:
    y = back(z)
    return Column(((z - 9, 0, y, 18, 14), (z, 0, y, 16, 12.5), (z + 9, 0, y, 18, 14)))


def along_spine(behind: float, radius: float) -> Pipe:
    return Pipe(tuple((0.0, back(z) + behind, float(z)) for z in range(-210, 211, 30)), radius)


SPINE = Union(tuple(part for z in LEVELS for part in vertebra(z)))
SPINE_BODIES = Column(tuple((z, 0, back(z), 21, 17) for z in range(-210, 211, 30)))
DISCS = Common((Column(tuple((z, 0, back(z), 19, 15) for z in range(-200, 201, 20))), BODY))
CANAL, CORD = along_spine(22.5, 9), along_spine(22.5, 5.5)
RIBS = tuple(
    Rib(WALL, 118 - 26 * number, 0.42, (3.6, 6.5), front=-200 if number < 7 else -40.0)
    for number in range(11)
)
STERNUM = Common((
    Column(((-70, 0, -86, 14, 8), (20, 0, -80, 17, 8), (70, 0, -66, 26, 9), (84, 0, -58, 22, 9))),
    BODY,
))  # fmt: skip
CLAVICLES = tuple(
    Pipe(((side * 20, -52, 92), (side * 70, -40, 112), (side * 134, 4, 132)), 6.5)
    for side in (-1, 1)
)
BLADES = tuple(
    Union((
        Pipe(((side * 92, 84, -10), (side * 108, 86, 60), (side * 128, 50, 118)), 5, 8),
        Pipe(((side * 78, 92, 96), (side * 108, 92, 80), (side * 134, 66, 118)), 4.5, 6),
    ))
    for side in (-1, 1)
)  # fmt: skip
HUMERI = tuple(Ellipsoid((side * 148, 16, 132), (20, 20, 20)) for side in (-1, 1))

# --- what lies in the chest ------------------------------------------------------------------

TILTED = ((0.8, -0.6, 0.0), (0.48, 0.64, -0.6), (0.36, 0.48, 0.8))
HEART = Ellipsoid((22, -28, -62), (58, 44, 42), TILTED)
LEFT_VENTRICLE = Ellipsoid((44, -24, -72), (37, 27, 27), TILTED)
LEFT_CHAMBER = Ellipsoid((44, -24, -72), (26, 16, 16), TILTED)
RIGHT_CHAMBER = Ellipsoid((0, -48, -66), (34, 17, 24), TILTED)
ATRIA = (Ellipsoid((-26, -22, -44), (20, 22, 24)), Ellipsoid((14, 16, -40), (26, 15, 19)))
AORTA = (
    Pipe(((4, -20, -30), (-10, -26, 10), (-8, -22, 40), (0, -6, 56), (10, 16, 58)), 14, 12.5),
    Pipe(((10, 16, 58), (20, 36, 46), (24, 48, 20), (22, 50, -80), (14, 48, -210)), 12.5, 10.5),
)
LUNG_ARTERY = (
    Pipe(((16, -40, -18), (18, -26, 14), (10, -6, 22)), 13),
    Pipe(((-56, 8, 12), (10, -6, 22), (52, 12, 22)), 9),
)
VENA_CAVA = Pipe(((-26, -22, -40), (-28, -18, 30), (-22, -14, 90), (-26, -4, 200)), 8.5)
NECK_VESSELS = tuple(
    Pipe(((6 * side, 0, 60), (26 * side, 2, 110), (34 * side, 6, 210)), 5) for side in (-1, 1)
)
AIRWAYS = (
    Pipe(((0, 4, 210), (0, 8, 120), (2, 14, 34)), 8.5, 8),
    Pipe(((2, 14, 34), (-24, 18, 16), (-48, 18, 4)), 6.5, 5),
    Pipe(((2, 14, 34), (26, 20, 14), (50, 20, 0)), 6.5, 5),
)
GULLET = Pipe(((0, 26, 210), (2, 30, 60), (6, 32, -20), (14, 28, -110), (22, 14, -150)), 8)
DIAPHRAGM_RIGHT = Ellipsoid((-70, 8, -164), (92, 100, 92))
DIAPHRAGM_LEFT = Ellipsoid((72, 8, -170), (86, 98, 82))
LIVER = Common((
    Union((Ellipsoid((-66, 4, -162), (84, 90, 86)), Ellipsoid((10, -34, -152), (76, 44, 38)))),
    CAVITY,
))  # fmt: skip
STOMACH = Common((Ellipsoid((66, -18, -152), (44, 50, 46)), CAVITY))
STOMACH_AIR = Common((Ellipsoid((66, -40, -146), (28, 20, 30)), CAVITY))
SPLEEN = Common((Ellipsoid((96, 46, -152), (26, 38, 46)), CAVITY))
MEDIASTINUM = (
    Column((
        (-210, 0, 20, 44, 60), (-120, 6, 0, 42, 70), (-20, 0, 0, 38, 74), (60, 0, 4, 33, 64),
        (110, 0, 12, 34, 46), (140, 0, 20, 40, 44),
    )),
    Grown(HEART, 4),
)  # fmt: skip
LUNG_SIZES = {
    -1: Ellipsoid((-68, 6, -16), (66, 92, 158)),
    1: Ellipsoid((70, 8, -18), (64, 90, 158)),
}

# --- the tumour, and what is treated ---------------------------------------------------------

ISOCENTRE: Point = (-80.0, 12.0, 4.5)


def beside_it(dx: float, dy: float, dz: float) -> Point:
    x, y, z = ISOCENTRE
    return x + dx, y + dy, z + dz


GTV = Union((
    Ellipsoid(ISOCENTRE, (15, 13, 14)),
    Ellipsoid(beside_it(8, 6, 6), (11, 10, 11)),
    Ellipsoid(beside_it(-8, -6, -6), (9, 10, 8)),
))  # fmt: skip
CTV, PTV = Grown(GTV, 6), Grown(GTV, 11)
NECROSIS = Ellipsoid(beside_it(2, 2, 1), (5, 5, 5))
SPICULES = tuple(
    Pipe((ISOCENTRE, beside_it(*end)), 2.2, 0.8)
    for end in ((-26, -16, 14), (-20, 24, 2), (16, -26, 10), (-4, 10, 28), (-12, 6, -28))
)
NODE = Ellipsoid((-22, 22, 24), (8, 7, 9))


def lung(side: int) -> Shape:
    right, left = (DIAPHRAGM_RIGHT, ATRIA[0], VENA_CAVA), (DIAPHRAGM_LEFT, ATRIA[1], AORTA[1])
    beside = right if side < 0 else left
    inside = Common((LUNG_SIZES[side], CAVITY))
    return Without(inside, (*MEDIASTINUM, *beside, Grown(SPINE_BODIES, 3)))


LUNGS = {side: lung(side) for side in (-1, 1)}


def vessels(side: int) -> Iterator[Shape]:
    """A tree from the root of one lung."""
    root = (side * 46.0, 16.0, 10.0)
    for x, y, z in ((38, -46, 60), (46, 20, 74), (60, -10, 8), (50, -44, -52), (54, 34, -66)):
        middle = (root[0] + side * x * 0.5, root[1] + y * 0.5, root[2] + z * 0.5)
        yield Pipe((root, middle), 4.2, 3.0)
        for dx, dy, dz in ((10, -18, 22), (16, 16, 8), (6, 4, -24), (20, -6, 30)):
            end = (
                middle[0] + side * (x * 0.3 + dx),
                middle[1] + y * 0.3 + dy,
                middle[2] + z * 0.3 + dz,
            )
            yield Pipe((middle, end), 2.4, 1.4)
            for turn in (-1, 1):
                last = (
                    end[0] + side * dx * 0.7,
                    end[1] + dy * 0.6 + turn * 9,
                    end[2] + dz * 0.6 - turn * 7,
                )
                yield Pipe((end, last), 1.4, 0.7)


def inside_lung(side: int) -> tuple[Shape, ...]:
    return tuple(Common((one, LUNG_SIZES[side], CAVITY)) for one in vessels(side))


# --- the tables ------------------------------------------------------------------------------

# What all others are painted over: BODY is of this within, and of that at its surface.
FAT = Structure("Fat", (), -98, 620, 430, 0.3)
SKIN = Structure("Skin", (), 10, 260, 170, 0.4)
THICK = 2.5  # mm, of the skin

STRUCTURES = (
    Structure("BODY", (), colour=(0, 200, 120), kind="EXTERNAL", drawn=BODY),
    Structure("Muscles", MUSCLES, 48, 300, 130, 0.7),
    Structure("Chest", (CAVITY,), -85, 560, 400, 0.5),
    Structure("Ribs", RIBS, 520, 150, 90, 0.9),
    Structure("Lung_R", (LUNGS[-1],), -845, 38, 46, 0.45, (70, 150, 255)),
    Structure("Lung_L", (LUNGS[1],), -845, 38, 46, 0.45, (60, 210, 255)),
    Structure("Vessels", (*inside_lung(-1), *inside_lung(1)), 32, 90, 60, 1.3),
    Structure("Liver", (LIVER,), 58, 390, 150, 2.2, (170, 110, 60)),
    Structure("Spleen", (SPLEEN,), 50, 270, 260, 1.7),
    Structure("Stomach", (STOMACH,), 32, 230, 330, 1.1),
    Structure("StomachAir", (STOMACH_AIR,), AIR, 15, 15, 0.2),
    Structure("Heart", (HEART,), 42, 310, 180, 1.5, (255, 70, 90)),
    Structure("RightHeart", (RIGHT_CHAMBER, *ATRIA), 46, 130, 90, 1.6),
    Structure(
        "LeftVentricleWall", (LEFT_VENTRICLE,), 50, 330, 190, 4.2, (255, 150, 60),
        drawn=Without(LEFT_VENTRICLE, (LEFT_CHAMBER,)),
    ),
    Structure("LeftChamber", (LEFT_CHAMBER,), 46, 130, 90, 1.6),
    Structure("Aorta", AORTA, 45, 110, 60, 1.7, (220, 0, 60)),
    Structure("LungArteries", (*LUNG_ARTERY, VENA_CAVA, *NECK_VESSELS), 45, 110, 60, 1.7),
    Structure("Esophagus", (GULLET,), 34, 290, 210, 1.3, (200, 160, 60)),
    Structure("Airways", tuple(Grown(one, 1.5) for one in AIRWAYS), 5, 210, 130, 0.6),
    Structure("Trachea", AIRWAYS, AIR, 15, 15, 0.1, (160, 220, 255)),
    Structure("Node", (NODE,), 42, 280, 290, 5.5),
    Structure("Discs", (DISCS,), 85, 250, 200, 0.8),
    Structure("Spine", tuple(SPINE.shapes), 620, 180, 110, 1.2),
    Structure("Marrow", tuple(marrow(z) for z in LEVELS), 210, 420, 240, 1.9),
    Structure("Canal", (CANAL,), 12, 110, 620, 0.4),
    Structure("SpinalCord", (CORD,), 38, 320, 240, 1.1, (255, 255, 0)),
    Structure("SpinalCord_PRV05", (), colour=(200, 200, 80), drawn=Grown(CORD, 5)),
    Structure("Sternum", (STERNUM, *CLAVICLES), 380, 260, 150, 1.3),
    Structure("Shoulders", (*BLADES, *HUMERI), 480, 230, 140, 1.0),
    Structure("Spicules", SPICULES, 5, 200, 190, 1.8),
    Structure("GTV", (GTV,), 36, 285, 330, 9.5, (255, 0, 0), "GTV"),
    Structure("Necrosis", (NECROSIS,), 14, 190, 520, 1.2),
    Structure("CTV", (), colour=(255, 0, 255), kind="CTV", drawn=CTV),
    Structure("PTV", (), colour=(255, 140, 255), kind="PTV", drawn=PTV),
)  # fmt: skip
COUCH = (
    Structure("Couch", (Slab((-262, 122, -400), (262, 164, 400)),), -420),
    Structure("Foam", (Slab((-259, 125, -400), (259, 161, 400)),), -945),
)
ROIS = tuple(structure for structure in STRUCTURES if structure.colour)

"""Names beside points, placed where they cover least: of other names, of points, of lines, in that order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from experiments.report.format import shorten

Point = tuple[float, float]
Line = tuple[Point, Point]
Colour = tuple[float, float, float]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1, in points of the figure
DIRECTIONS = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
STEPS = (7.0, 14.0, 24.0, 36.0)  # points from the dot
LONGEST = 20  # characters
APART = 2.0  # points between names, since a page's letters are a little wider than these
NEAR = 11.0  # points around a dot within which another's name would be taken for its own


def write_names(
    axes: Axes,
    points: Mapping[str, Point],
    *,
    colours: Mapping[str, Colour],
    marks: Sequence[Point],
    lines: Sequence[Line],
    brief: Mapping[str, str] | None = None,
    brief_size: float | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write each name beside its point. Limits and place of the axes must be final.

    Args:
        points: by name, in data coordinates. colours: of each name. marks: further points to keep clear of.
        lines: horizontal or vertical lines to keep clear of; their ends may be infinite.
        brief: what some names are written as. brief_size: of these, in points.
        notes: what stands behind some names, such as a probability.
    """
    frame = axes.get_window_extent()
    scale = 72 / dots_per_inch(axes)
    edges = (frame.x0 * scale, frame.y0 * scale, frame.x1 * scale, frame.y1 * scale)
    solid = [_grown(_on_page(axes, place), 5) for place in [*points.values(), *marks]]
    owned = {name: _grown(_on_page(axes, place), NEAR) for name, place in points.items()}
    thin = [_strip(_on_page(axes, start), _on_page(axes, end), edges) for start, end in lines]
    names: list[Box] = []
    for name, place in points.items():
        shown = (brief or {}).get(name)
        note = (notes or {}).get(name, "")
        text = axes.annotate(
            f"{shorten(name if shown is None else shown, LONGEST)} {note}".rstrip(),
            place,
            xytext=(0, 0),
            textcoords="offset points",
            va="center",
            color=colours[name],
            fontsize=None if shown is None else brief_size,
            zorder=7,
            parse_math=False,
            annotation_clip=False,
        )
        extent = text.get_window_extent()
        size = (extent.width * scale, extent.height * scale)
        here = _on_page(axes, place)
        rivals = [box for owner, box in owned.items() if owner != name]
        costs = {box: _cost(box, here, edges, [*names, *rivals], solid, thin) for box in _places(here, size)}
        box = min(costs, key=costs.__getitem__)
        text.set_position((box[0] - here[0], (box[1] + box[3]) / 2 - here[1]))
        text.set_bbox({"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5})
        names.append((box[0] - APART, box[1] - APART, box[2] + APART, box[3] + APART))


def dots_per_inch(axes: Axes) -> float:
    """Dots per inch of the figure that the axes are in."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure.dpi


def _places(here: Point, size: Point) -> list[Box]:
    """Boxes of a size around a point, the nearest first."""
    width, height = size
    boxes = []
    for step in STEPS:
        for right, up in DIRECTIONS:
            x0 = here[0] + right * step + (right - 1) / 2 * width  # its near edge, or its middle above and below
            y0 = here[1] + up * step - height / 2
            boxes.append((x0, y0, x0 + width, y0 + height))
    return boxes


def _cost(box: Box, here: Point, edges: Box, names: Sequence[Box], solid: Sequence[Box], thin: Sequence[Box]) -> float:
    """What a place covers, in square points with weights; distance only breaks ties."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    outside = area - _overlap(box, edges)
    middle = ((box[0] + box[2]) / 2 - here[0], (box[1] + box[3]) / 2 - here[1])
    distance = (middle[0] ** 2 + middle[1] ** 2) ** 0.5
    covered = [sum(_overlap(box, other) for other in others) for others in (names, solid, thin)]
    return 100 * outside + 50 * covered[0] + 20 * covered[1] + 0.7 * covered[2] + 2 * distance


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _on_page(axes: Axes, place: Point) -> Point:
    x, y = axes.transData.transform(place)
    scale = 72 / dots_per_inch(axes)
    return float(x) * scale, float(y) * scale


def _grown(place: Point, by: float) -> Box:
    return place[0] - by, place[1] - by, place[0] + by, place[1] + by


def _strip(start: Point, end: Point, edges: Box) -> Box:
    """A line as a thin box within the axes, wherever its ends are."""
    x0, x1 = max(min(start[0], end[0]), edges[0]), min(max(start[0], end[0]), edges[2])
    y0, y1 = max(min(start[1], end[1]), edges[1]), min(max(start[1], end[1]), edges[3])
    return x0 - 1.5, y0 - 1.5, x1 + 1.5, y1 + 1.5

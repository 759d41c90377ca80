"""Holds the colours and the layout that every figure of the report shares, light and dark.

The colours are told apart by all kinds of colour vision (Okabe and Ito 2008, Color Universal Design) and stand out from
both backgrounds; whatever matters differs by shape or line as well.
"""

from katib.trial import State

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif'
BEST = "#d55e00"
STATES: dict[State, str] = {
    "Succeeded": "#1a7fc4",
    "EarlyStopped": "#8b94a0",
    "Running": "#009e73",
    "Created": "#009e73",
    "Failed": "#c4659b",
    "MetricsUnavailable": "#c4659b",
}
SYMBOLS: dict[State, str] = {
    "Succeeded": "circle",
    "EarlyStopped": "x-thin",
    "Running": "triangle-up",
    "Created": "triangle-up",
    "Failed": "cross-thin",
    "MetricsUnavailable": "cross-thin",
}
WORST, GOOD = (176, 184, 194), (26, 127, 196)
"""Ends of the scale by value, red, green and blue: grey to blue."""


def shade(share: float) -> str:
    """Returns the colour of a value at this position from the worst, 0, to the best, 1."""
    mixed = (round(low + share * (high - low)) for low, high in zip(WORST, GOOD, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def marker(state: State) -> dict[str, object]:
    """Returns how a trial in this state is drawn; a cross has a line and no area."""
    colour = STATES[state]
    return {
        "color": colour,
        "symbol": SYMBOLS[state],
        "size": 8,
        "line": {"color": colour, "width": 1.6 if "thin" in SYMBOLS[state] else 0},
    }


def template(*, dark: bool) -> dict[str, object]:
    """Returns Plotly's template of one colour scheme, whose colours are those of katib/templates/report.css."""
    ink, muted, grid = ("#e7e9ec", "#a3acb7", "#30363d") if dark else ("#1c2127", "#59626d", "#e1e5ea")
    surface = "#1c2126" if dark else "#ffffff"
    axis = {
        "gridcolor": grid,
        "linecolor": muted,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": muted,
        "tickfont": {"color": muted, "size": 12},
        "title": {"font": {"color": ink, "size": 13}, "standoff": 8},
        "automargin": True,
        "exponentformat": "none",
        "minorloglabels": "none",
    }
    return {
        "data": {"scatter": [{"marker": {"line": {"color": ink}}}]},
        "layout": {
            "font": {"family": FONT, "size": 13, "color": ink},
            "colorway": [ink],  # for what has no colour of its own: it stands out from both backgrounds
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 12, "r": 12, "t": 12, "b": 12, "pad": 0},
            "xaxis": axis,
            "yaxis": axis,
            "hovermode": "closest",
            "hoverlabel": {
                "bgcolor": surface,
                "bordercolor": muted,
                "align": "left",
                "font": {"family": FONT, "color": ink, "size": 13},
            },
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
            "shapedefaults": {"line": {"color": muted}},
            "annotationdefaults": {
                "font": {"color": muted, "size": 12},
                "showarrow": False,
                "bgcolor": "rgba(20,23,26,0.7)" if dark else "rgba(255,255,255,0.7)",
                "borderpad": 1,
            },
            "dragmode": False,
        },
    }

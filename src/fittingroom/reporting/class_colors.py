"""The colours by which plots tell classes apart, each with a marker of its own besides.

Not everybody can distinguish ten colours. These (after Tol 2021, "Colour Schemes", bright) have
contrast on light and on dark pages.
"""

CLASS_COLORS = (
    *("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee"),
    *("#aa3377", "#8a8a8a", "#994f00", "#8566c9", "#e66100"),
)

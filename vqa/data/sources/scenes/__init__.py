"""Generated data sets: `scenes`, the embedded default, and `sort-of-clevr`, the published recipe.

Why a question alone or choices alone say nothing: scenes are drawn from a distribution that stays
the same when colours (shapes, directions) change names, and questions and wrong choices are picked
by rules that look at no name. So, given the text and the set of choices, every choice is equally
often the right one. What has no such symmetry (numbers, what two objects share) is drawn first,
uniformly among the choices, and the scene is built for it.
"""

from vqa.data.sources.scenes.levels import DEFAULT_LEVEL, LEVELS, Level
from vqa.data.sources.scenes.sort_of_clevr import SortOfClevr
from vqa.data.sources.scenes.source import Scenes, split_by_image

__all__ = [
    "DEFAULT_LEVEL",
    "LEVELS",
    "Level",
    "Scenes",
    "SortOfClevr",
    "split_by_image",
]

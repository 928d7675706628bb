"""Whether prediction may go from tiles to labels directly, or somebody's own code stands in for a step on the way.

Subclasses, and programs that assign into our modules, replace functions that see a whole volume of logits
(``documentation/predicting.md`` lists them). They get the whole volume then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnunetv2.inference import export_prediction, patchable
from nnunetv2.inference.logits_predictor import LogitsPredictor

if TYPE_CHECKING:
    from nnunetv2.inference.predictor import nnUNetPredictor

_METHODS = {
    name: vars(LogitsPredictor)[name]
    for name in (
        "predict_logits_from_preprocessed_data",
        "predict_sliding_window_return_logits",
        "_predict_with_fallback",
        "_internal_predict_sliding_window_return_logits",
    )
}
_FUNCTIONS = {
    name: getattr(export_prediction, name)
    for name in ("convert_predicted_logits_to_segmentation_with_correct_shape", "export_prediction_from_logits")
}


def is_stock(predictor: nnUNetPredictor) -> bool:
    """Whether nothing that takes or gives whole volumes of logits has been replaced."""
    facade = patchable.names()
    own = vars(predictor)
    return all(
        name not in own and getattr(type(predictor), name) is method for name, method in _METHODS.items()
    ) and all(
        getattr(module, name) is function
        for name, function in _FUNCTIONS.items()
        for module in (facade, export_prediction)
    )

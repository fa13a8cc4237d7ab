"""The protocols, by name."""

from molmv.evaluate.protocol import Evaluation
from molmv.evaluate.protocols.embedding_benchmark import EmbeddingBenchmark
from molmv.evaluate.protocols.image import Image
from molmv.evaluate.protocols.paper import Paper, PaperFixed
from molmv.evaluate.protocols.strict import Strict
from molmv.evaluate.protocols.tdc_admet import TdcAdmet
from molmv.evaluate.protocols.text import Text
from molmv.evaluate.protocols.unsupervised import Unsupervised

__all__ = ["PROTOCOLS"]

_ALL: tuple[Evaluation, ...] = (
    Strict(),
    Paper(),
    PaperFixed(),
    EmbeddingBenchmark(),
    TdcAdmet(),
    Unsupervised(),
    Text(),
    Image(),
)
PROTOCOLS: dict[str, Evaluation] = {protocol.name: protocol for protocol in _ALL}

"""Public addresses of data sets' files, as their pages or several public readers of them give them.

Sizes and checksums are those that others publish for the same address: tensorflow/datasets
(url_checksums/clevr.txt, coco2014.txt) and facebookresearch/ParlAI (tasks/vqa_v1, vqa_v2, clevr);
sizes of TextVQA's and VQA v2's files as a public reader lists them. Where nothing is known, the first
download writes down what came.
"""

from __future__ import annotations

from vqa.data.published.facts import Remote

_VQA = "https://s3.amazonaws.com/cvmlp/vqa/mscoco/vqa/"
_COCO = "http://images.cocodataset.org/zips/"
_GQA = "https://downloads.cs.stanford.edu/nlp/data/gqa/"
_CP = "https://computing.ece.vt.edu/~aish/vqacp/"
_TEXT = "https://dl.fbaipublicfiles.com/textvqa/"
_VIZWIZ = "https://vizwiz.cs.colorado.edu/VizWiz_final/"
_DAQUAR = "http://datasets.d2.mpi-inf.mpg.de/mateusz14visual-turing/"
_SLAKE = "https://huggingface.co/datasets/BoKelvin/SLAKE/resolve/main/"


def _at(base: str, path: str, size: int | None = None, sha256: str | None = None) -> Remote:
    """The file of that path below an address, called by the path's last part."""
    return Remote(base + path, path.rpartition("/")[2], size, sha256)


TRAIN2014 = _at(
    _COCO,
    "train2014.zip",
    13_510_573_713,
    "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
)
VAL2014 = _at(
    _COCO,
    "val2014.zip",
    6_645_013_297,
    "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
)
TEST2015 = _at(
    _COCO,
    "test2015.zip",
    13_270_587_935,
    "1a2aa896b81140a850a78fa8bff07d455698d2abf364ff05721763458a8101ca",
)
COCO = (TRAIN2014, VAL2014)

VQA_V1 = (
    _at(_VQA, "Questions_Train_mscoco.zip", None,
        "c3b2bb6155528eeae95e0a914af394d6f0d98f8f2b51012c44b27778e1a96707"),
    _at(_VQA, "Questions_Val_mscoco.zip", None,
        "e8839be5de2d711989bf0adc82e6717d1ce307d27c9b1dfb0abf413b79a5d4d0"),
    _at(_VQA, "Questions_Test_mscoco.zip", None,
        "bd080c297fc863bf8258caa4864d3b5afab29373375a6637f8546338291e28c0"),
    _at(_VQA, "Annotations_Train_mscoco.zip", None,
        "a5f5f97c162a4ad44896be08bac6deaa258aa3fec281afcc84fe85ae44cb1ebc"),
    _at(_VQA, "Annotations_Val_mscoco.zip", None,
        "29377c35186d90aeab3e61bdad890f51215d1f88b700bd22ef19004d73bf284f"),
)  # fmt: skip
VQA_V2 = (
    _at(_VQA, "v2_Questions_Train_mscoco.zip", 7_239_401,
        "05a64b6e2582d06d7585f5429674a9a33851878be1bff9f8668cdcf792df611e"),
    _at(_VQA, "v2_Questions_Val_mscoco.zip", 3_494_929,
        "e71f6c5c3e97a51d050f28243e262b28cd0c48d11a6b4632d769d30d3f93222a"),
    _at(_VQA, "v2_Questions_Test_mscoco.zip", None,
        "982e2e687a86514b78ea83af356d151976c5e3fb4168a29ca543610574082ad7"),
    _at(_VQA, "v2_Annotations_Train_mscoco.zip", 21_708_861,
        "fb101bcefe91422c543c2bb6d70af11eb3119d0ff745ae283d09acdf66250853"),
    _at(_VQA, "v2_Annotations_Val_mscoco.zip", 10_518_930,
        "0caae7c8d1dafd852727f5ac046bc1efca9b72026bd6ffa34fc489f3a7b3291e"),
)  # fmt: skip
CLEVR = (
    _at("https://dl.fbaipublicfiles.com/clevr/", "CLEVR_v1.0.zip", 19_021_600_724,
        "5cd61cf1096ed20944df93c9adb31e74d189b8459a94f54ba00090e5c59936d1"),
)  # fmt: skip
GQA = (_at(_GQA, "questions1.2.zip"),)
GQA_PICTURES = (_at(_GQA, "images.zip"),)
COCO_QA = (_at("http://www.cs.toronto.edu/~mren/imageqa/data/cocoqa/", "cocoqa-2015-05-17.zip"),)
DAQUAR = (_at(_DAQUAR, "qa.894.raw.train.txt"), _at(_DAQUAR, "qa.894.raw.test.txt"))
DAQUAR_PICTURES = (_at(_DAQUAR, "nyu_depth_images.tar"),)
TDIUC = (_at("https://kushalkafle.com/data/", "TDIUC.zip"),)
TEXTVQA = (
    _at(_TEXT, "data/TextVQA_0.5.1_train.json", 21_634_937),
    _at(_TEXT, "data/TextVQA_0.5.1_val.json", 3_116_162),
    _at(_TEXT, "data/TextVQA_0.5.1_test.json", 2_770_520),
)
TEXTVQA_PICTURES = (
    _at(_TEXT, "images/train_val_images.zip", 7_072_297_970),
    _at(_TEXT, "images/test_images.zip"),
)
VIZWIZ = (_at(_VIZWIZ, "vqa_data/Annotations.zip"),)
VIZWIZ_PICTURES = tuple(_at(_VIZWIZ, f"images/{split}.zip") for split in ("train", "val", "test"))
VISUAL7W = (_at("https://ai.stanford.edu/~yukez/papers/resources/", "dataset_v7w_telling.zip"),)
VISUAL7W_PICTURES = (_at("http://vision.stanford.edu/yukezhu/", "visual7w_images.zip"),)
SLAKE = tuple(_at(_SLAKE, f"{split}.json") for split in ("train", "validation", "test"))
SLAKE_PICTURES = (_at(_SLAKE, "imgs.zip"),)
NLVR = (Remote("https://github.com/lil-lab/nlvr/archive/refs/heads/master.zip", "nlvr-master.zip"),)
SHAPES = (
    Remote("https://github.com/ronghanghu/n2nmn/archive/refs/heads/master.zip", "n2nmn-master.zip"),
)
EASY_VQA = (
    Remote(
        "https://github.com/vzhou842/easy-VQA/archive/refs/heads/master.zip", "easy-VQA-master.zip"
    ),
)
PUZZLE_VQA = (
    Remote(
        "https://github.com/declare-lab/LLM-PuzzleTest/archive/refs/heads/master.zip",
        "LLM-PuzzleTest-master.zip",
    ),
)


def vqa_cp(version: int) -> tuple[Remote, ...]:
    """Questions and annotations of VQA-CP v1 or v2."""
    kinds = [(split, kind) for split in ("train", "test") for kind in ("questions", "annotations")]
    return tuple(_at(_CP, f"vqacp_v{version}_{split}_{kind}.json") for split, kind in kinds)

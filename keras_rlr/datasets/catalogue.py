"""The published data sets that are known by name."""

from dataclasses import dataclass

# Normal images to train on, normal and anomalous ones to test on.
Counts = tuple[int, int, int]


@dataclass(frozen=True)
class PublishedDataset:
    """A data set as its authors published it.

    Args:
        name: what it is called on the command line.
        title: what its authors call it.
        counts: for each category, the normal images to train on, and the normal and
            the anomalous ones to test on.
        archive: name of the archive's file.
        sha256: of the archive, hexadecimal.
        url: where it can be downloaded without more, or None.
        homepage: where its authors describe it.
        licence: its name.
        citation: in BibTeX.
    """

    name: str
    title: str
    counts: dict[str, Counts]
    archive: str
    sha256: str
    url: str | None
    homepage: str
    licence: str
    citation: str


MVTEC_AD = PublishedDataset(
    name="mvtec_ad",
    title="MVTec AD",
    counts={
        "bottle": (209, 20, 63),
        "cable": (224, 58, 92),
        "capsule": (219, 23, 109),
        "carpet": (280, 28, 89),
        "grid": (264, 21, 57),
        "hazelnut": (391, 40, 70),
        "leather": (245, 32, 92),
        "metal_nut": (220, 22, 93),
        "pill": (267, 26, 141),
        "screw": (320, 41, 119),
        "tile": (230, 33, 84),
        "toothbrush": (60, 12, 30),
        "transistor": (213, 60, 40),
        "wood": (247, 19, 60),
        "zipper": (240, 32, 119),
    },
    archive="mvtec_anomaly_detection.tar.xz",
    sha256="cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d",
    url=None,
    homepage="https://www.mvtec.com/company/research/datasets/mvtec-ad",
    licence="CC BY-NC-SA 4.0 (not for commercial use)",
    citation="""@inproceedings{bergmann2019mvtec,
  title = {{MVTec AD}: A Comprehensive Real-World Dataset for Unsupervised Anomaly
           Detection},
  author = {Bergmann, Paul and Fauser, Michael and Sattlegger, David and Steger,
            Carsten},
  booktitle = {CVPR},
  year = {2019}
}""",
)

VISA = PublishedDataset(
    name="visa",
    title="VisA",
    counts={
        "candle": (900, 100, 100),
        "capsules": (542, 60, 100),
        "cashew": (450, 50, 100),
        "chewinggum": (453, 50, 100),
        "fryum": (450, 50, 100),
        "macaroni1": (900, 100, 100),
        "macaroni2": (900, 100, 100),
        "pcb1": (904, 100, 100),
        "pcb2": (901, 100, 100),
        "pcb3": (905, 101, 100),
        "pcb4": (904, 101, 100),
        "pipe_fryum": (450, 50, 100),
    },
    archive="VisA_20220922.tar",
    sha256="2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362",
    url="https://amazon-visual-anomaly.s3.us-west-2.amazonaws.com/VisA_20220922.tar",
    homepage="https://github.com/amazon-science/spot-diff",
    licence="CC BY 4.0",
    citation="""@inproceedings{zou2022spot,
  title = {{SPot-the-Difference} Self-supervised Pre-training for Anomaly Detection and
           Segmentation},
  author = {Zou, Yang and Jeong, Jongheon and Pemula, Latha and Zhang, Dongqing and
            Dabeer, Onkar},
  booktitle = {ECCV},
  year = {2022}
}""",
)

CATALOGUE = {dataset.name: dataset for dataset in (MVTEC_AD, VISA)}


def published_dataset(name: str) -> PublishedDataset:
    """Returns the published data set of a name.

    Raises:
        ValueError: if there is none.
    """
    if name not in CATALOGUE:
        raise ValueError(
            f"There is no data set {name!r} in the catalogue. Choose from: "
            f"{', '.join(CATALOGUE)}."
        )
    return CATALOGUE[name]

"""A study: one TOML file that says which items, encoders and pairs; running it again is free.

```toml
title = "Vision and language"
output = "runs/mine"            # beside the study file unless absolute
seed = 0
items = "emoji(n=300, seed=0)"

[encoders.vision]
model = "bundled:dinov2-small"
view = "image"                  # may be left out where only one view fits
pooling = "cls"
untrained = true                # the same architecture untrained is a baseline of every scan
inputs = true                   # so are statistics of the inputs themselves (pixels, words, spectra)

[encoders.text]
model = "bundled:minilm-l6"

[encoders.shuffled]             # a control: the same encoder on the words in another order
model = "bundled:minilm-l6"
view = "text | shuffle_words(seed=1)"

[[scans]]
x = "vision"
y = "text"
metrics = ["mutual_knn(k=10)", "cka", "rsa"]
permutations = 500
x_ceilings = ["other-vision"]   # encoders of its kind that x is compared with; y_ceilings likewise
strata = "label"                # permute items inside a label only; groups = "…" and circular = true likewise
gallery = true                  # the best pair with fewer items as well

[[stitches]]
x = "vision"
y = "text"
maps = ["ridge", "orthogonal", "relative"]
by = "item"                     # or "label": classes never seen

[[fusions]]
spaces = ["vision", "text"]     # or {image = "vision", text = "text"}
target = "label"                # a label set, several of them, "group", or an encoder whose rows are to be found
heads = ["concat", "late", "shared"]

[encoders.lite]                 # a ladder in one line: the encoders lite-0, lite-1 and lite-2
model = "bundled:efficientnet-lite{0,1,2}"
untrained = true
attributes = {family = "lite", pixels = [224, 240, 260]}  # told to atlases, beside what the encoder says itself

[[atlases]]
models = ["*"]                  # all encoders, or names and patterns; exclude = [...] leaves some out
metrics = ["mutual_knn(k=10)", "cka"]
baselines = true                # the untrained twins of the encoders that have one
trends = [{attribute = "parameters", reference = "text", models = ["lite-*"]}]
thresholds = [{attribute = "parameters", reference = "text"}]
divergence = {specialists = ["vision"], pool = ["lite-*"]}
factors = ["family", "modality"]

[[concepts]]
x = "vision"
y = "text"
labels = ["group", "words"]     # label sets of the items, or the words of their texts; by default the first label set
x_ceilings = ["other-vision"]   # other encoders of its modality, without which there are no verdicts
y_ceilings = ["other-text"]
covariates = ["word_count", "hubness", "norms.csv"]  # label sets, what can be computed, tables with ids
others = "speech"               # a third modality: which concepts do all three share?

[sides.it]                      # what no encoder makes: RDMs of brains or people, in scans and atlases by "rsa" …
rdms = "it.mat"                 # beside the study file; joined by the names of the items, or with in_order = true
only = ["human*"]               # the RDMs that are taken, by their names

[sides.old]                     # … or features that another tool wrote, wherever an encoder may stand
features = "old.npz"

[[migrations]]                  # can embeddings that are kept be carried into the space of a new model?
old = "old"
new = "text"
map = "ridge"
```

`diagnose = true` at the top also looks for failure signatures in every pair that is scanned, by its scan, its first
stitch and the first fusion of both its encoders.
"""

from __future__ import annotations

from ._entries import AtlasEntry, ConceptEntry, EncoderEntry, FusionEntry, MigrationEntry, ScanEntry, StitchEntry
from ._file import Study, load_study
from ._plan import Step, plan
from ._run import Outcome, run
from ._sides import SideEntry

__all__ = [
    "AtlasEntry",
    "ConceptEntry",
    "EncoderEntry",
    "FusionEntry",
    "MigrationEntry",
    "Outcome",
    "ScanEntry",
    "SideEntry",
    "Step",
    "StitchEntry",
    "Study",
    "load_study",
    "plan",
    "run",
]

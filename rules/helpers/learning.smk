from workflow_scripts.cohort.frozen import Frozen, image_files
from workflow_scripts.cohort.population import session_prefixes, trainings
from workflow_scripts.cohort.wiring import GRADCAM, INPUT, OF_SESSIONS

TRAINED = "studies/{study}/models/model-{model}_split-{split}_repeat-{repeat}"
TRAINING_LOG = "{study}/model-{model}_split-{split}_repeat-{repeat}.log"
MEANS = "maps", "logits", "attributions"  # Grad-CAM of both kinds, integrated gradients
SINGLE_GRADCAM = f"{GRADCAM}_split-{{split}}_repeat-{{repeat}}"
FROZEN = Frozen(CONFIG, COHORT.clinical)
input_entry, input_of_model = SHARED.input_entry, SHARED.input_of_model


def image_paths(wildcards):
    """Images of an input, of each session of the study's population its channels."""
    entry = input_entry(wildcards)
    return [
        path
        for prefix in session_prefixes(POPULATIONS[wildcards.study])
        for path in channel_paths(prefix, entry["channels"], entry["space"], "segmented" in entry)
    ]


def regions_around(wildcards):
    """Label images that an input is cut around, of each session of the study's population."""
    around = input_entry(wildcards).get("segmented")
    if not around:
        return []
    region, split = around["region"], wildcards.input.partition("_split-")[2]
    engine = SEGMENTATION.in_split(region, around["engine"], split)
    sides = of_engine(rules.segment_region.output.sides, region, engine)
    return sessions(sides, session_prefixes(POPULATIONS[wildcards.study]))


def channel_paths(prefix, channels, space, on_t1w=False):
    """Images of a session: raw ones, those on the grid of the T1w, or those in MNI152."""
    if space == "native" and not on_t1w:
        return [path for name in channels for path in paths(SCANS[name], prefix)[:1]]
    t1w, other = (
        (rules.prepare_t1w.output.t1w, rules.align_contrast.output.aligned)
        if on_t1w
        else (rules.register_to_mni.output.brain, rules.align_contrast.output.normalized)
    )
    return sessions([t1w if n == "T1w" else of_contrast(other, n) for n in channels], [prefix])


def sessions_to_score():
    """Sessions with the images that frozen networks read, and the text of their label."""
    made = rules.segment_region.output.sides
    return FROZEN.sessions(SCANS, channel_paths, lambda *asked: SEGMENTATION.file(made, *asked))


def of_template(*outputs):
    """Inputs of a rule that works on the template's grid."""
    return {f"template_{name}": getattr(rules.make_templates.output, name) for name in outputs}


def brains(wildcards):
    """Normalized brains of a study's sessions, where an input is in MNI152."""
    wanted = input_entry(wildcards)["space"] == "MNI152"
    brain = rules.register_to_mni.output.brain
    return sessions(brain, session_prefixes(POPULATIONS[wildcards.study])) if wanted else []


VOLUMES = {
    "volumes": input_of_model("volumes.npy"),
    "index": input_of_model("volumes.tsv"),
    "mask": input_of_model("mask.nii.gz"),
}


def pretrained_encoder(wildcards):
    """The encoder that a classifier stands on, weights first; none where it starts from scratch."""
    if model("kind")(wildcards) != "contrastive":
        return model("weights")(wildcards) or []
    pretrained = rules.pretrain_encoder.output
    return [path.format(**wildcards) for path in (pretrained.encoder, pretrained.description)]


def trained(output):
    """Input function: an output of the trainings of a model."""
    return lambda wildcards: trained_models(output, wildcards.study, wildcards.model)


def trained_models(output, name, *models):
    """An output of the trainings of a study's networks, or of those named."""
    made = trainings(STUDIES[name], POPULATIONS[name], *models)
    return [output.format(study=name, **training) for training in made]


def inner_models(output, name, *models):
    """The same of the networks that are trained in inner splits."""
    made = trainings(STUDIES[name], POPULATIONS[name], *models, inner=True)
    return [output.format(study=name, **training) for training in made]

"""Ties of the methods text on studies, see test_methods_text."""

import ast

import numpy as np
import pandas as pd

from tests.conftest import ROOT
from tests.report.code import A, B, C, L, R, S, calls, constant, text_of, tree, uses
from tests.statistics.predicted import CLASSES, table
from workflow_scripts.cohort.population import in_time
from workflow_scripts.common.resources import resource
from workflow_scripts.learning.classifier import balanced, class_weights_of
from workflow_scripts.learning.schedule import learning_rate, plateau
from workflow_scripts.learning.sides import Side
from workflow_scripts.statistics.combine_models import combine
from workflow_scripts.statistics.permutation_test import exchange_labels
from workflow_scripts.statistics.validation_thresholds import youden_threshold

INTERVAL = {"days": 7, "date": "on", "scan": "scan"}
SIDE = Side(pd.DataFrame({"weight": [1] * 4}), None, np.array([False] * 3 + [True]))


def votes(*probabilities):
    """Predictions of one model, of every second scan's positive class."""
    return table(np.arange(len(probabilities)) % 2 == 1, np.array(probabilities), 1)


SCHEMA = resource("schemas/config.schema.yaml").read_text()

STUDIES = {
    # Studies: population, inputs, design
    "Analysed are participants of the classes": lambda: uses(C + "population", "classes"),
    "with a session that has": lambda: uses(C + "population", "requires"),
    "all their sessions are used": lambda: uses(C + "population", "all"),
    "the session is": lambda: uses(C + "population", "sessions"),
    "never trained on, scored by the models of every": lambda: (
        constant("common/splits", "SCORED") == ["test", "external"]
    ),
    "made with tableone": lambda: uses(S + "describe_population", "TableOne"),
    "t-test with pooled variance, of three and more classes": lambda: calls(
        S + "describe_population", "TableOne", "summarize", ttest_equal_var="True"
    ),
    "Its p are not corrected": lambda: not uses(S + "describe_population", "multipletests"),
    "each divided by its mean over the brain": lambda: (
        "image / mean" in text_of(L + "images", "normalized_volume")
    ),
    "each divided by its mean where it is positive": lambda: (
        "data / data[shown].mean()" in text_of(L + "images", "native_volume")
    ),
    "around the region that": lambda: calls(L + "images", "_middle_of", "native_volume"),
    "averaged over cubes of": lambda: calls(L + "images", "downscale_local_mean", "cut"),
    "corrected for bias with N4, quantitative maps excepted": lambda: uses(
        A + "align_contrast", "n4_bias_field_correction", "MAPS"
    ),
    "registered rigidly to the T1w by mutual information, and": lambda: uses(
        A + "align_contrast", "Rigid"
    ),
    "by its transform in one interpolation": lambda: (
        "[*warps[:1], affine, rigid]" in text_of(A + "align_contrast", "main")
    ),
    "drawn by participant": lambda: uses(C + "draw_splits", "participants_of"),
    "the smaller training class counts twice": lambda: (
        "weight[small] = 2" in text_of(C + "draw_splits", "random_trials")
    ),
    "kept as a file and read by all models": lambda: all(
        "splits" in (ROOT / f"rules/{place}.smk").read_text()
        for place in ("learning", "baselines", "helpers/baselines")
    ),
    "cross-validation by participant, stratified by class": lambda: calls(
        C + "draw_splits", "stratified", "folds"
    ),
    "the fold after the tested one": lambda: (
        "(tested + 1) % k" in text_of(C + "draw_splits", "folds")
    ),
    "One random test side of": lambda: (
        "round(design['test'] * len(drawn))" in text_of(C + "draw_splits", "holdout")
    ),
    "was tested by models of all others": lambda: (
        "np.where(sites == site, 'test', 'train')" in text_of(C + "draw_splits", "leave_site_out")
    ),
    "come from a table of the user's": lambda: uses(C + "draw_splits", "given_splits"),
    "no participant is on two sides of one": lambda: calls(
        C + "draw_splits", "check_splits", "draw_splits"
    ),
    # Models
    "in up to three inner folds by participant": lambda: (
        constant(B + "linear", "INNER_FOLDS") == 3 and uses(B + "linear", "StratifiedKFold")
    ),
    "C by balanced accuracy": lambda: calls(B + "linear", "balanced_accuracy", "fit"),
    "Positive is who has a probability above": lambda: (
        "score > threshold" in text_of(B + "fit_features", "predict")
    ),
    "the class with more training participants": lambda: (
        ".mean()" in text_of(B + "fit_features", "predict")
    ),
    "the benchmark that reads nothing": lambda: (
        "None if majority" in text_of(B + "fit_features", "predict")
    ),
    "Radial kernel, nu": lambda: calls(
        B + "one_class_svm", "OneClassSVM", "fit_outside", kernel="'rbf'"
    ),
    "what lies outside is called": lambda: "outside > 0" in text_of(B + "one_class_svm", "predict"),
    "also counted at nu = 0.05, 0.1, 0.25 and": lambda: (
        constant(B + "one_class_svm", "NUS") == (0.05, 0.1, 0.25, 0.5)
    ),
    "cubes of 8 mm": lambda: constant(B + "one_class_svm", "BLOCK_MM") == 8,
    "scaled to mean 0 and variance 1 in the mask": lambda: (
        "(values - values.mean()) / values.std()" in text_of(B + "one_class_svm", "image_features")
    ),
    "stand on the log odds of other models": lambda: (
        calls(B + "stack_models", "logit", "logit_of")
        and calls(B + "stack_models", "logit_of", "log_odds")
    ),
    "They were fitted to out-of-fold scores": lambda: (
        calls(B + "stack_models", "out_of_fold", "main")
        and uses(C + "draw_inner_splits", "inner_split")
    ),
    "Of several learners the first was taken": lambda: (
        "value >= highest - error" in text_of(B + "stack_models", "chosen_of")
        and calls(B + "stack_models", "chosen_of", "stack")
    ),
    "Continuous net reclassification improvement": lambda: (
        "np.sign(difference)" in text_of(S + "reclassification", "moved")
        and calls(S + "reclassification", "draw_participants", "reclassification")
    ),
    "the term with the longest reach over the values": lambda: (
        constant(S + "nomogram", "LONGEST") == 100.0
        and calls(S + "evaluate_classifiers", "training_values", "nomogram")
    ),
    "was trained without labels on the training side": lambda: calls(
        L + "pretrain_encoder", "read_side", "main"
    ),
    "two views of each image": lambda: (
        ", 2, seed_of" in text_of(L + "training", "contrastive_loss")
    ),
    "are never negatives of each other": lambda: (
        "subjects[own]" in text_of(L + "training", "contrastive_loss")
    ),
    "NT-Xent loss at temperature": lambda: uses(
        L + "pretrain_encoder", "NTXentLoss", "temperature"
    ),
    "LARS (You": lambda: uses(L + "pretrain_encoder", "LARS"),
    "crop cuts off up to": lambda: "self.crop_voxels + 1" in ast.unparse(tree(L + "augment")),
    "rotate turns by up to": lambda: (
        "math.radians(self.rotate_degrees), 3" in ast.unparse(tree(L + "augment"))
    ),
    "standardized features of whole images": lambda: (
        "(features - mean) / spread" in text_of(L + "train_classifier", "train_linear")
    ),
    "by Adam with cross-entropy": lambda: uses(L + "classifier", "Adam", "cross_entropy"),
    "trained together on augmented views": lambda: calls(
        L + "classifier", "classification_loss", "fit_whole"
    ),
    "trained from scratch with labels": lambda: (
        "settings['kind'] == 'contrastive'" in text_of(L + "train_classifier", "main")
    ),
    "Adam (decay rates": lambda: uses(L + "classifier", "Adam", "betas"),
    "weighted by the inverse of the training scans of each class": lambda: np.allclose(
        class_weights_of(SIDE), [2 / 3, 2]
    ),
    "the rarer class used so much more often": lambda: (
        balanced(SIDE.weights, SIDE.positive, 0).tolist() == [1, 1, 1, 3]
    ),
    "each scan used as often as the split says": lambda: calls(
        L + "classifier", "draw_batches", "batches"
    ),
    "of that difference, from an image of zeros in 16 steps": lambda: (
        constant(L + "explain_predictions", "STEPS") == 16
        and "logits[:, 1] - logits[:, 0]"
        in text_of(L + "explain_predictions", "integrated_gradients")
    ),
    "stand beside those of this run": lambda: uses(S + "published_figures", "printed"),
    "what speaks against the class was left out": lambda: (
        "clip(min=0)" in text_of(L + "explain_predictions", "attribute")
    ),
    "it is exact for one test side": lambda: uses(S + "permutation_test", "argsort"),
    "falling to 0 along half a cosine": lambda: (
        [round(learning_rate(t, 1, 0, 4), 6) for t in (0, 2, 4)] == [1, 0.5, 0]
    ),
    "multiplied by 0.99 after each epoch": lambda: plateau(2, 1) == 0.99**2,
    "epochs with batches of": lambda: uses(L + "classifier", "epochs", "batch"),
    "the weights are those of the epoch with the lowest": lambda: (
        "network.load_state_dict(best)" in text_of(L + "training", "fit")
    ),
    "each taken once and as it is": lambda: calls(L + "classifier", "infer", "loss_of_side"),
    "training ends after": lambda: "history.stalled >= patience" in text_of(L + "training", "fit"),
    "the mean of the probabilities": lambda: (
        combine([votes(0.4), votes(0.7)], "mean", CLASSES)["probability"].tolist() == [0.55]
    ),
    "the majority of the predictions": lambda: (
        combine([votes(0.4), votes(0.7)], "majority", CLASSES)["score"].tolist() == [0.5]
    ),
    "and their label of a date within": lambda: all(
        in_time({"on": "2000-01-10", "scan": scan}, {"within_days": INTERVAL}) == near
        for scan, near in (("2000-01-03T10:00:00", True), ("2000-01-18", False), (None, False))
    ),
    "on scans that all of them scored in the same": lambda: (
        len(combine([votes(0.4, 0.9), votes(0.9)], "mean", CLASSES)) == 1
    ),
    "Positive is who has more than half of them": lambda: (
        combine([votes(0.4), votes(0.7)], "mean", CLASSES)["predicted"].tolist() == CLASSES[1:]
        and combine([votes(0.4), votes(0.7)], "majority", CLASSES)["predicted"][0] == CLASSES[0]
    ),
    "Trainings of each": lambda: "repeats" in SCHEMA,
    # Evaluation
    "is the positive class": lambda: uses(S + "split_metrics", "positive_class"),
    "Precision is TP / (TP + FP)": lambda: uses(S + "metrics", "precision", "tp", "fp"),
    "the published TP / (TP + TN)": lambda: uses(S + "metrics", "precision_published"),
    "External participants are scored": lambda: uses(S + "split_metrics", "ESTIMATES"),
    "permutations of the labels over participants": lambda: uses(B + "cases", "exchange"),
    "p = (1 + b) / (1 + n)": lambda: uses("common/permutations", "permutation_p"),
    "the linear layer is fitted anew": lambda: uses(L + "train_classifier", "permuted_labels"),
    "the encoder has seen no labels": lambda: (
        "labels are not used"
        in (ROOT / "workflow_scripts/learning/pretrain_encoder.py").read_text()
    ),
    "there the labels of the tested people were exchanged": lambda: (
        exchange_labels(votes(*np.linspace(0.1, 0.9, 9)), 50, 1, CLASSES[1])["n_positive"] == 4
    ).all(),
    "the score that has the highest Youden index on the scans kept for validation": lambda: (
        youden_threshold(np.array([False, True]), np.array([1.0, 2.0]), np.ones(2)) == 1.5
    ),
    "test and external scans took no part in it": lambda: (
        "roc_curve" not in text_of(S + "validation_thresholds", "at_validated_thresholds")
    ),
    "Within the test sides and averaged over them": lambda: uses(S + "curves", "sensitivity"),
    "bootstrap samples of the patients": lambda: (
        uses(S + "curves", "bootstraps") or uses(S + "trace_curves", "bootstraps")
    ),
    "in bins of equally many predictions": lambda: calls(
        S + "curves", "searchsorted", "calibration_curve"
    ),
    "variance clustered by patient": lambda: (
        "np.add.at(meat, person" in text_of(S + "curves", "calibration_line")
    ),
    "Limits of the Brier score are those of t": lambda: calls(
        S + "calibration", "variance_between", "brier_score"
    ),
    "put together from Wilson's limits of both classes": lambda: calls(
        S + "curves", "treated", "decision_curve"
    ),
    "at the prevalence of the sample": lambda: (
        uses(S + "curves", "net_benefit") or uses(S + "trace_curves", "net_benefit")
    ),
    "Logistic models were fitted to everybody": lambda: uses(
        B + "bootstrap_models", "fit_apparent"
    ),
    "with location-shifted limits": lambda: uses(S + "correct_optimism", "optimism_corrected"),
    "The apparent AUC stands beside": lambda: uses(B + "bootstrap_models", "permute"),
    "repeated-measures analysis of variance over": lambda: uses(
        S + "repeated_measures", "greenhouse_geisser", "huynh_feldt", "multivariate", "mauchly"
    ),
    "of the last convolution for the predicted class": lambda: uses(
        L + "gradcam", "last_convolution"
    ),
    "and of the class's own logit": lambda: (
        calls(L + "explain_predictions", "explain", "main")
        and uses(L + "explain_predictions", "logits", "shared")
    ),
    "was compared between": lambda: calls(L + "average_gradcam", "agreement", "main"),
    "averaged over the correctly classified": lambda: (
        "table['correct'] == 1" in text_of(L + "average_gradcam", "average_maps")
    ),
    "linear layers fitted to permuted labels": lambda: uses(L + "average_gradcam", "region_p"),
    "Unpaired t-tests with pooled variance": lambda: uses(
        S + "compare_classes", "ttest_ind", "shapiro"
    ),
    "Bonferroni correction counts trials times measures": lambda: (
        "len(groups) * len(measures)" in ast.unparse(tree(S + "compare_classes"))
    ),
    "Bonferroni correction counts the": lambda: (
        "{'all': len(measures)}" in ast.unparse(tree(S + "compare_classes"))
    ),
    "Sessions of a participant are averaged": lambda: uses(S + "compare_classes", "mean"),
    "Region volumes as shares of TIV": lambda: uses(S + "compare_classes", "tiv_ml"),
    "by the Kruskal-Wallis test": lambda: uses(S + "compare_groups", "kruskal"),
    "The first session of each participant was taken": lambda: uses(
        S + "correlate_features", "members"
    ),
    "Partial": lambda: uses(S + "correlate_features", "partial_corr"),
    "limits by Fisher's z": lambda: uses(S + "correlate_features", "interval", "arctanh"),
    "p corrected over all of them": lambda: (
        "corrected(table['p'], correction)"
        in text_of(S + "correlate_features", "correlate_features")
    ),
    "Complete cases of each pair": lambda: (
        "dropna" in text_of(S + "correlate_features", "correlate")
    ),
    "in the space of the first": lambda: "target is None" in text_of(L + "images", "native_volume"),
    "random sub-sampling trial": lambda: (
        "rng.permutation" in text_of(C + "draw_splits", "random_trials")
    ),
    "highest Youden index in these inner folds": lambda: (
        "youden_threshold(y, expit(scores[best])" in text_of(B + "linear", "fit")
    ),
    "not valid for nested models on the people": lambda: (
        "not valid on apparent predictions"
        in (ROOT / "resources/columns/statistics.tsv").read_text()
    ),
    "were recomputed from the counts": lambda: uses(S + "compare_published", "from_counts"),
    "beside the strategies of their names": lambda: uses(R + "published", "run_cells"),
}

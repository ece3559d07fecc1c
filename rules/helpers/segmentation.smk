ENGINE_TABLES = "volumes", "overlap", "ranking", "agreement"
TABLES_OF_ENGINES = [f"segmentation/{n}.tsv" for n in ENGINE_TABLES if SEGMENTATION.engines]


def segmented(output, prefixes=T1W, *regions):
    """An output of segment_region of all that is segmented in sessions."""
    return SEGMENTATION.files(getattr(rules.segment_region.output, output), prefixes, *regions)


def radiomics(rows, *regions):
    """What is measured of regions of sessions, see `Segmentation.radiomics_of`."""
    return SEGMENTATION.radiomics_of(rows, rules.measure_radiomics.output.sidecar, *regions)


def engine_pictures(wildcards=None):
    return SEGMENTATION.pictures(rules.draw_segmentation.output.picture, T1W)


def splits_of_network(wildcards):
    """Splits of the study whose tested people a network must not be trained on, if any."""
    settings = SEGMENTATION.settings(wildcards.region, wildcards.engine)
    return f"{SPLIT}_splits.tsv".format(**settings) if settings.get("study") else []

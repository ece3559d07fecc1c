def true_and_found():
    """Truth of the joints of the sessions in which they are segmented, and masks, true and found."""
    t1w, made = rules.simulate_pelvis_t1w.output, rules.segment_region.output.sides
    there = [prefix for prefix in T1W if SEGMENTATION.chosen(prefix)]
    return {
        "joints": sessions(t1w.volumes, there),
        "true_masks": sessions(t1w.joints, there),
        "masks": [path for prefix in there for path in SEGMENTATION.shown(made, prefix)],
    }

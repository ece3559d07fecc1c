"""BIDS names of the derivatives."""


def bids(folder: str, prefix: str, suffix: str, **entities: str) -> str:
    """Path of a derivative: ``folder/prefix_key-value_..._suffix``.

    ``folder`` and ``prefix`` name the session (``sub-01/ses-02``,
    ``sub-01_ses-02``) and may be wildcards in braces; ``from_`` stands for the
    entity ``from``, a Python keyword.

    >>> bids("sub-01/anat", "sub-01", "mask.nii.gz", desc="brain")
    'sub-01/anat/sub-01_desc-brain_mask.nii.gz'
    """
    parts = [f"{key.rstrip('_')}-{value}" for key, value in entities.items()]
    return f"{folder}/" + "_".join([prefix, *parts, suffix])


def session_prefix(participant_id: str, session_id: str | None) -> str:
    """``sub-01_ses-02``, or ``sub-01`` where there are no sessions."""
    return f"{participant_id}_{session_id}" if session_id else participant_id

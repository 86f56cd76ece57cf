"""What scores are called; no torch here, so that a config that names one can be checked."""

THRESHOLDS = ("half", "half_bit", "one_seventh")
"""Thresholds of a Fourier ring correlation."""
SCORES = (
    *(
        f"{image}_{score}"
        for score in ("ssim", "ssim_uniform", "psnr", "psnr_legacy", "mae")
        for image in ("amplitude", "phase")
    ),
    *("amplitude_pearson", "phase_pearson", "complex_pearson", "variation", "collapsed"),
    *("reference_amplitude_pearson", "reference_phase_pearson"),
    *("lattice_share", "amplitude_lattice_share", "complex_nrmse"),
    *(f"{kind}_{name}{unit}" for kind in ("frc", "split_frc") for name in THRESHOLDS for unit in ("", "_nm")),
    *("deviance", "fitted_deviance", "expected_deviance", "misfit", "least_misfit", "explained_share", "featureless"),
    *("frames", "seconds"),
)
"""Keys of metrics.json."""
TIMES = ("training_seconds", "seconds_on_scan")
"""What a study knows of a result beside its scores."""

# Iterative reconstruction by pty-chi, for comparison with the networks or from where they end.

from ptychoflow.settings.solver import SolverSettings
from ptychoflow.settings.values import plain


rule solver_settings:
    output:
        "results/{experiment}/solver.yaml",
    log:
        "results/{experiment}/logs/solver_settings.log",
    wildcard_constraints:
        experiment=one_of(SOLVED),
    localrule: True
    conda:
        "../envs/baseline.yaml"
    params:
        settings=lambda wildcards: as_yaml(
            plain(SolverSettings.of(EXPERIMENTS[wildcards.experiment]["solver"]))
        ),
    message:
        "settings of {wildcards.experiment}"
    shell:
        "printf '%s' {params.settings:q} > {output:q} 2> {log:q}"


rule solve:
    input:
        settings="results/{experiment}/solver.yaml",
        data="results/data/{dataset}.cxi",
        start=image_of("start_from"),
        start_scores=image_of("start_from", "metrics.json"),
    output:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
        amplitude="results/{experiment}/seed{seed}/{dataset}/reconstructed_amplitude.png",
        phase="results/{experiment}/seed{seed}/{dataset}/reconstructed_phase.png",
        provenance=report(
            "results/{experiment}/seed{seed}/{dataset}/provenance.json",
            caption="report/provenance.rst",
            category="{experiment}",
            subcategory="{dataset}",
            labels={"seed": "{seed}", "shows": "provenance"},
        ),
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/solve.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/solve.tsv"
    wildcard_constraints:
        experiment=one_of(SOLVED),
    conda:
        "../envs/baseline.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        program=program("solve"),
        start=lambda wildcards, input: input.start or "null",
        start_scores=lambda wildcards, input: input.start_scores or "null",
        code=code("solve", "baseline"),
    message:
        "solve for {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --config {input.settings:q} --data {input.data:q} --start {params.start:q}"
        " --start_scores {params.start_scores:q}"
        " --output {output.reconstruction:q} --amplitude {output.amplitude:q} --phase {output.phase:q}"
        " --provenance {output.provenance:q} --seed {wildcards.seed}"
        " --threads {threads} 2> {log:q}"

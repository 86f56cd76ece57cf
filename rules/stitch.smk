rule stitch:
    input:
        "results/{experiment}/seed{seed}/{dataset}/predicted.h5",
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
        "results/{experiment}/seed{seed}/{dataset}/logs/stitch.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/stitch.tsv"
    wildcard_constraints:
        experiment=one_of(BY_NETWORK),
    conda:
        "../envs/reconstruct.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        program=program("stitch"),
        phase_iterations=rounds,
        code=code("stitch", "reconstruct"),
    message:
        "stitch {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --patches {input:q} --output {output.reconstruction:q}"
        " --amplitude {output.amplitude:q} --phase {output.phase:q} --provenance {output.provenance:q}"
        " --phase_iterations {params.phase_iterations} --threads {threads} 2> {log:q}"

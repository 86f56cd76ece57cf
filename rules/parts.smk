# A large scan in parts, which may run on as many nodes: inference and stitching are scattered, and each round of phases is
# merged before the next begins. The image is that of rules/infer.smk and rules/stitch.smk, to the precision of sums.


scattergather:
    part=PLAN.parts,


rule infer_part:
    input:
        checkpoint=network,
        data="results/data/{dataset}.cxi",
    output:
        temp("results/{experiment}/seed{seed}/{dataset}/parts/predicted_{scatteritem}.h5"),
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/infer_part_{scatteritem}.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/infer_part_{scatteritem}.tsv"
    wildcard_constraints:
        experiment=one_of(BY_NETWORK),
    conda:
        environment("reconstruct")
    threads: 2
    resources:
        gpu=lambda wildcards: int(on_gpu(wildcards)),
        mem_mb=estimated(needs_of_inference, "mem_mb"),
        runtime=estimated(needs_of_inference, "runtime"),
    params:
        program=program("infer"),
        inference=inference_flags,
        accelerator=accelerator,
        code=code("infer", "reconstruct"),
    message:
        "reconstruct patches {wildcards.scatteritem} of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --checkpoint {input.checkpoint:q} --data {input.data:q} --output {output:q}"
        " --part {wildcards.scatteritem} {params.inference}"
        " --accelerator {params.accelerator} --threads {threads} 2> {log:q}"


rule stitch_part:
    input:
        patches="results/{experiment}/seed{seed}/{dataset}/parts/predicted_{scatteritem}.h5",
        previous=previous_round,
    output:
        temp("results/{experiment}/seed{seed}/{dataset}/parts/sums_{round}_{scatteritem}.h5"),
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/stitch_part_{round}_{scatteritem}.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/stitch_part_{round}_{scatteritem}.tsv"
    conda:
        "../envs/reconstruct.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        program=program("stitch_part"),
        previous=lambda wildcards, input: input.previous or "null",
        code=code("stitch_part", "reconstruct"),
    message:
        "stitch part {wildcards.scatteritem} of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}, round {wildcards.round}"
    shell:
        "python {params.program:q} --patches {input.patches:q} --previous {params.previous:q}"
        " --output {output:q} --threads {threads} 2> {log:q}"


rule merge_round:
    input:
        gather.part("results/{{experiment}}/seed{{seed}}/{{dataset}}/parts/sums_{{round}}_{scatteritem}.h5"),
    output:
        temp("results/{experiment}/seed{seed}/{dataset}/parts/round_{round}.h5"),
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/merge_round_{round}.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/merge_round_{round}.tsv"
    conda:
        "../envs/reconstruct.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        program=program("merge_parts"),
        code=code("merge_parts", "reconstruct"),
    message:
        "merge round {wildcards.round} of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --sums {input:q} --phase_iterations {wildcards.round}"
        " --output {output:q} 2> {log:q}"


rule merge_parts:
    input:
        last_round,
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
        "results/{experiment}/seed{seed}/{dataset}/logs/merge_parts.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/merge_parts.tsv"
    wildcard_constraints:
        experiment=one_of(BY_NETWORK),
    conda:
        "../envs/reconstruct.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        program=program("merge_parts"),
        rounds=rounds,
        code=code("merge_parts", "reconstruct"),
    message:
        "merge {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --sums {input:q} --phase_iterations {params.rounds}"
        " --output {output.reconstruction:q} --amplitude {output.amplitude:q} --phase {output.phase:q}"
        " --provenance {output.provenance:q} 2> {log:q}"

rule infer:
    input:
        checkpoint=network,
        data="results/data/{dataset}.cxi",
    output:
        temp("results/{experiment}/seed{seed}/{dataset}/predicted.h5"),
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/infer.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/infer.tsv"
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
        "reconstruct the patches of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --checkpoint {input.checkpoint:q} --data {input.data:q} --output {output:q}"
        " {params.inference} --accelerator {params.accelerator} --threads {threads} 2> {log:q}"

rule infer:
    input:
        checkpoint=network,
        data="results/data/{dataset}.cxi",
    output:
        temp("results/{experiment}/seed{seed}/{dataset}/patches.h5"),
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
        probe=setting("inference", "probe", "dataset"),
        batch_size=setting("inference", "batch_size", 16),
        tile_frames=setting("inference", "tile_frames", 512),
        single_shot=setting("inference", "single_shot", False),
        accelerator=accelerator,
        code=code("infer", "reconstruct"),
    message:
        "reconstruct the patches of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python $PTYCHOFLOW_SCRIPTS/infer.py --checkpoint {input.checkpoint} --data {input.data} --output {output}"
        " --probe {params.probe} --batch_size {params.batch_size} --tile_frames {params.tile_frames}"
        " --single_shot {params.single_shot} --accelerator {params.accelerator} --threads {threads} 2> {log}"

rule evaluate:
    input:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
        data="results/data/{dataset}.cxi",
        reference=image_of("reference"),
    output:
        scores="results/{experiment}/seed{seed}/{dataset}/metrics.json",
        correlation="results/{experiment}/seed{seed}/{dataset}/correlation.csv",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/evaluate.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/evaluate.tsv"
    conda:
        "../envs/reconstruct.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        reference=lambda wildcards, input: input.reference or "null",
        code=code("evaluate", "reconstruct"),
    message:
        "score {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python $PTYCHOFLOW_SCRIPTS/evaluate.py --reconstruction {input.reconstruction} --data {input.data} --reference {params.reference}"
        " --output {output.scores} --correlation {output.correlation} --threads {threads} 2> {log}"

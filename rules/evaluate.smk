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
        program=program("evaluate"),
        reference=lambda wildcards, input: input.reference or "null",
        code=code("evaluate", "reconstruct"),
    message:
        "score {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --reconstruction {input.reconstruction:q} --data {input.data:q} --reference {params.reference:q}"
        " --output {output.scores:q} --correlation {output.correlation:q} --threads {threads} 2> {log:q}"

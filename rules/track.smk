rule collect_runs:
    input:
        scores=scores(),
        provenance=each_result("provenance.json"),
    output:
        "results/runs.csv",
    log:
        "results/logs/collect_runs.log",
    benchmark:
        "results/benchmarks/collect_runs.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=15,
    params:
        folders=result_folders,
        code=code("collect_runs"),
    shell:
        "python $PTYCHOFLOW_SCRIPTS/collect_runs.py --results {params.folders:q} --output {output} 2> {log}"


rule make_crate:
    input:
        images(),
        scores(),
        pictures(),
        each_result("provenance.json", "correlation.csv"),
        each_run("model.ckpt", "metrics.csv", "config.yaml", "provenance.json"),
    output:
        "results/crate.zip",
    log:
        "results/logs/make_crate.log",
    benchmark:
        "results/benchmarks/make_crate.tsv"
    conda:
        "../envs/crate.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        folders=result_folders,
        code=code("make_crate"),
    shell:
        "python $PTYCHOFLOW_SCRIPTS/make_crate.py --results {params.folders:q} --workflow $PTYCHOFLOW_SCRIPTS/../Snakefile"
        " --output {output} 2> {log}"

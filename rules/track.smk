rule collect_runs:
    input:
        scores=scores(),
        provenance=each_result("provenance.json"),
    output:
        table="results/runs.csv",
        page=report(
            "results/runs.html",
            caption="report/runs.rst",
            category="All results",
            labels={"shows": "scores"},
        ),
    log:
        "results/logs/collect_runs.log",
    benchmark:
        "results/benchmarks/collect_runs.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        program=program("collect_runs"),
        folders=folders,
        code=code("collect_runs", "figures"),
    message:
        "put all results into one table"
    shell:
        "python {params.program:q} --results {params.folders:q} --output {output.table:q}"
        " --page {output.page:q} 2> {log:q}"


rule collect_warnings:
    input:
        data=records(),
        scores=scores(),
        provenance=each_result("provenance.json"),
    output:
        report(
            "results/warnings.html",
            caption="report/warnings.rst",
            category="Warnings",
            labels={"shows": "warnings"},
        ),
    log:
        "results/logs/collect_warnings.log",
    benchmark:
        "results/benchmarks/collect_warnings.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(15),
    params:
        program=program("collect_warnings"),
        folders=folders,
        code=code("collect_warnings", "figures"),
    message:
        "put all warnings on one page"
    shell:
        "python {params.program:q} --data {input.data:q} --results {params.folders:q}"
        " --output {output:q} 2> {log:q}"


rule make_crate:
    input:
        images(),
        scores(),
        pictures(),
        each_result("correlation.csv"),
        each_run("model.ckpt", "metrics.csv", "config.yaml", "provenance.json"),
        provenance=each_result("provenance.json"),
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
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        program=program("make_crate"),
        workflow=lambda wildcards, input: str(CHECKOUT / "Snakefile"),
        folders=folders,
        code=code("make_crate", "crate"),
    message:
        "pack all results into an RO-Crate"
    shell:
        "python {params.program:q} --results {params.folders:q} --workflow {params.workflow:q}"
        " --output {output:q} 2> {log:q}"

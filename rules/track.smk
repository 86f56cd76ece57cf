rule collect_runs:
    input:
        scores=scores(),
        provenance=each_result("provenance.json"),
        pages=pages(),
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
        studies=study_outputs(*STUDY_TABLES, *STUDY_FIGURES),
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
        studies=lambda wildcards, input: ["--studies", *input.studies] if input.studies else [],
        code=code("make_crate", "crate"),
    message:
        "pack all results into an RO-Crate"
    shell:
        "python {params.program:q} --results {params.folders:q} --workflow {params.workflow:q}"
        " --output {output:q} {params.studies:q} 2> {log:q}"


# The run that made the network, which may be another experiment's, takes the scores of what it is used for as well.
rule track_result:
    input:
        scores="results/{experiment}/seed{seed}/{dataset}/metrics.json",
        provenance="results/{experiment}/seed{seed}/{dataset}/provenance.json",
        figures=tracked_figures,
    output:
        "results/{experiment}/seed{seed}/{dataset}/tracked.json",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/track_result.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/track_result.tsv"
    wildcard_constraints:
        experiment=one_of(BY_NETWORK),
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        program=program("track_result"),
        folder=lambda wildcards, input: str(Path(input.scores).parent),
        run=lambda wildcards: f"results/{lender(wildcards)}/seed{wildcards.seed}/run",
        code=code("track_result", "train"),
    message:
        "tell MLflow of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --result {params.folder:q} --run_dir {params.run:q} --output {output:q} 2> {log:q}"


rule track_study:
    input:
        expand("results/studies/{{study}}/{name}", name=(*STUDY_TABLES, *STUDY_FIGURES)),
    output:
        "results/studies/{study}/tracked.json",
    log:
        "results/studies/{study}/logs/track_study.log",
    benchmark:
        "results/studies/{study}/benchmarks/track_study.tsv"
    wildcard_constraints:
        study=one_of(study for study in STUDIES if tracked_in_study(study)),
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        program=program("track_study"),
        folder=folder,
        store=study_store,
        code=code("track_study", "train"),
    message:
        "tell MLflow of the study {wildcards.study}"
    shell:
        "python {params.program:q} --study {params.folder:q} {params.store} --output {output:q} 2> {log:q}"

# Studies, whose datasets and experiments rules/config.smk has written out, and what the seeds of an experiment agree on.


rule study_settings:
    output:
        "results/studies/{study}/study.yaml",
    log:
        "results/studies/{study}/logs/study_settings.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        settings=study_description,
    message:
        "settings of study {wildcards.study}"
    shell:
        "printf '%s' {params.settings:q} > {output:q} 2> {log:q}"


rule tabulate_study:
    input:
        scores=lambda wildcards: study_results(wildcards, "metrics.json", "provenance.json"),
        study="results/studies/{study}/study.yaml",
    output:
        results="results/studies/{study}/results.csv",
        table=report(
            "results/studies/{study}/table.csv",
            caption="report/study.rst",
            category="Studies",
            subcategory="{study}",
            labels={"shows": "table"},
        ),
        markdown="results/studies/{study}/table.md",
        latex="results/studies/{study}/table.tex",
    log:
        "results/studies/{study}/logs/tabulate_study.log",
    benchmark:
        "results/studies/{study}/benchmarks/tabulate_study.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        program=program("tabulate_study"),
        code=code("tabulate_study", "figures"),
    message:
        "tabulate study {wildcards.study}"
    shell:
        "python {params.program:q} --study {input.study:q} --results {output.results:q}"
        " --table {output.table:q} --markdown {output.markdown:q} --latex {output.latex:q} 2> {log:q}"


rule plot_study:
    input:
        study="results/studies/{study}/study.yaml",
        results="results/studies/{study}/results.csv",
    output:
        png=report(
            "results/studies/{study}/figure.png",
            caption="report/study.rst",
            category="Studies",
            subcategory="{study}",
            labels={"shows": "figure"},
        ),
        svg="results/studies/{study}/figure.svg",
    log:
        "results/studies/{study}/logs/plot_study.log",
    benchmark:
        "results/studies/{study}/benchmarks/plot_study.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        program=program("plot_study"),
        code=code("plot_study", "figures"),
    message:
        "draw study {wildcards.study}"
    shell:
        "python {params.program:q} --study {input.study:q} --results {input.results:q}"
        " --png {output.png:q} --svg {output.svg:q} 2> {log:q}"


rule combine_seeds:
    input:
        reconstructions=lambda wildcards: expand(
            "results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
            experiment=wildcards.experiment,
            dataset=wildcards.dataset,
            seed=seeds_of(wildcards.experiment),
        ),
        data="results/data/{dataset}.cxi",
    output:
        "results/{experiment}/seeds/{dataset}/ensemble.h5",
    log:
        "results/{experiment}/seeds/{dataset}/logs/combine_seeds.log",
    benchmark:
        "results/{experiment}/seeds/{dataset}/benchmarks/combine_seeds.tsv"
    conda:
        "../envs/reconstruct.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        program=program("combine_seeds"),
        code=code("combine_seeds", "reconstruct"),
    message:
        "combine the seeds of {wildcards.experiment} for {wildcards.dataset}"
    shell:
        "python {params.program:q} --reconstructions {input.reconstructions:q} --data {input.data:q}"
        " --output {output:q} 2> {log:q}"


rule plot_uncertainty:
    input:
        "results/{experiment}/seeds/{dataset}/ensemble.h5",
    output:
        png=report(
            "results/{experiment}/seeds/{dataset}/figures/uncertainty.png",
            caption="report/uncertainty.rst",
            category="{experiment}",
            subcategory="{dataset}",
            labels={"seed": "all", "shows": "uncertainty"},
        ),
        svg="results/{experiment}/seeds/{dataset}/figures/uncertainty.svg",
    log:
        "results/{experiment}/seeds/{dataset}/logs/plot_uncertainty.log",
    benchmark:
        "results/{experiment}/seeds/{dataset}/benchmarks/plot_uncertainty.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        program=program("plot_uncertainty"),
        code=code("plot_uncertainty", "figures"),
    message:
        "draw where the seeds of {wildcards.experiment} differ for {wildcards.dataset}"
    shell:
        "python {params.program:q} --ensemble {input:q} --png {output.png:q} --svg {output.svg:q} 2> {log:q}"

rule plot_reconstruction:
    input:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
        data="results/data/{dataset}.cxi",
    output:
        png=report(
            "results/{experiment}/seed{seed}/{dataset}/figures/reconstruction.png",
            caption="report/reconstruction.rst",
            category="{experiment}",
            subcategory="{dataset}",
            labels={"seed": "{seed}", "shows": "image"},
        ),
        svg="results/{experiment}/seed{seed}/{dataset}/figures/reconstruction.svg",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/plot_reconstruction.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/plot_reconstruction.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        program=program("plot_reconstruction"),
        unwrap=lambda wildcards: section(wildcards.experiment, "figures").unwrap,
        code=code("plot_reconstruction", "figures"),
    message:
        "draw {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --reconstruction {input.reconstruction:q} --data {input.data:q}"
        " --unwrap {params.unwrap} --png {output.png:q} --svg {output.svg:q} 2> {log:q}"


rule plot_correlation:
    input:
        correlation="results/{experiment}/seed{seed}/{dataset}/correlation.csv",
        provenance="results/{experiment}/seed{seed}/{dataset}/provenance.json",
    output:
        png=report(
            "results/{experiment}/seed{seed}/{dataset}/figures/correlation.png",
            caption="report/correlation.rst",
            category="{experiment}",
            subcategory="{dataset}",
            labels={"seed": "{seed}", "shows": "ring correlation"},
        ),
        svg="results/{experiment}/seed{seed}/{dataset}/figures/correlation.svg",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/plot_correlation.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/plot_correlation.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        program=program("plot_correlation"),
        title=title_of_result,
        code=code("plot_correlation", "figures"),
    message:
        "draw the ring correlation of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --correlation {input.correlation:q} --title {params.title:q}"
        " --provenance {input.provenance:q} --png {output.png:q} --svg {output.svg:q} 2> {log:q}"


rule plot_probe:
    input:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
    output:
        png=report(
            "results/{experiment}/seed{seed}/{dataset}/figures/probe.png",
            caption="report/probe.rst",
            category="{experiment}",
            subcategory="{dataset}",
            labels={"seed": "{seed}", "shows": "probe"},
        ),
        svg="results/{experiment}/seed{seed}/{dataset}/figures/probe.svg",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/plot_probe.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/plot_probe.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        program=program("plot_probe"),
        code=code("plot_probe", "figures"),
    message:
        "draw the probe of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --reconstruction {input.reconstruction:q}"
        " --png {output.png:q} --svg {output.svg:q} 2> {log:q}"


rule plot_scan:
    input:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
    output:
        png=report(
            "results/{experiment}/seed{seed}/{dataset}/figures/scan.png",
            caption="report/scan.rst",
            category="{experiment}",
            subcategory="{dataset}",
            labels={"seed": "{seed}", "shows": "scan"},
        ),
        svg="results/{experiment}/seed{seed}/{dataset}/figures/scan.svg",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/plot_scan.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/plot_scan.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        program=program("plot_scan"),
        code=code("plot_scan", "figures"),
    message:
        "draw the scan of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --reconstruction {input.reconstruction:q}"
        " --png {output.png:q} --svg {output.svg:q} 2> {log:q}"


rule view:
    input:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
        data="results/data/{dataset}.cxi",
        scores="results/{experiment}/seed{seed}/{dataset}/metrics.json",
        correlation="results/{experiment}/seed{seed}/{dataset}/correlation.csv",
    output:
        page_of_report(
            "results/{experiment}/seed{seed}/{dataset}/view.html",
            caption="report/view.rst",
            category="{experiment}",
            subcategory="{dataset}",
            labels={"seed": "{seed}", "shows": "page"},
        ),
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/view.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/view.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(3000),
        runtime=growing(30),
    params:
        program=program("view"),
        title=title_of_result,
        code=code("view", "figures"),
    message:
        "make a page of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --reconstruction {input.reconstruction:q} --data {input.data:q}"
        " --scores {input.scores:q} --correlation {input.correlation:q} --title {params.title:q}"
        " --output {output:q} 2> {log:q}"


rule plot_own_uncertainty:
    input:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
        data="results/data/{dataset}.cxi",
    output:
        png=report(
            "results/{experiment}/seed{seed}/{dataset}/figures/uncertainty.png",
            caption="report/own_uncertainty.rst",
            category="{experiment}",
            subcategory="{dataset}",
            labels={"seed": "{seed}", "shows": "uncertainty"},
        ),
        svg="results/{experiment}/seed{seed}/{dataset}/figures/uncertainty.svg",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/plot_uncertainty.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/plot_uncertainty.tsv"
    wildcard_constraints:
        experiment=one_of(UNCERTAIN),
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
        "draw how far {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}, may be off"
    shell:
        "python {params.program:q} --reconstruction {input.reconstruction:q} --data {input.data:q}"
        " --png {output.png:q} --svg {output.svg:q} 2> {log:q}"


rule plot_training:
    input:
        metrics="results/{experiment}/seed{seed}/metrics.csv",
        provenance="results/{experiment}/seed{seed}/provenance.json",
    output:
        png=report(
            "results/{experiment}/seed{seed}/figures/training.png",
            caption="report/training.rst",
            category="{experiment}",
            subcategory="training",
            labels={"seed": "{seed}", "shows": "training"},
        ),
        svg="results/{experiment}/seed{seed}/figures/training.svg",
    log:
        "results/{experiment}/seed{seed}/logs/plot_training.log",
    benchmark:
        "results/{experiment}/seed{seed}/benchmarks/plot_training.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        program=program("plot_training"),
        code=code("plot_training", "figures"),
    message:
        "draw the training of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --metrics {input.metrics:q} --provenance {input.provenance:q}"
        " --png {output.png:q} --svg {output.svg:q} 2> {log:q}"

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
        code=code("plot_reconstruction", "figures"),
    message:
        "draw {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_reconstruction.py --reconstruction {input.reconstruction} --data {input.data}"
        " --png {output.png} --svg {output.svg} 2> {log}"


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
        title=lambda wildcards: f"{wildcards.experiment}, seed {wildcards.seed}, {wildcards.dataset}",
        code=code("plot_correlation", "figures"),
    message:
        "draw the ring correlation of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_correlation.py --correlation {input.correlation} --title {params.title:q}"
        " --provenance {input.provenance} --png {output.png} --svg {output.svg} 2> {log}"


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
        code=code("plot_probe", "figures"),
    message:
        "draw the probe of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_probe.py --reconstruction {input.reconstruction}"
        " --png {output.png} --svg {output.svg} 2> {log}"


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
        code=code("plot_scan", "figures"),
    message:
        "draw the scan of {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_scan.py --reconstruction {input.reconstruction}"
        " --png {output.png} --svg {output.svg} 2> {log}"


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
        code=code("plot_training", "figures"),
    message:
        "draw the training of {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_training.py --metrics {input.metrics} --provenance {input.provenance}"
        " --png {output.png} --svg {output.svg} 2> {log}"

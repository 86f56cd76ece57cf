rule plot_reconstruction:
    input:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
        data="results/data/{dataset}.cxi",
    output:
        png="results/{experiment}/seed{seed}/{dataset}/figures/reconstruction.png",
        svg="results/{experiment}/seed{seed}/{dataset}/figures/reconstruction.svg",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/plot_reconstruction.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/plot_reconstruction.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=code("plot_reconstruction"),
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_reconstruction.py --reconstruction {input.reconstruction} --data {input.data}"
        " --png {output.png} --svg {output.svg} 2> {log}"


rule plot_correlation:
    input:
        correlation="results/{experiment}/seed{seed}/{dataset}/correlation.csv",
        provenance="results/{experiment}/seed{seed}/{dataset}/provenance.json",
    output:
        png="results/{experiment}/seed{seed}/{dataset}/figures/correlation.png",
        svg="results/{experiment}/seed{seed}/{dataset}/figures/correlation.svg",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/plot_correlation.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/plot_correlation.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        title=lambda wildcards: f"{wildcards.experiment}, seed {wildcards.seed}, {wildcards.dataset}",
        code=code("plot_correlation"),
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_correlation.py --correlation {input.correlation} --title {params.title:q}"
        " --provenance {input.provenance} --png {output.png} --svg {output.svg} 2> {log}"


rule plot_probe:
    input:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
    output:
        png="results/{experiment}/seed{seed}/{dataset}/figures/probe.png",
        svg="results/{experiment}/seed{seed}/{dataset}/figures/probe.svg",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/plot_probe.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/plot_probe.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=code("plot_probe"),
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_probe.py --reconstruction {input.reconstruction}"
        " --png {output.png} --svg {output.svg} 2> {log}"


rule plot_scan:
    input:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
    output:
        png="results/{experiment}/seed{seed}/{dataset}/figures/scan.png",
        svg="results/{experiment}/seed{seed}/{dataset}/figures/scan.svg",
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/plot_scan.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/plot_scan.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=code("plot_scan"),
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_scan.py --reconstruction {input.reconstruction}"
        " --png {output.png} --svg {output.svg} 2> {log}"


rule plot_training:
    input:
        metrics="results/{experiment}/seed{seed}/metrics.csv",
        provenance="results/{experiment}/seed{seed}/provenance.json",
    output:
        png="results/{experiment}/seed{seed}/figures/training.png",
        svg="results/{experiment}/seed{seed}/figures/training.svg",
    log:
        "results/{experiment}/seed{seed}/logs/plot_training.log",
    benchmark:
        "results/{experiment}/seed{seed}/benchmarks/plot_training.tsv"
    conda:
        "../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        code=code("plot_training"),
    shell:
        "python $PTYCHOFLOW_SCRIPTS/plot_training.py --metrics {input.metrics} --provenance {input.provenance}"
        " --png {output.png} --svg {output.svg} 2> {log}"

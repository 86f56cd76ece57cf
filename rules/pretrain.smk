# Training of a blind network on scans that a recipe draws; what comes out is what `network` of another experiment takes.

from ptychoflow.settings.experiment import PretrainSettings
from ptychoflow.settings.values import plain


rule pretraining_settings:
    output:
        "results/{experiment}/pretraining.yaml",
    log:
        "results/{experiment}/logs/pretraining_settings.log",
    wildcard_constraints:
        experiment=one_of(PRETRAINING),
    localrule: True
    conda:
        environment("train")
    params:
        settings=lambda wildcards: as_yaml(
            plain(PretrainSettings.of(EXPERIMENTS[wildcards.experiment]["pretrain"]))
        ),
    message:
        "settings of {wildcards.experiment}"
    shell:
        "printf '%s' {params.settings:q} > {output:q} 2> {log:q}"


rule pretrain:
    input:
        settings="results/{experiment}/pretraining.yaml",
    output:
        checkpoint="results/{experiment}/seed{seed}/model.ckpt",
        metrics="results/{experiment}/seed{seed}/metrics.csv",
        config="results/{experiment}/seed{seed}/config.yaml",
        provenance="results/{experiment}/seed{seed}/provenance.json",
    log:
        "results/{experiment}/seed{seed}/logs/pretrain.log",
    benchmark:
        "results/{experiment}/seed{seed}/benchmarks/pretrain.tsv"
    wildcard_constraints:
        experiment=one_of(PRETRAINING),
    conda:
        environment("train")
    threads: 2
    resources:
        gpu=lambda wildcards: int(on_gpu(wildcards)),
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        program=program("pretrain"),
        folder=folder,
        accelerator=accelerator,
        code=code("pretrain", "train"),
    message:
        "pretrain {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --config {input.settings:q} --output_dir {params.folder:q}"
        " --run_dir {params.folder:q}/run --seed {wildcards.seed} --pretraining.accelerator {params.accelerator}"
        " --threads {threads} 2>> {log:q}"

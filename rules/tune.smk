# Tuning of a blind network on scans themselves; what comes out reconstructs them by rules/reconstruct.smk.


rule tuning_settings:
    output:
        "results/{experiment}/tuning.yaml",
    log:
        "results/{experiment}/logs/tuning_settings.log",
    wildcard_constraints:
        experiment=one_of(TUNED),
    localrule: True
    conda:
        environment("train")
    params:
        settings=tuning_settings,
    message:
        "settings of {wildcards.experiment}"
    shell:
        "printf '%s' {params.settings:q} > {output:q} 2> {log:q}"


rule tune:
    input:
        settings="results/{experiment}/tuning.yaml",
        data=training_data,
        initial=initial_checkpoint,
    output:
        checkpoint="results/{experiment}/seed{seed}/model.ckpt",
        metrics="results/{experiment}/seed{seed}/metrics.csv",
        config="results/{experiment}/seed{seed}/config.yaml",
        provenance="results/{experiment}/seed{seed}/provenance.json",
    log:
        "results/{experiment}/seed{seed}/logs/tune.log",
    benchmark:
        "results/{experiment}/seed{seed}/benchmarks/tune.tsv"
    wildcard_constraints:
        experiment=one_of(TUNED),
    conda:
        environment("train")
    threads: 2
    resources:
        gpu=lambda wildcards: int(on_gpu(wildcards)),
        mem_mb=estimated(needs_of_tuning, "mem_mb"),
        runtime=estimated(needs_of_tuning, "runtime"),
    params:
        program=program("tune"),
        initial=lambda wildcards, input: input.initial or SHIPPED,
        folder=folder,
        accelerator=accelerator,
        weights=lambda wildcards, input: "" if input.initial else weights_of(SHIPPED),
        code=code("tune", "train"),
    message:
        "tune {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --config {input.settings:q} --train_data_file {input.data:q}"
        " --init_from {params.initial:q} --output_dir {params.folder:q} --run_dir {params.folder:q}/run"
        " --seed {wildcards.seed} --tuning.accelerator {params.accelerator} --threads {threads} 2>> {log:q}"

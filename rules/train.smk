rule training_settings:
    output:
        "results/{experiment}/training.yaml",
    log:
        "results/{experiment}/logs/training_settings.log",
    wildcard_constraints:
        experiment=one_of(LEARNED),
    localrule: True
    conda:
        environment("train")
    params:
        settings=training_settings,
    message:
        "settings of {wildcards.experiment}"
    shell:
        "printf '%s' {params.settings:q} > {output:q} 2> {log:q}"


# The working state in run/ is not an output: Snakemake would delete it with a failed job, and the next attempt goes on from it.
rule train:
    input:
        settings="results/{experiment}/training.yaml",
        data=training_data,
        initial=initial_checkpoint,
    output:
        checkpoint="results/{experiment}/seed{seed}/model.ckpt",
        metrics="results/{experiment}/seed{seed}/metrics.csv",
        config=report(
            "results/{experiment}/seed{seed}/config.yaml",
            caption="report/config.rst",
            category="{experiment}",
            subcategory="training",
            labels={"seed": "{seed}", "shows": "settings"},
        ),
        provenance="results/{experiment}/seed{seed}/provenance.json",
    log:
        "results/{experiment}/seed{seed}/logs/train.log",
    benchmark:
        "results/{experiment}/seed{seed}/benchmarks/train.tsv"
    wildcard_constraints:
        experiment=one_of(LEARNED),
    conda:
        environment("train")
    threads: cores
    resources:
        gpu=gpus,
        nodes=nodes,
        tasks=tasks,
        tasks_per_gpu=lambda wildcards: int(nodes(wildcards) > 1),
        mpi=launcher,
        mem_mb=estimated(needs_of_training, "mem_mb"),
        runtime=estimated(needs_of_training, "runtime"),
    params:
        program=program("train"),
        processes=processes,
        folder=folder,
        initial=lambda wildcards, input: input.initial or "null",
        accelerator=accelerator,
        tags=tags,
        code=code("train", "train"),
    message:
        "train {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "{resources.mpi} python {params.program:q} --config {input.settings:q} --train_data_file {input.data:q}"
        " --output_dir {params.folder:q} --run_dir {params.folder:q}/run --seed {wildcards.seed}"
        " --init_from {params.initial:q} --tags {params.tags:q} --accelerator {params.accelerator}"
        " --threads $(( ({threads} + {params.processes} - 1) / {params.processes} )) 2>> {log:q}"

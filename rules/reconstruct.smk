# Reconstruction by a blind network, which solves for the probe as well: the pretrained one, or one of the same kind. A large
# scan is no more than one job, which reads its frames subset by subset.


rule reconstruction_settings:
    output:
        "results/{experiment}/reconstruction.yaml",
    log:
        "results/{experiment}/logs/reconstruction_settings.log",
    wildcard_constraints:
        experiment=one_of(PRETRAINED),
    localrule: True
    conda:
        environment("reconstruct")
    params:
        settings=lambda wildcards: as_yaml({"blind": vars(blind_settings(wildcards))}),
    message:
        "settings of {wildcards.experiment}"
    shell:
        "printf '%s' {params.settings:q} > {output:q} 2> {log:q}"


rule reconstruct:
    input:
        settings="results/{experiment}/reconstruction.yaml",
        data="results/data/{dataset}.cxi",
        checkpoint=blind_checkpoint,
    output:
        reconstruction="results/{experiment}/seed{seed}/{dataset}/reconstruction.h5",
        amplitude="results/{experiment}/seed{seed}/{dataset}/reconstructed_amplitude.png",
        phase="results/{experiment}/seed{seed}/{dataset}/reconstructed_phase.png",
        provenance=report(
            "results/{experiment}/seed{seed}/{dataset}/provenance.json",
            caption="report/provenance.rst",
            category="{experiment}",
            subcategory="{dataset}",
            labels={"seed": "{seed}", "shows": "provenance"},
        ),
    log:
        "results/{experiment}/seed{seed}/{dataset}/logs/reconstruct.log",
    benchmark:
        "results/{experiment}/seed{seed}/{dataset}/benchmarks/reconstruct.tsv"
    wildcard_constraints:
        experiment=one_of(PRETRAINED),
    conda:
        environment("reconstruct")
    threads: 2
    resources:
        gpu=lambda wildcards: int(on_gpu(wildcards)),
        mem_mb=estimated(needs_of_reconstruction, "mem_mb"),
        runtime=estimated(needs_of_reconstruction, "runtime"),
    params:
        program=program("reconstruct"),
        checkpoint=checkpoint_path,
        folder=folder,
        accelerator=accelerator,
        weights=lambda wildcards: weights_of(blind_network(wildcards)),
        code=code("reconstruct", "reconstruct"),
    message:
        "reconstruct {wildcards.dataset} by {wildcards.experiment}, seed {wildcards.seed}"
    shell:
        "python {params.program:q} --config {input.settings:q} --model_path {params.checkpoint:q}"
        " --test_data {input.data:q} --output_dir {params.folder:q} --seed {wildcards.seed}"
        " --accelerator {params.accelerator} --threads {threads} 2> {log:q}"

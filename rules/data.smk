rule dataset_settings:
    output:
        "results/data/{dataset}.yaml",
    log:
        "results/data/logs/{dataset}.settings.log",
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        settings=dataset_settings,
    message:
        "settings of {wildcards.dataset}"
    shell:
        "printf '%s' {params.settings:q} > {output:q} 2> {log:q}"


rule simulate:
    input:
        settings="results/data/{dataset}.yaml",
    output:
        data="results/data/{dataset}.cxi",
        provenance="results/data/{dataset}.provenance.json",
    log:
        "results/data/logs/{dataset}.log",
    benchmark:
        "results/data/benchmarks/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(n for n, d in DATASETS.items() if "simulate" in d),
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        program=program("simulate"),
        code=code("simulate", "data"),
    message:
        "simulate {wildcards.dataset}"
    shell:
        "python {params.program:q} --config {input.settings:q} --output {output.data:q}"
        " --provenance {output.provenance:q} 2> {log:q}"


rule fetch:
    output:
        "results/raw/{dataset}/{file}",
    log:
        "results/raw/logs/{dataset}/{file}.log",
    benchmark:
        "results/raw/benchmarks/{dataset}/{file}.tsv"
    retries: 2
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(60),
    params:
        program=program("fetch"),
        url=lambda wildcards: ingested(wildcards)["url"],
        sha256=lambda wildcards: ingested(wildcards)["sha256"],
        code=code("fetch", "data"),
    message:
        "download {wildcards.file} for {wildcards.dataset}"
    shell:
        "python {params.program:q} --url {params.url:q} --sha256 {params.sha256} --output {output:q} 2> {log:q}"


rule ingest:
    input:
        settings="results/data/{dataset}.yaml",
        raw=raw_file,
        further=lambda wildcards: given(*further_files(wildcards)),
    output:
        data="results/data/{dataset}.cxi",
        provenance="results/data/{dataset}.provenance.json",
    log:
        "results/data/logs/{dataset}.log",
    benchmark:
        "results/data/benchmarks/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(n for n, d in DATASETS.items() if "ingest" in d),
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        program=program("ingest"),
        raw=raw_path,
        unwatched=unwatched,
        sha256=lambda wildcards: ingested(wildcards).get("sha256", "null"),
        code=code("ingest", "data"),
    message:
        "bring {wildcards.dataset} into CXI"
    shell:
        "python {params.program:q} --config {input.settings:q} --input {params.raw:q}"
        " --sha256 {params.sha256} --output {output.data:q} --provenance {output.provenance:q} 2> {log:q}"


rule refine:
    input:
        settings="results/data/{dataset}.yaml",
        data=unrefined,
    output:
        data="results/data/{dataset}.cxi",
        provenance="results/data/{dataset}.provenance.json",
    log:
        "results/data/logs/{dataset}.log",
    benchmark:
        "results/data/benchmarks/{dataset}.tsv"
    wildcard_constraints:
        dataset=one_of(n for n, d in DATASETS.items() if "refine" in d),
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        program=program("refine"),
        code=code("refine", "data"),
    message:
        "refine the positions of {wildcards.dataset}"
    shell:
        "python {params.program:q} --config {input.settings:q} --data {input.data:q} --output {output.data:q}"
        " --provenance {output.provenance:q} --threads {threads} 2> {log:q}"

# More that people ask for by name, and what they hear when there is no such thing.


rule resolved_config:
    output:
        "results/config.yaml",
    log:
        "results/logs/resolved_config.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        config=as_yaml(config),
    message:
        "settings of the whole workflow"
    shell:
        "printf '%s' {params.config:q} > {output:q} 2> {log:q}"


# Snakemake writes the report itself, here by a call of its own within the one that made the results.
rule report:
    input:
        rules.all.input,
        config="results/config.yaml",
    output:
        "results/report.html",
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        "../envs/figures.yaml"
    params:
        python=lambda wildcards, input: sys.executable,
        workflow=lambda wildcards, input: str(CHECKOUT / "Snakefile"),
    message:
        "write the report"
    shell:
        "{params.python:q} -m snakemake --snakefile {params.workflow:q} --configfile {input.config:q} --nolock"
        " --report {output:q} 2> {log:q}"


rule unknown_result:
    input:
        refused,
    output:
        "results/{unknown}",
    log:
        "results/logs/unknown/{unknown}.log",
    wildcard_constraints:
        unknown=unknown_results(),
    localrule: True
    conda:
        "../envs/figures.yaml"
    shell:
        "exit 1"

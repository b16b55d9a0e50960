A new project is named like its folder, and written into an empty one only.

$ lockstep new 9lives  # exits 1
> error: `9lives` cannot name a project
> hint: start with a letter; letters, digits, and single - _ . between
$ lockstep new churn --template chrun  # exits 1
> error: `chrun` is not a template
> hint: there is: churn, iris
$ lockstep new churn
> made `churn` with N files
> next: cd churn && lockstep lock
> next: git init && uv run prek install
$ lockstep new churn  # exits 1
> error: `churn` is there already and not empty
> hint: choose another name, or remove it
$ ls churn
> README.md
> data
> prek.toml
> pyproject.toml
> src
> tests
$ head -6 churn/pyproject.toml | tail -2
> [project]
> name = "churn"
$ mkdir empty
$ lockstep new empty
> made `empty` with N files
> next: cd empty && lockstep lock
> next: git init && uv run prek install
